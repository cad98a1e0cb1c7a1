"""Baked maps are files where a scene is rendered with Blender's texture cache, which reads nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import addon_utils
import bpy
import numpy as np
import pytest

from imagegs_blender.blend import map_files
from imagegs_blender.blend.decoder import Decoder, decoders
from imagegs_blender.blend.properties import BAKED
from imagegs_blender.shaders.decoder import pack
from imagegs_blender.workflow import auto_kind, levels, rebuild
from tests.shaders import plane
from tests.workflow import scene

if bpy.app.version < (5, 2):
    pytest.skip("Blender has a texture cache since 5.2", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files of this test are."""
    place = tmp_path / "cache" / "maps"
    monkeypatch.setattr(map_files, "folder", lambda: place)
    return place


@pytest.fixture
def decoder(tmp_path: Path, folder: Path) -> Decoder:
    """A Baked one in a scene for Cycles."""
    scene.plane("square", tmp_path)
    addon_utils.enable("cycles")
    now = bpy.context.scene
    now.render.engine, now.cycles.device = "CYCLES", "CPU"
    assert bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True, kind=BAKED) == {"FINISHED"}
    (made,) = decoders()
    return made


def rendered(decoder: Decoder, folder: Path) -> np.ndarray:
    """All maps, as Cycles shows them on a plane."""
    plane.enable_cycles()
    outputs = plane.stage(decoder.tree, *decoder.size)
    shown = plane.render("CYCLES", folder, outputs)
    for obj in list(bpy.data.objects):
        if obj.name != "square":
            bpy.data.objects.remove(obj)
    return np.concatenate(list(shown.values()))


def use_cache(yes: bool) -> None:
    render = bpy.context.scene.render
    render.use_texture_cache = render.use_auto_generate_texture_cache = yes
    auto_kind.follow(bpy.context.scene)


def state(folder: Path) -> dict[Path, tuple[int, float]]:
    """Which files there are, and when they were written."""
    return {path: (path.stat().st_ino, path.stat().st_mtime) for path in folder.rglob("*") if path.is_file()}


def are_files(decoder: Decoder) -> bool:
    images = decoder.map_images().values()
    assert decoder.is_whole() and len({map_files.holds(image) for image in images}) == 1
    return all(map(map_files.holds, images))


def test_maps_are_files_while_the_scene_has_a_cache(decoder: Decoder, folder: Path, tmp_path: Path) -> None:
    assert not are_files(decoder) and not folder.exists()
    packed = rendered(decoder, tmp_path)
    use_cache(True)
    assert are_files(decoder)
    shown = rendered(decoder, tmp_path)
    assert list(folder.glob("blender_tx/*.tx")), "Blender made no form of its own"
    assert np.abs(shown - packed).max() < 0.02
    use_cache(False)
    assert not are_files(decoder)
    assert np.array_equal(rendered(decoder, tmp_path), packed)


def test_files_are_made_once(decoder: Decoder, folder: Path, tmp_path: Path) -> None:
    use_cache(True)
    rendered(decoder, tmp_path)
    made = state(folder)
    assert len(made) == 2 * len(decoder.maps), "a file of ours and one of Blender's for each map"
    path = tmp_path / "compressed.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    assert str(folder).encode() not in path.read_bytes(), "the file names a folder of this computer"
    bpy.ops.wm.open_mainfile(filepath=str(path))
    (again,) = decoders()
    rendered(again, tmp_path)
    assert are_files(again) and state(folder) == made


def test_files_that_are_gone_are_made_again(decoder: Decoder, folder: Path, tmp_path: Path) -> None:
    use_cache(True)
    before = rendered(decoder, tmp_path)
    for path in folder.glob("*.png"):
        path.unlink()
    assert not decoder.is_whole()
    assert np.array_equal(rendered(decoder, tmp_path), before) and are_files(decoder)


def test_a_slider_writes_no_files_and_the_next_render_does(decoder: Decoder, folder: Path) -> None:
    use_cache(True)
    count = len(list(folder.glob("*.png")))
    for level in (1.0, 1.5, 2.0):
        levels.set_levels([bpy.context.object.active_material], level)
        assert levels.follow_levels() == 1
    assert not are_files(decoder) and len(list(folder.glob("*.png"))) == count
    now = bpy.context.scene
    now.render.resolution_x = now.render.resolution_y = 8
    bpy.ops.object.camera_add()
    now.camera = bpy.context.object
    bpy.ops.render.render()
    assert are_files(decoder) and len(list(folder.glob("*.png"))) == 2 * count


def test_a_self_contained_file_holds_its_maps(decoder: Decoder, folder: Path, tmp_path: Path) -> None:
    use_cache(True)
    pack(decoder)
    path = tmp_path / "whole.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    (again,) = decoders()
    assert again.self_contained and again.is_whole(saved=True) and not are_files(again)


def test_what_is_not_used_for_a_month_is_removed(decoder: Decoder, folder: Path) -> None:
    folder.mkdir(parents=True)
    old, new = folder / "old.png", folder / "new.png"
    (folder / "blender_tx").mkdir()
    converted = folder / "blender_tx" / "old.png.0-AB.tx"
    for path in (old, new, converted):
        path.write_bytes(b"")
    for path in (old, converted):
        os.utime(path, (0, 0))
    use_cache(True)
    assert new.exists() and not old.exists() and not converted.exists()


def test_auto_takes_images_that_the_cache_keeps_out_of_memory(decoder: Decoder) -> None:
    """However little of it is free."""
    use_cache(True)
    chosen = auto_kind.choice(bpy.context.scene, 1 << 50)
    assert chosen.kind == BAKED and "texture cache" in chosen.why


def test_a_folder_that_cant_be_made_is_one_line(decoder: Decoder, folder: Path, capfd: pytest.CaptureFixture) -> None:
    """And without the cache, all is there again."""
    folder.parent.write_bytes(b"a file is in the way")
    use_cache(True)
    (told,) = (line for line in capfd.readouterr().err.splitlines() if "can't be made" in line)
    assert "switch off the scene's texture cache" in told
    use_cache(False)
    assert rebuild.rebuild_lost() == []
    assert not are_files(decoder)
