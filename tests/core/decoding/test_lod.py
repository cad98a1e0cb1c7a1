"""LOD L is mip level L, at every L, without a jump, for any size of texture."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.decoding import decode, lod, reached, tables
from imagegs_blender.core.devices.cpu.device import render
from imagegs_blender.core.devices.types import project
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from tests.samples import smooth


def mip(planes: np.ndarray, level: int) -> np.ndarray:
    """Area averages of 2^level x 2^level texels."""
    count, height, width = planes.shape
    step = 2**level
    return planes.reshape(count, height // step, step, width // step, step).mean((2, 4))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


def test_levels_are_the_true_mip_levels(data: Path) -> None:
    """The reach of the issue: no worse than full detail at 1 and 2, 6 dB better from 3 on."""
    maps = [
        replace(m, pixels=m.pixels[100:356, 100:356])
        for m in image_files.read_maps(data / "stacks/flighthelmet_leather_512")
    ]
    original = texture_stack.build(maps)
    encoded = encode.encode(original, FitSettings.preset("fast", num_gaussians=470, max_steps=60))
    found = stream.read(encoded.data)
    tail = lod.build(found.gaussians, found.maps)
    quality = [
        psnr(lod.planes(found.gaussians, tail, level, 256 >> level, 256 >> level), mip(original.planes, level))
        for level in range(7)
    ]
    assert min(quality[1:3]) >= quality[0]
    assert min(quality[3:]) >= quality[0] + 6


def island(wrap: bool = False, topk: int = 4) -> Gaussians:
    """Gaussians of one bright color in the middle of 128 x 128 texels."""
    everywhere = smooth(128, 128, wrap)
    inside = np.flatnonzero(np.abs(everywhere.mean - 0.5).max(axis=1) < 0.2)
    return replace(everywhere.take(inside), feature=np.full((len(inside), 6), 0.8, np.float32), topk=topk)


@pytest.mark.parametrize("wrap", [True, False])
def test_what_no_gaussian_reaches_shows_what_is_around(wrap: bool) -> None:
    """The same color everywhere, at every level of detail and in every size, where the formula gives black."""
    gaussians = island(wrap)
    alone, share = reached.planes(gaussians)
    assert not alone[:, 0, 0].any() and share[64, 64] > 0.999
    np.testing.assert_allclose(decode.planes(gaussians), 0.8, atol=0.01)
    np.testing.assert_allclose(decode.planes(gaussians, 60, 90), 0.8, atol=0.01)
    tail = lod.build(gaussians)
    assert tail.holes
    for level in [0.0, 0.5, *range(1, tail.last + 1)]:
        np.testing.assert_allclose(lod.planes(gaussians, tail, level), 0.8, atol=0.01, err_msg=f"level {level}")


def test_where_gaussians_reach_nothing_changes() -> None:
    """To the bit; and nowhere in a stream without holes, nor in a plain sum, which is 0 where it means 0."""
    gaussians = replace(island(), feature=smooth(128, 128).feature[: len(island())])
    covered = reached.planes(gaussians)[1] >= reached.COVERED
    assert 0.1 < covered.mean() < 0.9
    alone = render(*project(gaussians))
    np.testing.assert_array_equal(decode.planes(gaussians)[:, covered], alone[:, covered])
    whole = smooth(128, 128)
    assert not lod.build(whole).holes
    np.testing.assert_array_equal(decode.planes(whole), render(*project(whole)))
    plain = island(topk=0)
    np.testing.assert_array_equal(decode.planes(plain), render(*project(plain)))
    assert not lod.build(plain).holes and not decode.planes(plain)[:, 0, 0].any()


def test_around_a_hole_colors_go_on() -> None:
    """Two halves of a picture, 32 texels apart: between them, each side's color next to it."""
    gaussians = smooth(128, 128, wrap=False)
    column = gaussians.mean[:, 0] * 128
    sides = gaussians.take(np.flatnonzero(np.abs(column - 64) > 22))
    feature = np.repeat(np.where(sides.mean[:, :1] < 0.5, 0.2, 0.9), 6, 1).astype(np.float32)
    row = decode.planes(replace(sides, feature=feature))[0, 64]
    assert np.abs(row[:40] - 0.2).max() < 0.02 and np.abs(row[88:] - 0.9).max() < 0.02
    assert (np.diff(row[40:88]) > -0.02).all() and np.diff(row[40:88]).max() < 0.2, "from one side to the other"


