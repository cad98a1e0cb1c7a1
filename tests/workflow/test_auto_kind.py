"""Auto: decoders get the kind that suits the scene, and one that a person chose stays."""

from __future__ import annotations

import sys
from pathlib import Path

import addon_utils
import bpy
import pytest

from imagegs_blender.blend.decoder import Decoder, decoders
from imagegs_blender.blend.properties import BAKED, NODES, OSL
from imagegs_blender.core import machine
from imagegs_blender.shaders.decoder import pack
from imagegs_blender.workflow import auto_kind, render_cost
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_kind, "SHARE", 0.25)


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    return scene.plane("square", tmp_path)


def compressed(**options: object) -> Decoder:
    assert bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True, **options) == {"FINISHED"}
    (decoder,) = decoders()
    return decoder


def test_this_computer_has_memory() -> None:
    assert 0 < (machine.free_memory() or 0) < (machine.memory() or 0)


def test_images_where_there_is_room(plenty: None, square: bpy.types.Object) -> None:
    decoder = compressed()
    assert decoder.is_auto and decoder.kind == BAKED and decoder.is_whole()
    assert auto_kind.choice(bpy.context.scene, 0).kind == BAKED


def test_nodes_where_memory_is_short(square: bpy.types.Object) -> None:
    decoder = compressed()
    assert decoder.is_auto and decoder.kind == NODES and decoder.is_whole()
    assert "saves memory" in auto_kind.reason(bpy.context.scene)


def test_a_file_is_decided_on_where_it_opens(
    square: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "compressed.blend"))
    monkeypatch.setattr(auto_kind, "SHARE", 0.25)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "compressed.blend"))
    (decoder,) = decoders()
    assert decoder.kind == BAKED and decoder.is_whole()


def test_osl_where_cycles_uses_it(plenty: None, square: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python with the bpy module finds no oslquery, which a Blender has: here it is looked for, but not loaded."""
    addon_utils.enable("cycles")
    now = bpy.context.scene
    now.render.engine, now.cycles.device, now.cycles.shading_system = "CYCLES", "CPU", True
    assert auto_kind.choice(now, 0).kind == BAKED
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = Path(bpy.utils.resource_path("LOCAL"), "python", "lib", version, "site-packages")
    monkeypatch.syspath_prepend(str(own))
    assert auto_kind.choice(now, 0).kind == OSL
    assert "times the render time" in render_cost.text(OSL, [], now)
    now.cycles.device = "GPU"  # OptiX compiles it for minutes
    assert auto_kind.choice(now, 0).kind == BAKED
    assert "choose Nodes or Baked" in render_cost.text(OSL, [], now)
    now.cycles.device, now.cycles.shading_system = "CPU", False
    assert auto_kind.choice(now, 0).kind == BAKED


def test_it_is_decided_anew_before_a_render(
    square: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addon_utils.enable("cycles")
    decoder = compressed()
    bpy.ops.object.camera_add(location=(0.5, 0.5, 3))
    now = bpy.context.scene
    now.camera, now.render.filepath = bpy.context.object, str(tmp_path / "render.png")
    now.render.resolution_x = now.render.resolution_y = 8
    now.render.engine, now.cycles.device, now.cycles.samples = "CYCLES", "CPU", 1
    monkeypatch.setattr(auto_kind, "SHARE", 0.25)
    bpy.ops.render.render(write_still=True)
    assert decoder.kind == BAKED and decoder.is_auto and decoder.is_whole()


def test_a_choice_stays(plenty: None, square: bpy.types.Object, tmp_path: Path) -> None:
    decoder = compressed()
    assert bpy.ops.imagegs.set_decoder(kind=NODES) == {"FINISHED"}
    auto_kind.follow(bpy.context.scene)
    assert decoder.kind == NODES and not decoder.is_auto
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "compressed.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "compressed.blend"))
    assert [(decoder.kind, decoder.is_auto) for decoder in decoders()] == [(NODES, False)]
    bpy.data.objects["square"].select_set(True)
    bpy.context.view_layer.objects.active = bpy.data.objects["square"]
    assert bpy.ops.imagegs.recompress(preset="fast", bpp=8.0) == {"FINISHED"}
    assert [(decoder.kind, decoder.is_auto) for decoder in decoders()] == [(NODES, False)]
    assert bpy.ops.imagegs.set_decoder(kind="AUTO") == {"FINISHED"}
    assert [(decoder.kind, decoder.is_auto) for decoder in decoders()] == [(BAKED, True)]
    assert bpy.ops.imagegs.recompress(preset="fast", bpp=16.0) == {"FINISHED"}
    assert [(decoder.kind, decoder.is_auto) for decoder in decoders()] == [(BAKED, True)]


def test_a_script_chooses(plenty: None, square: bpy.types.Object) -> None:
    decoder = compressed(kind=NODES)
    assert decoder.kind == NODES and not decoder.is_auto


def test_a_self_contained_file_has_nodes(plenty: None, square: bpy.types.Object) -> None:
    decoder = compressed()
    pack(decoder)
    assert decoder.kind == NODES and not decoder.is_auto
    assert decoder.is_whole(saved=True)
    with pytest.raises(RuntimeError, match="self-contained"):
        bpy.ops.imagegs.set_decoder(kind="AUTO")
