"""What nodes show: how far from the definition, how much memory it takes, and where every plane is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.decoding import node_tables, reached
from imagegs_blender.core.decoding.cells import SIZES
from imagegs_blender.core.decoding.places import SPARE, pack, places, unpack
from imagegs_blender.core.devices import reference
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from tests.core.decoding.lookup_nodes import lookup
from tests.samples import centers, scattered

STACKS = ("scifi_container", "flighthelmet_leather_512")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2)))


@pytest.fixture(scope="module", params=[(name, rate) for name in STACKS for rate in (0.04, 0.1)], ids=str)
def fitted(request: pytest.FixtureRequest) -> stream.Stream:
    """The middle of a real stack, 256 x 256 texels, fitted at a rate in bits per pixel per channel."""
    if "IMAGEGS_DATA" not in os.environ:
        pytest.skip("IMAGEGS_DATA is not set: no real textures")
    name, rate = request.param
    sources = image_files.read_maps(Path(os.environ["IMAGEGS_DATA"]) / "stacks" / name)
    middle = [
        replace(source, pixels=source.pixels[128:384, 128:384]) if source.pixels.shape[0] >= 512 else source
        for source in sources
    ]
    stack = texture_stack.build(middle, wrap=False)
    channels = sum(source.pixels.shape[2] for source in middle)
    settings = FitSettings.preset("fast", max_steps=250, bpp=rate * channels, device="cpu")
    return stream.read(encode.encode(stack, settings).data)


def test_agreement_on_real_stacks(fitted: stream.Stream) -> None:
    """Features of real fits overshoot 0..1 by far: codes of 12 bits over all of it move no plane by more than 1/255.

    The rule of cells itself is another thing: it changes some texels by more, all together by little.
    """
    gaussians = fitted.gaussians
    built = node_tables.build(gaussians, fitted.maps)
    exact = node_tables.build(replace(gaussians), [replace_depth(m) for m in fitted.maps])
    assert any(built.layout.deep) is False and all(exact.layout.deep)
    x, y = centers(gaussians.width, gaussians.height)
    found, unrounded = (np.moveaxis(lookup(tables, x, y), 2, 0).clip(0, 1) for tables in (built, exact))
    assert (np.abs(found - unrounded).max(0) <= 1 / 255).mean() >= 0.999
    truth = reached.planes(gaussians)[0].clip(0, 1)
    assert psnr(found, truth) > 46
    assert (np.abs(found - truth).max(0) <= 2 / 255).mean() > 0.85


def replace_depth(info: texture_stack.MapInfo) -> texture_stack.MapInfo:
    """The same map with more than 8 bits."""
    return replace(info, depth=texture_stack.Depth.F32)


@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("topk", [1, 4, 6, 10, 16])
def test_near_the_definition(topk: int, wrap: bool) -> None:
    """Random features, of which neighbors have nothing in common, are the worst case; of K = 1, hard edges become soft."""
    gaussians = scattered(400, 100, 70, 5, wrap, topk, seed=topk)
    built = node_tables.build(gaussians)
    found = np.moveaxis(lookup(built, *centers(100, 70)), 2, 0)
    assert psnr(found, reference.render(gaussians)) > (36 if topk > 1 else 15)


def test_a_plain_sum_is_exact() -> None:
    gaussians = scattered(200, 64, 64, 3, topk=0)
    found = np.moveaxis(lookup(node_tables.build(gaussians), *centers(64, 64)), 2, 0)
    assert np.abs(found - reference.render(gaussians)).max() < 0.01


@pytest.mark.parametrize("planes", [1, 2, 3, 4, 8, 9, 10, 14, 32])
def test_every_plane_has_its_own_place(planes: int) -> None:
    for deep in ((False,) * planes, (True,) * planes, tuple(i % 3 == 1 for i in range(planes))):
        found, sheets = places(deep)
        assert len(set(found)) == planes
        alone = {(p.sheet, p.lane) for p, two in zip(found, deep, strict=True) if two}
        assert not any(p.part and (p.sheet, p.lane) in alone for p in found)
        feature = np.random.default_rng(planes).uniform(-1.5, 2.7, (50, planes)).astype(np.float32)
        packed, spare, scale = pack(feature, deep)
        assert len(packed) == sheets
        np.testing.assert_allclose(unpack(packed, spare, deep, scale), feature, atol=0.0008)
        exact = [i for i, two in enumerate(deep) if two]
        np.testing.assert_allclose(unpack(packed, spare, deep, scale)[:, exact], feature[:, exact], atol=1e-6)
    assert places((False,) * 9)[1] == 1 and places((False,) * 9)[0][-1].sheet == SPARE


@pytest.mark.parametrize(
    ("width", "height", "count"), [(1, 1, 1), (3, 5, 2), (7, 300, 40), (33, 17, 90), (640, 16, 90)]
)
def test_odd_sizes(width: int, height: int, count: int) -> None:
    gaussians = scattered(count, width, height, 2, wrap=False, topk=6)
    found = lookup(node_tables.build(gaussians), *centers(width, height))
    assert psnr(np.moveaxis(found, 2, 0), reference.render(gaussians)) > 36


def test_small_and_the_same_every_time() -> None:
    """2048 x 2048 texels, nine planes: at most 6 MiB, coarse levels included; the maps are 64 MiB."""
    gaussians = scattered(30_000, 2048, 2048, 9, topk=6)
    first, second = node_tables.build(gaussians), node_tables.build(gaussians)
    for name, table in first.arrays().items():
        assert np.array_equal(table, second.arrays()[name])
    assert first.nbytes <= 6 * 2**20
    assert max(max(table.shape[:2]) for table in first.arrays().values()) < 4096


def test_every_point_reads_a_cell_of_its_block() -> None:
    """Up to the very borders of blocks, in float32: the squares of others are never read."""
    gaussians = scattered(300, 100, 70, 2, wrap=True, topk=6)
    built = node_tables.build(gaussians)
    columns = built.blocks.shape[1]
    width = built.cells.shape[1] // node_tables.slabs(built.layout)[0]
    scale, left = built.blocks[..., 3], built.blocks[..., 0]
    sizes = np.rint(scale * width / columns + 2 * node_tables.MARGIN).astype(int)
    assert set(np.unique(sizes)) <= set(SIZES.tolist())
    for edge in (0.0, 1.0):
        u = ((np.arange(columns) + edge) / columns).astype(np.float32)
        for nudge in (np.nextafter(u, np.float32(0)), u, np.nextafter(u, np.float32(2))):
            place = (nudge * scale + left) * np.float32(width)
            first = np.floor((0.5 + np.arange(columns)) / columns * scale * width + left * width - sizes / 2 + 0.5)
            assert ((first <= place) & (place < first + sizes)).all()


def test_bad_input_is_one_clear_error() -> None:
    gaussians = scattered(10, 16, 16, 3)
    with pytest.raises(ImageGSError, match="no Gaussians"):
        node_tables.build(gaussians.take(np.arange(0)))
    with pytest.raises(ImageGSError, match="gamma"):
        node_tables.build(replace(gaussians, gamma=2.2))
