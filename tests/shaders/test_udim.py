"""UDIM tiles in one decoder: each shows its own part of the picture, a missing one the average color."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.blend.properties import KINDS, NODES, OSL
from imagegs_blender.core.decoding import lod, tables
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures.udim import GUTTER, Tiles
from imagegs_blender.shaders.decoder import set_kind, update
from tests.blend.samples import made
from tests.samples import HEIGHT, MAPS, WIDTH, encoded, expected, nodes_show, stack

from . import osl_worker, plane

TILES = Tiles((1001, 1002, 1012), WIDTH // 2 - 2 * GUTTER, HEIGHT // 2 - 2 * GUTTER)

DATA = stream.write(stack(4, False), MAPS)


def test_tiles_side_by_side() -> None:
    """Joined and split again; smaller tiles are enlarged; edges go on in the gutter."""
    rng = np.random.default_rng(1)
    small = np.full((6, 5, 2), 90, np.uint8)
    given = {
        1001: rng.integers(0, 256, (40, 30, 2), np.uint8),
        1002: small,
        1012: rng.integers(0, 256, (40, 30, 2), np.uint8),
    }
    tiles = Tiles((1001, 1002, 1012), 30, 40)
    joined = tiles.join(given)
    assert joined.shape == (112, 92, 2) and joined.dtype == np.uint8 and tiles.size == (92, 112)
    back = tiles.split(joined)
    assert np.array_equal(back[1001], given[1001]) and np.array_equal(back[1012], given[1012])
    assert (back[1002] == 90).all()
    x, y = tiles.origin(1012)
    assert (x, y) == (8, 64) and np.array_equal(joined[y - 8, x : x + 30], given[1012][0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_tile(tmp_path: Path, kind: str) -> None:
    assert TILES.size == (WIDTH, HEIGHT)
    found = stream.read(DATA)
    built = tables.build(found.gaussians, MAPS)
    width, height = TILES.width, TILES.height
    if kind == OSL:
        (rendered,) = osl_worker.rendered(tmp_path, DATA, "tiles")
    else:
        decoder = made(DATA, "UDIM", TILES)
        set_kind(decoder, kind)
        outputs = plane.stage(decoder.tree, 2 * width, 2 * height, window=(0.0, 0.0, 2.0))
        rendered = plane.render("CYCLES", tmp_path, outputs)
    picture = expected(nodes_show(found.gaussians) if kind == NODES else lod.planes(found.gaussians, built.tail, 0.0))
    average = expected(np.broadcast_to(lod.average(built.tail)[:, None, None], (7, 1, 1)))
    for name, pixels in encoded(rendered).items():
        quarters = {
            1001: pixels[height:, :width], 1002: pixels[height:, width:],
            1011: pixels[:height, :width], 1012: pixels[:height, width:],
        }  # fmt: skip
        tiles = TILES.split(picture[name])
        for number, quarter in quarters.items():
            off = 255 * np.abs(quarter - tiles.get(number, average[name])).max(2)
            assert (off <= 1).mean() >= 0.999, f"{name} {number}: {off.max()}"


def test_levels_and_tables_lost_with_the_file(tmp_path: Path) -> None:
    """A tiled decoder is updated like any other."""
    found = stream.read(DATA)
    outputs = plane.stage(made(DATA, "UDIM", TILES).tree, TILES.width, TILES.height, lod=1.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "udim.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "udim.blend"))
    update(Decoder(bpy.data.node_groups["Stack"]))
    picture = expected(nodes_show(found.gaussians, 1.0))
    for name, pixels in encoded(plane.render("CYCLES", tmp_path, outputs)).items():
        off = 255 * np.abs(pixels - TILES.split(picture[name])[1001]).max(2)
        assert (off <= 1).mean() >= 0.999, f"{name}: {off.max()}"
