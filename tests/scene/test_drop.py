"""What Drop Originals removes, and what it keeps and why: every way in which a file can hold an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest

from imagegs_blender.scene import drop, replace
from tests.scene import trees
from tests.scene.test_replace import replace_all


@pytest.fixture
def wall(tmp_path: Path) -> bpy.types.Material:
    """A replaced material, used by an object of the scene, with one original, brick."""
    bpy.ops.wm.read_factory_settings()  # with its editors
    material, tree = trees.material("wall")
    trees.texture(tree, trees.image("brick", tmp_path), ("Color", "Principled BSDF", "Base Color"))
    material.use_fake_user = False
    _shown(material)
    replace_all([material])
    return material


def _shown(material: bpy.types.Material) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(material.name)
    mesh.materials.append(material)
    made = bpy.data.objects.new(material.name, mesh)
    bpy.context.scene.collection.objects.link(made)
    return made


def _in_image_editor(image: bpy.types.Image) -> None:
    (space, *_) = (
        space
        for screen in bpy.data.screens
        for area in screen.areas
        for space in area.spaces
        if space.type == "IMAGE_EDITOR"
    )
    space.image = image
    assert image.use_extra_user


def _fake_user(image: bpy.types.Image) -> None:
    image.use_fake_user = True


def _painted_on(image: bpy.types.Image) -> None:
    bpy.context.scene.tool_settings.image_paint.canvas = image


def _deleted_object(image: bpy.types.Image) -> None:
    """What is left of an object that was deleted is not saved, nor is its material."""
    material, tree = trees.material("old")
    trees.texture(tree, image, ("Color", "Principled BSDF", "Base Color"))
    material.use_fake_user = False
    item = _shown(material)
    bpy.context.scene.collection.objects.unlink(item)
    assert material.users == 1 and item.users == 0


@pytest.mark.parametrize("hold", [_in_image_editor, _fake_user, _painted_on, _deleted_object])
def test_what_only_holds_an_image_does_not_keep_it(
    wall: bpy.types.Material, hold: Callable[[bpy.types.Image], None]
) -> None:
    hold(bpy.data.images["brick"])
    assert [image.name for image in drop.droppable([wall])[0]] == ["brick"]
    assert drop.drop_originals([wall]) == (["brick"], [])
    assert "brick" not in bpy.data.images and not replace.originals(wall.node_tree)


def _world(image: Any) -> str:
    world = bpy.data.worlds.new("Sky")
    if world.node_tree is None:
        world.use_nodes = True
    world.node_tree.nodes.new("ShaderNodeTexEnvironment").image = image
    bpy.context.scene.world = world
    return 'the world "Sky"'


def _light(image: Any) -> str:
    light = bpy.data.lights.new("Lamp", "SPOT")
    if light.node_tree is None:
        light.use_nodes = True
    light.node_tree.nodes.new("ShaderNodeTexImage").image = image
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Lamp", light))
    return 'the light "Lamp"'


def _brush(image: Any) -> str:
    texture = bpy.data.textures.new("Stamp", "IMAGE")
    texture.image = image
    bpy.data.brushes.new("Stamper").texture = texture
    bpy.data.brushes["Stamper"].use_fake_user = True
    return 'the texture "Stamp"'


def _compositor(image: Any) -> str:
    scene = bpy.context.scene
    if bpy.app.version < (5, 0):
        scene.use_nodes = True
        tree, word = scene.node_tree, f'the scene "{scene.name}"'
    else:
        tree = scene.compositing_node_group = bpy.data.node_groups.new("Grade", "CompositorNodeTree")
        word = 'the node group "Grade"'
    tree.nodes.new("CompositorNodeImage").image = image
    scene.tool_settings.image_paint.canvas = image
    return word


def _geometry_nodes(image: Any) -> str:
    tree = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    tree.nodes.new("GeometryNodeImageTexture").inputs["Image"].default_value = image
    bpy.data.objects["wall"].modifiers.new("Scatter", "NODES").node_group = tree
    return 'the node group "Scatter"'


def _background(image: Any) -> str:
    camera = bpy.data.cameras.new("View")
    camera.background_images.new().image = image
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("View", camera))
    return 'the camera "View"'


def _other_material(image: Any) -> str:
    _, tree = trees.material("floor")
    tree.nodes.new("ShaderNodeTexImage").image = image
    return 'the material "floor"'


def _own_material(image: Any) -> str:
    bpy.data.materials["wall"].node_tree.nodes.new("ShaderNodeTexImage").image = image
    return 'the material "wall"'


@pytest.mark.parametrize(
    "use",
    [_world, _light, _brush, _compositor, _geometry_nodes, _background, _other_material, _own_material],
)
def test_what_really_uses_an_image_keeps_it_and_is_named(
    wall: bpy.types.Material, use: Callable[[bpy.types.Image], str]
) -> None:
    image = bpy.data.images["brick"]
    user = use(image)
    image.use_fake_user = True
    removed, kept = drop.drop_originals([wall])
    assert (removed, [str(one) for one in kept]) == ([], [f"brick, which {user} uses"])
    assert bpy.data.images["brick"] == image and not replace.originals(wall.node_tree)
    if use is _compositor:
        assert bpy.context.scene.tool_settings.image_paint.canvas == image


def test_several_users_are_named_up_to_three(wall: bpy.types.Material) -> None:
    image = bpy.data.images["brick"]
    _world(image)
    _light(image)
    ((kept,)) = drop.droppable([wall])[1]
    assert str(kept) == 'brick, which the light "Lamp" and the world "Sky" use'
    assert drop.Kept.from_json({"image": "brick", "users": [vars(user) for user in kept.users]}) == kept
    for number in range(3):
        _, tree = trees.material(f"floor {number}")
        tree.nodes.new("ShaderNodeTexImage").image = image
    ((kept,)) = drop.drop_originals([wall])[1]
    materials = 'the material "floor 0", the material "floor 1"'
    assert str(kept) == f'brick, which the light "Lamp", {materials} and 2 more use'


def test_two_materials_that_share_an_image_drop_it_together(wall: bpy.types.Material) -> None:
    other = wall.copy()
    other.use_fake_user = True
    assert [str(kept) for kept in drop.droppable([wall])[1]] == [f'brick, which the material "{other.name}" uses']
    assert drop.drop_originals([wall, other]) == (["brick"], [])


def test_dropping_leaves_nothing_to_restore(wall: bpy.types.Material) -> None:
    drop.drop_originals([wall])
    assert not any(node.label == replace.FRAME for node in wall.node_tree.nodes)
    links = trees.dump(wall.node_tree)
    assert replace.restore([wall]) == 0
    assert trees.dump(wall.node_tree) == links, "nothing to restore, nothing changed"
