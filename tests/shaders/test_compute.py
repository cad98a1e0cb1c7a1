"""The compute shader gives what the definition says, at every LOD and for every size of tables."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import bpy
import gpu
import numpy as np
import pytest

from imagegs_blender.blend.properties import BAKED, BAKED_ON
from imagegs_blender.core.decoding import lod, tables
from imagegs_blender.core.devices import reference
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.shaders.decoder import set_kind
from imagegs_blender.shaders.glsl import compute
from tests.blend.samples import made
from tests.samples import HEIGHT, MAPS, WIDTH, expected, stack

in_background = pytest.mark.skipif(bpy.app.version < (5, 2), reason="4.5 reaches no GPU in the background")


@in_background
@pytest.mark.parametrize(("topk", "wrap"), [(4, True), (10, False)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0, 2.3, 9.0])
def test_texels(topk: int, wrap: bool, level: float) -> None:
    """Every map within 2/255 everywhere and 1/255 for 99.9 % of the texels of the reference."""
    gpu.init()
    gaussians = stack(topk, wrap)
    built = tables.build(gaussians, MAPS)
    truth = lod.planes(gaussians, built.tail, level) if level else reference.render(gaussians)
    maps = expected(compute.planes(built, level))
    for name, pixels in expected(truth).items():
        off = 255 * np.abs(maps[name] - pixels).max(2)
        assert (off <= 1).mean() >= 0.999 and off.max() <= 2, f"{name}: {off.max()}"


@in_background
@pytest.mark.parametrize(("topk", "narrow"), [(0, 1 << 16), (1, 0), (16, 1 << 16)])
def test_other_sizes(topk: int, narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any K, cells with numbers instead of coordinates, a picture of another size, and in several parts."""
    gpu.init()
    monkeypatch.setattr(tables, "NARROW", narrow)
    monkeypatch.setattr(compute, "MOST_TEXELS", 2000)
    gaussians = stack(topk, True)
    gaussians = replace(gaussians, feature=gaussians.feature[:, :5] * (0.3 if topk == 0 else 1))
    built = tables.build(gaussians)
    found = compute.planes(built, 0.7, 60, 50)
    truth = lod.planes(gaussians, built.tail, 0.7, 60, 50)
    assert (255 * np.abs(found - truth) <= 1).mean() >= 0.999


def test_other_threads_reach_no_gpu() -> None:
    """Handlers run in the thread of an animation render."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(compute.missing).result().startswith("it is rendering")


def test_baked_says_what_decoded_it() -> None:
    """The GPU where there is one, and the same pixels from the CPU where there is none."""
    found = stream.read(stream.write(stack(4, True), MAPS))
    built = tables.build(found.gaussians, found.maps)
    decoder = made()
    if bpy.app.version >= (5, 2):
        gpu.init()
        assert compute.missing() is None
    else:
        assert "Blender 4.5" in compute.missing()
        with pytest.raises(ImageGSError, match=r"decoding on the GPU: Blender 4\.5.* reaches no GPU in the background"):
            compute.planes(built, 0.0)
    set_kind(decoder, BAKED, 0.5)
    assert BAKED_ON.read(decoder.tree) == ("GPU" if bpy.app.version >= (5, 2) else "CPU")
    width, height = WIDTH, HEIGHT
    texels = np.empty(width * height * 4, np.float32)
    decoder.map_images()["color"].pixels.foreach_get(texels)
    truth = expected(lod.planes(found.gaussians, built.tail, 0.5))["color"]
    off = 255 * np.abs(texels.reshape(height, width, 4)[::-1, :, :3] - truth).max(2)
    assert (off <= 1.5).mean() >= 0.999