@pytest.mark.parametrize("wrap", [True, False])
def test_texels_are_area_averages_of_the_decode(wrap: bool) -> None:
    gaussians = smooth(128, 64, wrap)
    full = np.clip(decode.planes(gaussians), 0, 1)
    tail = lod.build(gaussians)
    assert (tail.first, tail.last) == (3, 7)
    for level in range(3, 7):
        found = lod.planes(gaussians, tail, level, 128 >> level, 64 >> level)
        np.testing.assert_allclose(found, mip(full, level), atol=0.6 / 255)
    everywhere = lod.planes(gaussians, tail, 16.0, 5, 5)
    np.testing.assert_allclose(everywhere, np.broadcast_to(full.mean((1, 2))[:, None, None], (6, 5, 5)), atol=0.6 / 255)


def test_full_detail_loses_nothing_and_no_step_jumps() -> None:
    gaussians = smooth(128, 128)
    tail = lod.build(gaussians)
    assert np.array_equal(lod.planes(gaussians, tail, 0.0), np.clip(decode.planes(gaussians), 0, 1))
    steps = [lod.planes(gaussians, tail, 0.05 * i, 64, 64) for i in range(int(20 * tail.last) + 1)]
    moved = [float(np.abs(b - a).max()) for a, b in pairwise(steps)]
    total = float(np.abs(steps[-1] - steps[0]).max())
    assert 0 < max(moved) < 0.1 * total


def test_dense_stacks_have_texels_earlier_and_deep_maps_keep_their_bits() -> None:
    gaussians = smooth(256, 256)
    several = [gaussians.take(np.tile(np.arange(len(gaussians)), times)) for times in (1, 2, 6)]
    assert [lod.build(dense).first for dense in several] == [3, 2, 1]
    deep = MapInfo("height", Role.DATA, ColorSpace.RAW, Depth.U16, "L", 256, 256, (Channel("plane", 5),))
    tail = lod.build(gaussians, (deep,))
    assert [sheet.dtype for sheet in tail.sheets] == [np.uint8, np.float32]
    exact = mip(np.clip(decode.planes(gaussians), 0, 1), 3)[5]
    np.testing.assert_allclose(lod.planes(gaussians, tail, 3, 32, 32)[5], exact, atol=1e-6)


def test_a_texture_that_repeats_has_no_seam() -> None:
    gaussians = smooth(64, 64)
    tail = lod.build(gaussians)
    y = (np.arange(64) + 0.5) / 64
    left, right = lod.texels(tail, 3.5, 0 * y, y), lod.texels(tail, 3.5, 0 * y + 1 - 1e-9, y)
    np.testing.assert_allclose(left, right, atol=1e-5)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 5), (7, 300), (33, 17)])
def test_odd_sizes(width: int, height: int) -> None:
    gaussians = smooth(width, height, wrap=False)
    tail = lod.build(gaussians)
    assert tuple(tail.levels[-1, 2:]) == (1, 1)
    mean = np.clip(decode.planes(gaussians), 0, 1).mean((1, 2))[:, None, None]
    np.testing.assert_allclose(lod.planes(gaussians, tail, 16.0, 4, 4), np.broadcast_to(mean, (6, 4, 4)), atol=0.03)


@pytest.mark.parametrize("detail", [2, 4, 99])
def test_limited_levels_are_the_levels_themselves(detail: int) -> None:
    """From the limit on nothing changes, below it is the limit, and what is finer is not there."""
    gaussians = replace(smooth(128, 128), height=64)  # twice as dense
    built = tables.build(gaussians)
    assert built.tail.first <= 2
    small = tables.build(gaussians, detail=detail)
    limit = min(detail, built.tail.last)
    for level in (0.0, 1.5, 3.0, 3.7, 5.0, 6.4, 9.0):
        expected = lod.planes(gaussians, built.tail, max(level, limit))
        np.testing.assert_array_equal(lod.planes(gaussians, small.tail, level), expected, err_msg=f"level {level}")
    assert small.layout == built.layout and (small.tail.first, small.tail.last) == (built.tail.first, built.tail.last)
    held = sum(4 * int(w) * int(h) for w, h in {(w, h) for _, _, w, h in small.tail.levels.tolist()})
    assert small.nbytes < 2 * 2 * 1.5 * held + 2000  # two sheets, with borders
