"""A mesh that shows what was left out is found, when the scene is quiet; nothing else is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import bpy
import pytest

from imagegs_blender.blend import properties
from imagegs_blender.blend.decoder import Decoder, decoders
from imagegs_blender.blend.record import Record
from imagegs_blender.core.textures import cells
from imagegs_blender.scene import drop
from imagegs_blender.workflow import uv_changes
from tests.ui.layout import drawn
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")
WORDS = "UVs have changed since: parts of this texture were left out"


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    """A mesh that shows a quarter of its textures, 32 x 32, compressed."""
    item = scene.plane("square", tmp_path, uv=(0.5, 0.5))
    assert bpy.ops.imagegs.compress(preset="fast", bpp=8.0) == {"FINISHED"}
    return item


def mapped(item: bpy.types.Object, size: float) -> None:
    """Let a mesh's UV map cover 0..size."""
    for corner, (x, y) in zip(item.data.uv_layers[0].data, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        corner.uv = (x * size, y * size)
    item.data.update()


def decoder() -> Decoder:
    (found,) = decoders()
    return found


def is_reported() -> bool:
    """Whether the panel says so, once the scene was looked at."""
    uv_changes.look()
    said = WORDS in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text
    assert said == uv_changes.is_outgrown(decoder())
    return said


def test_growth_is_reported_and_nothing_else(square: bpy.types.Object) -> None:
    assert not is_reported()
    mapped(square, 1.0)
    assert is_reported() and "press Recompress" in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text
    mapped(square, 0.3)
    assert not is_reported(), "less is none of it"
    mapped(square, 0.52)
    assert not is_reported(), "so little was kept around it"
    mapped(square, 1.0)
    assert bpy.ops.imagegs.recompress(preset="fast", bpp=8.0) == {"FINISHED"}
    assert not is_reported() and decoder().record.shown == "", "now it is all there"


def other_mesh(square: bpy.types.Object) -> None:
    other = bpy.data.objects.new("other", square.data.copy())
    bpy.context.scene.collection.objects.link(other)
    mapped(other, 0.9)


def mapping_node(square: bpy.types.Object) -> None:
    tree = square.active_material.node_tree
    (node,) = (node for node in tree.nodes if node.bl_idname == "ShaderNodeGroup")
    mapping = tree.nodes.new("ShaderNodeMapping")
    tree.links.new(node.inputs["Vector"].links[0].from_socket, mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], node.inputs["Vector"])


def curve(square: bpy.types.Object) -> None:
    data = bpy.data.curves.new("curve", "CURVE")
    data.materials.append(square.active_material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("curve", data))


def in_edit_mode(square: bpy.types.Object) -> None:
    mapped(square, 0.9)
    bpy.ops.object.mode_set(mode="EDIT")


@pytest.mark.parametrize("change", [other_mesh, mapping_node, curve, in_edit_mode])
def test_other_ways_to_show_more(square: bpy.types.Object, change: Callable[[bpy.types.Object], None]) -> None:
    change(square)
    assert is_reported()
    if bpy.context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")


def gone(square: bpy.types.Object) -> None:
    bpy.data.objects.remove(square)


def hidden_with_a_modifier(square: bpy.types.Object) -> None:
    square.modifiers.new("array", "ARRAY").offset_u = 0.25
    square.hide_viewport = True


def asset(square: bpy.types.Object) -> None:
    square.active_material.asset_mark()


@pytest.mark.parametrize("change", [gone, hidden_with_a_modifier, asset])
def test_what_shows_nothing_more_now_is_not_reported(
    square: bpy.types.Object, change: Callable[[bpy.types.Object], None]
) -> None:
    change(square)
    uv_changes.look()
    assert not uv_changes.is_outgrown(decoder())


def test_it_is_looked_for_after_a_change_and_after_opening(square: bpy.types.Object, tmp_path: Path) -> None:
    """The handlers start the timer; here nobody but the test lets it run."""

    def waits() -> bool:
        waiting = bpy.app.timers.is_registered(uv_changes._on_timer)
        if waiting:
            bpy.app.timers.unregister(uv_changes._on_timer)
        return waiting

    assert waits(), "after compressing"
    bpy.context.view_layer.update()
    waits()
    square.location.x += 1
    bpy.context.view_layer.update()
    assert not waits(), "a mesh that moves shows the same"
    mapped(square, 1.0)
    bpy.context.view_layer.update()
    assert waits()
    assert uv_changes._on_timer() > 0, "not before it is quiet"
    uv_changes.watch.changed -= uv_changes.QUIET_SECONDS
    assert uv_changes._on_timer() is None and uv_changes.is_outgrown(decoder())
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    assert not uv_changes.watch.shown and not waits(), "nothing is compressed"
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert waits()
    uv_changes.look()
    assert uv_changes.is_outgrown(decoder())


def test_records_without_it_show_nothing(square: bpy.types.Object) -> None:
    """Files saved before; and what the record takes."""
    made = decoder()
    text = properties.RECORD.read(made.tree)
    shown = json.loads(text)["shown"]
    assert len(shown) <= 100 and 0.2 < cells.from_text(shown).mean() < 0.8
    properties.RECORD.write(made.tree, json.dumps({key: v for key, v in json.loads(text).items() if key != "shown"}))
    assert made.record.shown == ""
    uv_changes.refresh()
    mapped(square, 1.0)
    assert not is_reported()
    with pytest.raises(ValueError, match="is no grid of cells"):
        Record.from_json(json.dumps({"shown": "not a grid"}))


def test_without_originals_it_says_so(square: bpy.types.Object) -> None:
    drop.drop_originals([square.active_material])
    mapped(square, 1.0)
    assert is_reported()
    assert "its originals were dropped" in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text


def test_several_decoders_of_one_stream_are_told_apart(square: bpy.types.Object, tmp_path: Path) -> None:
    other = scene.plane("other", tmp_path, uv=(0.5, 0.5))
    square.select_set(False)
    assert bpy.ops.imagegs.compress(preset="fast", bpp=8.0) == {"FINISHED"}
    mapped(other, 1.0)
    uv_changes.look()
    outgrown = [found.name for found in decoders() if uv_changes.is_outgrown(found)]
    assert outgrown == ["Image-GS other material"]
