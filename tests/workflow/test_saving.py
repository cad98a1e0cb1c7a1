"""What a saved file holds, and what Blender believes is unsaved."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend import storage
from imagegs_blender.shaders import decoder, images
from imagegs_blender.workflow.rebuild import pack_tables
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture(params=["NODES", "BAKED"])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> bpy.types.ShaderNodeTree:
    scene.plane("square", tmp_path)
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0)
    bpy.ops.imagegs.set_decoder(kind=request.param)
    (found,) = storage.decoders()
    return found


def texels(group: bpy.types.ShaderNodeTree) -> dict[str, np.ndarray]:
    found = {}
    for image in decoder.images(group):
        found[image.name] = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(found[image.name])
    assert any(array.any() for array in found.values())
    return found


def same(group: bpy.types.ShaderNodeTree, expected: dict[str, np.ndarray]) -> None:
    for name, array in texels(group).items():
        np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)


def test_nothing_is_unsaved_and_nothing_can_be_lost(group: bpy.types.ShaderNodeTree, tmp_path: Path) -> None:
    """Or Blender would ask at its end whether to save images that nobody made."""
    before = texels(group)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    for image in decoder.images(group):
        assert not image.is_dirty
        image.buffers_free()  # as renderers do
    same(group, before)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    (group,) = storage.decoders()
    assert not any(image.is_dirty for image in bpy.data.images)
    same(group, before)


def test_a_file_holds_streams_and_tables_only_where_asked(group: bpy.types.ShaderNodeTree, tmp_path: Path) -> None:
    before = texels(group)

    def held(name: str, **options: bool) -> list[bool]:
        """Whether the file has each image's texels, judged without the add-on."""
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / name), **options)
        imagegs_blender.unregister()
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / name))
        (reopened,) = storage.decoders()
        found = [images.is_kept(image) for image in decoder.images(reopened)]
        imagegs_blender.register()
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / name))
        return found

    assert not any(held("lean.blend")) and not any(held("copy.blend", copy=True))
    pack_tables()
    assert all(held("whole.blend")) and all(held("again.blend"))
    (reopened,) = storage.decoders()
    same(reopened, before)
    decoder.unpack(reopened)
    assert not any(held("lean again.blend"))


def test_a_save_that_fails_loses_nothing(group: bpy.types.ShaderNodeTree, tmp_path: Path) -> None:
    before = texels(group)
    with pytest.raises(RuntimeError, match="Cannot|No such|not"):
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "none" / "a.blend"))
    assert all(images.is_kept(image) for image in decoder.images(group))
    same(group, before)
