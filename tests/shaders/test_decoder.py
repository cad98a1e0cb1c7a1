"""What the decoder renders is what the definition says, in both engines, with and without the add-on."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.core.decoding import node_tables as tables
from imagegs_blender.core.devices import reference
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role
from imagegs_blender.shaders import table_images
from imagegs_blender.shaders.body import leave_out
from imagegs_blender.shaders.decoder import from_tables, pack, show_average
from tests.samples import HEIGHT, MAPS, WIDTH, centers, check, encoded, expected, info, points, stack

from . import plane


@pytest.mark.parametrize("engine", plane.ENGINES)
def test_k_of_paper_and_no_repetition(tmp_path: Path, engine: str) -> None:
    gaussians = stack(10, False)
    built = tables.build(gaussians)
    group = from_tables("Stack", MAPS, built).tree
    check(plane.render(engine, tmp_path, plane.stage(group, WIDTH, HEIGHT)), gaussians, built)


@pytest.mark.parametrize("engine", plane.ENGINES)
def test_narrow_gaussians(tmp_path: Path, engine: str) -> None:
    """EEVEE takes no number of a texture beyond 65504, and conics in texture coordinates would be larger."""
    gaussians = stack(4, True)
    scale = gaussians.scale.copy()
    scale[::2] = 0.2
    gaussians = replace(gaussians, scale=scale)
    built = tables.build(gaussians)
    assert built.units > 1
    assert all(np.abs(array).max() < 65504 for array in built.arrays().values())
    group = from_tables("Stack", MAPS, built).tree
    check(plane.render(engine, tmp_path, plane.stage(group, WIDTH, HEIGHT)), gaussians, built)


def test_numbers_of_24_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What more than 65536 Gaussians need, with some hundred."""
    monkeypatch.setattr(tables, "NARROW", 0)
    gaussians = stack(4, True)
    built = tables.build(gaussians)
    assert built.layout.per_texel == 1
    group = from_tables("Stack", MAPS[:1], built).tree
    rendered = encoded(plane.render("CYCLES", tmp_path, plane.stage(group, WIDTH, HEIGHT)))
    truth = expected(points(built, 0.0, *centers(WIDTH, HEIGHT)))
    for name, pixels in rendered.items():
        assert (255 * np.abs(pixels - truth[name]).max(2) <= 1).mean() >= 0.999


@pytest.mark.parametrize(
    ("topk", "planes", "holes"),
    [(0, 9, False), (1, 1, False), (4, 32, False), (4, 32, True), (10, 20, False), (16, 12, False), (16, 32, False),
     (16, 32, True)],
)  # fmt: skip
def test_cycles_takes_every_size_of_decoder(tmp_path: Path, topk: int, planes: int, holes: bool) -> None:
    """The largest graphs, Gaussians and texels together, must fit the stack of Cycles: else it renders one flat color."""
    gaussians = stack(topk, True)
    if holes:
        gaussians = gaussians.take(np.flatnonzero(np.abs(gaussians.mean - 0.5).max(1) < 0.2))
    feature = np.tile(gaussians.feature, (1, 5))[:, :planes] * (1 if topk else 0.2)
    scale = gaussians.scale * (1 if topk else 0.5)
    gaussians = replace(gaussians, feature=feature.astype(np.float32), scale=scale)
    triples = [[min(first + i, planes - 1) for i in range(3)] for first in range(0, planes, 3)]
    maps = [info(f"map {i}", Role.DATA, ColorSpace.RAW, Depth.U8, "RGB", *triple) for i, triple in enumerate(triples)]
    built = tables.build(gaussians)
    assert built.layout.holes == holes
    group = plane.summed(from_tables("Stack", maps, built).tree)
    rendered = plane.render("CYCLES", tmp_path, plane.stage(group, WIDTH, HEIGHT, lod=0.5))["sum"]
    truth = np.moveaxis(points(built, 0.5, *centers(WIDTH, HEIGHT))[np.array(triples)].sum(0), 0, 2)
    assert (np.abs(rendered - truth).max(2) <= len(triples) / 255).mean() >= 0.999


