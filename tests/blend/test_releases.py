"""A lean .blend saved by either Blender opens, renders and restores in the other (make_version_2.py made them)."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from imagegs_blender.scene import replace
from tests.blend.make_version_2 import FILES, given
from tests.shaders import plane

pytestmark = pytest.mark.usefixtures("addon")
RELEASES = ("4.5", "5.2")
TOLERANCE = 2.4 / 255
"""One step of an 8-bit sRGB image, in the linear values that are rendered: what a GPU decodes may be rounded the other way."""


NODES_RMS = 0.02
"""Of nodes, which blend all candidates of a cell since: the root mean square of the difference, of a small busy texture."""


def check(output: str, pixels: np.ndarray, truth: np.ndarray) -> None:
    """What a decoder gives now is what it gave then; nodes as near as docs/decoders.md says."""
    if "baked" in output:
        np.testing.assert_allclose(pixels, truth, atol=TOLERANCE, err_msg=output)
    else:
        off = pixels.astype(np.float32) - truth.astype(np.float32)
        assert np.sqrt(np.mean(off**2)) < NODES_RMS and np.abs(off.mean((0, 1))).max() < 0.004, output


@pytest.fixture
def addon() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    plane.enable_cycles()
    yield
    imagegs_blender.unregister()


def opened(release: str) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(FILES / f"version-2-{release}.blend"))
    plane.enable_cycles()
    assert len(decoders()) == 4 and all(decoder.problems == [] for decoder in decoders())


@pytest.mark.parametrize("release", RELEASES)
def test_rendered(release: str, tmp_path: Path) -> None:
    opened(release)
    kinds = {
        decoder.short_name: (decoder.kind, decoder.extension, decoder.shared is not None) for decoder in decoders()
    }
    assert kinds["nodes"] == ("NODES", "REPEAT", False) and kinds["baked"] == ("BAKED", "REPEAT", False)
    assert sorted(kind for name, kind in kinds.items() if name.startswith("shared")) == [
        ("NODES", "EXTEND", True), ("NODES", "REPEAT", True),
    ]  # fmt: skip
    with np.load(FILES / f"version-2-{release}.npz") as truth:
        found = given(tmp_path)
        assert found.keys() == set(truth)
        for output, pixels in found.items():
            check(output, pixels, truth[output])


@pytest.mark.parametrize("release", RELEASES)
def test_without_the_addon_it_shows_averages_and_loses_nothing(release: str, tmp_path: Path) -> None:
    """Saved by a Blender that lacks the add-on, it is whole again in one that has it."""
    imagegs_blender.unregister()
    try:
        opened(release)
        with np.load(FILES / f"version-2-{release}.npz") as truth:
            for output, pixels in given(tmp_path).items():
                average = pixels.reshape(-1, 3).astype(np.float32)
                assert np.ptp(average, axis=0).max() < 0.01, f"{output} is plain"
                assert np.abs(average[0] - truth[output].astype(np.float32).mean((0, 1))).max() < 0.1, output
        opened(release)
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "again.blend"))
    finally:
        imagegs_blender.register()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "again.blend"))
    plane.enable_cycles()
    with np.load(FILES / f"version-2-{release}.npz") as truth:
        for output, pixels in given(tmp_path).items():
            check(output, pixels, truth[output])


@pytest.mark.parametrize("release", RELEASES)
def test_restored(release: str) -> None:
    opened(release)
    assert replace.restore(bpy.data.materials) == 7
    assert decoders() == []
    for name in ("nodes", "baked", "shared"):
        nodes = bpy.data.materials[name].node_tree.nodes
        image = nodes["Principled BSDF"].inputs["Base Color"].links[0].from_node.image
        assert image.name == f"{name} color" and image.packed_file is not None
