"""What no Gaussian reaches shows what is around it in every decoder, up close and at every level of detail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import gpu
import numpy as np
import pytest

from imagegs_blender.blend.properties import BAKED
from imagegs_blender.core.decoding import lod, node_tables, reached, tables
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import stream
from imagegs_blender.shaders.decoder import from_tables, set_kind
from imagegs_blender.shaders.glsl import compute
from tests.blend.samples import made
from tests.samples import HEIGHT, MAPS, WIDTH, encoded, expected, nodes_show, stack

from . import osl_worker, plane

LEVELS = (0.0, 0.5, 2.3)


def holed(wrap: bool = True) -> Gaussians:
    """A stack that has Gaussians in its middle only; there it is bright."""
    whole = stack(4, wrap)
    bright = replace(whole, feature=np.maximum(whole.feature, 0.35).astype(np.float32))
    return bright.take(np.flatnonzero(np.abs(bright.mean - 0.5).max(1) < 0.2))


DATA = stream.write(holed(), MAPS)


def check(rendered: dict[str, np.ndarray], level: float, planes: np.ndarray | None = None) -> None:
    """Within 1/255 for 99.9 % of the texels of the definition, or of other planes, and nowhere black."""
    found = stream.read(DATA)
    built = tables.build(found.gaussians, found.maps)
    height, width = rendered["color"].shape[:2]
    truth = expected(lod.planes(found.gaussians, built.tail, level, width, height) if planes is None else planes)
    pictures = encoded(rendered)
    for name, pixels in pictures.items():
        off = 255 * np.abs(pixels - truth[name]).max(2)
        assert (off <= 1).mean() >= 0.999, f"{name} at {level}: {off.max()}"
    assert pictures["color"].min() > 0.3


def test_the_definition_has_a_hole() -> None:
    gaussians = stream.read(DATA).gaussians
    share = reached.planes(gaussians)[1]
    assert (share == 0).mean() > 0.2 and (share > reached.COVERED).mean() > 0.2
    built = tables.build(gaussians, MAPS)
    assert built.tail.holes and str(built.layout).endswith(" H")
    whole = tables.build(stack(4, True), MAPS)
    assert not whole.layout.holes, "the others have the nodes that they always had"


@pytest.mark.parametrize("engine", plane.ENGINES)
def test_nodes(tmp_path: Path, engine: str) -> None:
    found = stream.read(DATA)
    group = from_tables("Stack", MAPS, node_tables.build(found.gaussians, MAPS)).tree
    shots = [(group, level, WIDTH, HEIGHT) for level in LEVELS]
    outputs = plane.stage_shots(shots)
    for level, rendered in zip(LEVELS, plane.render_shots(engine, tmp_path, shots, outputs), strict=True):
        check(rendered, level, nodes_show(found.gaussians, level))


def test_baked(tmp_path: Path) -> None:
    decoder = made(DATA)
    outputs = plane.stage(decoder.tree, WIDTH, HEIGHT)
    set_kind(decoder, BAKED)
    check(plane.render("CYCLES", tmp_path, outputs), 0.0)


def test_osl(tmp_path: Path) -> None:
    for picture, level in zip(osl_worker.rendered(tmp_path, DATA, *map(str, LEVELS)), LEVELS, strict=True):
        check(picture, level)


@pytest.mark.skipif(bpy.app.version < (5, 2), reason="4.5 reaches no GPU in the background")
@pytest.mark.parametrize("level", LEVELS)
def test_compute_shader(level: float) -> None:
    gpu.init()
    found = stream.read(DATA)
    built = tables.build(found.gaussians, found.maps, fine=True)
    off = 255 * np.abs(compute.planes(built, level) - lod.planes(found.gaussians, built.tail, level)).max(0)
    assert (off <= 1).mean() >= 0.999 and off.max() <= 2, off.max()