def test_self_contained_file_renders_without_the_package(tmp_path: Path) -> None:
    built = tables.build(stack(4, True))
    group = from_tables("Stack", MAPS, built).tree
    outputs = plane.stage(group, WIDTH, HEIGHT)
    before = plane.render("CYCLES", tmp_path, outputs)
    pack(Decoder(group))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "packed.blend"))
    script = (
        "import sys, bpy, addon_utils; addon_utils.enable('cycles'); bpy.ops.wm.open_mainfile(filepath=sys.argv[1]);"
        "bpy.context.scene.render.filepath = sys.argv[2]; bpy.ops.render.render(write_still=True);"
        "assert not any('imagegs' in name for name in sys.modules)"
    )
    picture = tmp_path / "after.exr"
    command = [sys.executable, "-I", "-c", script, str(tmp_path / "packed.blend"), str(picture)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    after = plane.read(picture, outputs)
    for name in outputs:
        np.testing.assert_allclose(after[name], before[name], atol=1e-5)


def test_nodes_and_tables_are_not_saved(tmp_path: Path) -> None:
    built = tables.build(stack(4, True))
    group = from_tables("Stack", MAPS, built).tree
    group.use_fake_user = True
    path = str(tmp_path / "bare.blend")
    leave_out(Decoder(group))
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    decoder = Decoder(bpy.data.node_groups["Stack"])
    assert decoder.body is None and not decoder.images() and not decoder.is_whole()
    show_average(decoder)
    assert not decoder.is_whole()


def test_packed_tables_survive_and_can_be_updated(tmp_path: Path) -> None:
    built = tables.build(stack(4, True))
    group = from_tables("Stack", MAPS, built).tree
    group.use_fake_user = True
    pack(Decoder(group))
    path = str(tmp_path / "packed.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    group = bpy.data.node_groups["Stack"]
    for name, image in Decoder(group).table_images().items():
        assert np.array_equal(texels(image), built.arrays()[name])
    with pytest.raises(ImageGSError, match="another version of the add-on"):
        table_images.update_images(Decoder(group), tables.build(stack(10, True)))
    other = tables.build(stack(4, False))
    table_images.update_images(Decoder(group), other)
    for name, image in Decoder(group).table_images().items():
        assert np.array_equal(texels(image), other.arrays()[name])


@pytest.mark.parametrize("extension", ["EXTEND", "CLIP", "MIRROR"])
def test_outside_of_the_texture(tmp_path: Path, extension: str) -> None:
    gaussians = stack(4, False)
    group = from_tables("Stack", MAPS[:1], tables.build(gaussians), extension).tree
    outputs = plane.stage(group, WIDTH, HEIGHT, window=(-0.5, -0.5, 2.0))
    color = encoded(plane.render("CYCLES", tmp_path, outputs))["color"]
    if extension == "CLIP":
        assert not color[: HEIGHT // 4].any() and not color[:, -WIDTH // 4 :].any()
        assert color[HEIGHT // 4 : -HEIGHT // 4, WIDTH // 4 : -WIDTH // 4].min() > 0
    elif extension == "MIRROR":
        half = WIDTH // 2
        across = np.abs(color[:, : half // 2] - color[:, half // 2 : half][:, ::-1])
        down = np.abs(color[: HEIGHT // 4] - color[HEIGHT // 4 : HEIGHT // 2][::-1])
        for off in (across, down):  # the center of a pixel is a corner of four texels here, and so of cells
            assert (off < 2 / 255).mean() > 0.8 and off.mean() < 1.5 / 255
    else:
        row = color[HEIGHT // 2]
        np.testing.assert_allclose(row[: WIDTH // 4], np.tile(row[:1], (WIDTH // 4, 1)), atol=1e-4)
        edge = np.clip(reference.render(gaussians)[:3, HEIGHT // 2 - 1 : HEIGHT // 2 + 2, 0], 0, 1)
        assert (edge.min(1) - 0.01 <= row[0]).all() and (row[0] <= edge.max(1) + 0.01).all()


@pytest.mark.parametrize("engine", plane.ENGINES)
def test_levels_of_detail(tmp_path: Path, engine: str) -> None:
    """At every LOD the texels of core/decoding/lod.py, which is held against the true mip levels."""
    gaussians = stack(4, True)
    built = tables.build(gaussians, MAPS)
    group = from_tables("Stack", MAPS, built).tree
    levels = (0.0, 0.5, 1.0, 2.3, 5.0)
    shots = [(group, level, WIDTH, HEIGHT) for level in levels]
    outputs = plane.stage_shots(shots)
    for level, rendered in zip(levels, plane.render_shots(engine, tmp_path, shots, outputs), strict=True):
        check(rendered, gaussians, built, level)


def test_sockets_and_unknown_extension() -> None:
    built = tables.build(stack(4, True))
    group = from_tables("Stack", MAPS, built).tree
    sockets = [(item.name, item.identifier) for item in group.interface.items_tree]
    names = ["Vector", "LOD", "color", "color Alpha", "normal", "height", "flat", "flat Alpha"]
    assert sorted(sockets) == sorted((name, f"Socket_{i}") for i, name in enumerate(names))
    with pytest.raises(ImageGSError, match="SPHERE"):
        from_tables("Stack", MAPS, built, "SPHERE")


def texels(image: bpy.types.Image) -> np.ndarray:
    width, height = image.size
    found = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(found)
    return (found if image.is_float else np.rint(255 * found).astype(np.uint8)).reshape(height, width, 4)
