"""What a saved file holds, and what Blender believes is unsaved."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend import derived
from imagegs_blender.blend.decoder import Decoder, decoders
from imagegs_blender.shaders.decoder import unpack
from imagegs_blender.workflow.saving import pack_tables
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture(params=["NODES", "BAKED"])
def decoder(request: pytest.FixtureRequest, tmp_path: Path) -> Decoder:
    scene.plane("square", tmp_path)
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    bpy.ops.imagegs.set_decoder(kind=request.param)
    (found,) = decoders()
    return found


def texels(decoder: Decoder) -> dict[str, np.ndarray]:
    found = {}
    for image in decoder.derived_images():
        found[image.name] = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(found[image.name])
    assert any(array.any() for array in found.values())
    return found


def same(decoder: Decoder, expected: dict[str, np.ndarray]) -> None:
    for name, array in texels(decoder).items():
        np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)


def test_nothing_is_unsaved_and_nothing_can_be_lost(decoder: Decoder, tmp_path: Path) -> None:
    """Or Blender would ask at its end whether to save images that nobody made."""
    before = texels(decoder)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    for image in decoder.derived_images():
        assert not image.is_dirty
        image.buffers_free()  # as renderers do
    same(decoder, before)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    (decoder,) = decoders()
    assert not any(image.is_dirty for image in bpy.data.images)
    same(decoder, before)


def test_a_file_holds_streams_and_tables_only_where_asked(decoder: Decoder, tmp_path: Path) -> None:
    before = texels(decoder)

    def held(name: str, **options: bool) -> list[bool]:
        """Whether the file has each image's texels, judged without the add-on."""
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / name), **options)
        imagegs_blender.unregister()
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / name))
        (reopened,) = decoders()
        found = [derived.is_kept(image) for image in reopened.derived_images()]
        imagegs_blender.register()
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / name))
        return found

    assert not any(held("lean.blend")) and not any(held("copy.blend", copy=True))
    pack_tables()
    assert all(held("whole.blend")) and all(held("again.blend"))
    (reopened,) = decoders()
    same(reopened, before)
    unpack(reopened)
    assert not any(held("lean again.blend"))


def test_a_save_that_fails_loses_nothing(decoder: Decoder, tmp_path: Path) -> None:
    before = texels(decoder)
    with pytest.raises(RuntimeError, match=r"Cannot|No such|not"):
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "none" / "a.blend"))
    assert all(derived.is_kept(image) for image in decoder.derived_images())
    same(decoder, before)
