"""What the buttons are about: one material, those of the selected objects, or all of the file."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest

from imagegs_blender.blend.decoder import decoder_nodes
from imagegs_blender.workflow import levels, selection
from tests.ui.layout import drawn
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    """A selected square with two material slots, and another square that is not selected."""
    second = scene.plane("second", tmp_path)
    rest = scene.plane("rest", tmp_path)
    item = scene.plane("first", tmp_path)
    item.data.materials.append(second.active_material)
    rest.select_set(False)
    second.select_set(False)
    return item


def compressed() -> set[str]:
    return {m.name for m in bpy.data.materials if m.node_tree and any(decoder_nodes(m.node_tree))}


def compress(scope: str) -> set[str]:
    bpy.context.scene.imagegs_scope = scope
    assert bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True) == {"FINISHED"}
    return compressed()


def test_the_selected_objects_are_the_default(square: bpy.types.Object) -> None:
    assert selection.scope(bpy.context) == selection.SELECTED
    assert compress(selection.SELECTED) == {"first material", "second material"}


def test_one_slot_alone(square: bpy.types.Object) -> None:
    square.active_material_index = 1
    assert compress(selection.ACTIVE) == {"second material"}
    text = drawn(bpy.types.IMAGEGS_PT_compress_material).text
    assert "Compress Active Material" in text and "second material" in text and "first" not in text
    square.active_material_index = 0
    assert not bpy.ops.imagegs.restore.poll(), "the material in the active slot is not compressed"
    square.active_material_index = 1
    assert bpy.ops.imagegs.restore() == {"FINISHED"} and compressed() == set()


def test_the_whole_file(square: bpy.types.Object) -> None:
    bpy.data.materials.new("unused").use_nodes = True
    square.select_set(False)
    assert compress(selection.FILE) == {"first material", "second material", "rest material"}
    assert "3 materials" in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text
    assert bpy.ops.imagegs.restore() == {"FINISHED"} and compressed() == set()


@pytest.mark.parametrize("scope", selection.NOTHING)
def test_an_empty_scope_says_so(scope: str) -> None:
    bpy.context.scene.imagegs_scope = scope
    assert not bpy.ops.imagegs.compress.poll() and not bpy.ops.imagegs.compare.poll()
    assert selection.NOTHING[scope] in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text


def test_the_slider_shows_what_the_scope_has(square: bpy.types.Object) -> None:
    compress(selection.FILE)
    chosen, materials = bpy.context.scene.imagegs, bpy.data.materials
    bpy.context.scene.imagegs_scope = selection.ACTIVE
    chosen.lod = 2.0
    assert [levels.levels([materials[f"{name} material"]]) for name in ("first", "rest")] == [{2.0}, {0.0}]
    bpy.context.scene.imagegs_scope = selection.FILE
    assert chosen.lod == 0.0, "the finest of several"
    assert "LOD (0 to 2)" in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text
    chosen.lod = 1.5
    assert levels.levels(materials) == {1.5} and chosen.lod == 1.5
    assert "LOD (" not in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text
    (node,) = decoder_nodes(materials["rest material"].node_tree)
    node.inputs["LOD"].default_value = 3.0
    bpy.context.scene.imagegs_scope = selection.ACTIVE
    assert chosen.lod == 1.5
