"""What shows a texture in ways that are easily missed: each counts, or else every texel does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.scene import coverage, material_stack
from imagegs_blender.scene.coverage import Importance
from tests.scene import trees
from tests.workflow import scene


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    """A mesh that shows the lower left quarter of its textures, 32 x 32."""
    return scene.plane("square", tmp_path, uv=(0.5, 0.5))


def used(item: bpy.types.Object, *others: bpy.types.Material) -> np.ndarray:
    """(32, 32) bool, row 0 at the top: the texels that count where a mesh's material is compressed, and others with it."""
    (stack,) = material_stack.plan([item.active_material, *others]).stacks
    weights = coverage.weights(stack, Importance())
    return np.ones((32, 32), bool) if weights is None else weights > 0


def another(item: bpy.types.Object, uv: tuple[float, float], name: str = "other") -> bpy.types.Object:
    """A mesh of the same material whose UV map is the square's, moved."""
    mesh = item.data.copy()
    for corner in mesh.uv_layers[0].data:
        corner.uv = (corner.uv[0] + uv[0], corner.uv[1] + uv[1])
    made = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(made)
    return made


def textures(item: bpy.types.Object) -> list[bpy.types.ShaderNodeTexImage]:
    return [node for node in item.active_material.node_tree.nodes if node.bl_idname == "ShaderNodeTexImage"]


def test_the_square_alone_leaves_most_out(square: bpy.types.Object) -> None:
    assert used(square)[16:, :16].all() and not used(square)[6:10, 22:26].any()


# Everything below lets all texels count, as it can't be known, or is not only about this file


def curve(square: bpy.types.Object) -> None:
    data = bpy.data.curves.new("curve", "CURVE")
    data.materials.append(square.active_material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("curve", data))


def metaball(square: bpy.types.Object) -> None:
    data = bpy.data.metaballs.new("ball")
    data.materials.append(square.active_material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("ball", data))


def text(square: bpy.types.Object) -> None:
    data = bpy.data.curves.new("text", "FONT")
    data.materials.append(square.active_material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("text", data))


def volume(square: bpy.types.Object) -> None:
    data = bpy.data.volumes.new("fog")
    data.materials.append(square.active_material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("fog", data))


def generated(square: bpy.types.Object) -> None:
    tree = square.active_material.node_tree
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    tree.links.new(coordinates.outputs["Generated"], textures(square)[0].inputs["Vector"])
    tree.links.new(coordinates.outputs["Generated"], textures(square)[1].inputs["Vector"])


def driven_mapping(square: bpy.types.Object) -> None:
    tree = square.active_material.node_tree
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Location"].driver_add("default_value", 0).driver.expression = "frame / 100"
    tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["UV"], mapping.inputs["Vector"])
    for node in textures(square):
        tree.links.new(mapping.outputs["Vector"], node.inputs["Vector"])


def from_instancer(square: bpy.types.Object) -> None:
    tree = square.active_material.node_tree
    coordinates = tree.nodes.new("ShaderNodeUVMap")
    coordinates.from_instancer = True
    for node in textures(square):
        tree.links.new(coordinates.outputs["UV"], node.inputs["Vector"])


def asset(square: bpy.types.Object) -> None:
    square.active_material.asset_mark()


def override(square: bpy.types.Object) -> None:
    bpy.context.view_layer.material_override = square.active_material


def hair(square: bpy.types.Object) -> None:
    settings = square.modifiers.new("hair", "PARTICLE_SYSTEM").particle_system.settings
    settings.type, settings.render_type = "HAIR", "PATH"


def hidden_with_a_modifier(square: bpy.types.Object) -> None:
    square.modifiers.new("warp", "UV_WARP").scale = (2, 2)
    square.hide_viewport = True


def modifier_of_renders_only(square: bpy.types.Object) -> None:
    square.modifiers.new("warp", "UV_WARP").show_viewport = False


def animated_warp(square: bpy.types.Object) -> None:
    warp = square.modifiers.new("warp", "UV_WARP")
    warp.keyframe_insert("offset", frame=1)


def driven_warp(square: bpy.types.Object) -> None:
    square.modifiers.new("warp", "UV_WARP").driver_add("offset", 0)


def warp_that_follows_an_object(square: bpy.types.Object) -> None:
    square.modifiers.new("warp", "UV_WARP").object_to = square


def other_scene_with_a_modifier(square: bpy.types.Object) -> None:
    copy = another(square, (0, 0))
    copy.modifiers.new("skin", "REMESH")
    bpy.context.scene.collection.objects.unlink(copy)
    bpy.data.scenes.new("other").collection.objects.link(copy)


def point_attribute(square: bpy.types.Object) -> None:
    """A UV Map node reads any attribute of its name."""
    square.data.attributes.new("drawn", "FLOAT2", "POINT")
    tree = square.active_material.node_tree
    coordinates = tree.nodes.new("ShaderNodeUVMap")
    coordinates.uv_map = "drawn"
    for node in textures(square):
        tree.links.new(coordinates.outputs["UV"], node.inputs["Vector"])


def in_the_world_too(square: bpy.types.Object) -> None:
    """The textures are in a node group that the world has as well."""
    group = grouped(square)
    world = bpy.data.worlds.new("sky")
    if world.node_tree is None:
        world.use_nodes = True
    world.node_tree.nodes.new("ShaderNodeGroup").node_tree = group


def geometry_nodes_of_a_hidden_object(square: bpy.types.Object) -> None:
    item = generating(square, instances=False)
    item.hide_viewport = True


def geometry_nodes_of_a_hidden_object_that_are_given_the_material(square: bpy.types.Object) -> None:
    item = generating(square, instances=False)
    modifier = item.modifiers[0]
    tree, material = modifier.node_group, square.active_material
    (node,) = (node for node in tree.nodes if node.bl_idname == "GeometryNodeSetMaterial")
    node.inputs["Material"].default_value = None
    socket = tree.interface.new_socket("Material", in_out="INPUT", socket_type="NodeSocketMaterial")
    tree.links.new(tree.nodes["Group Input"].outputs["Material"], node.inputs["Material"])
    if bpy.app.version < (5, 2):
        modifier[socket.identifier] = material
    else:
        getattr(modifier.properties.inputs, socket.identifier).value = material
    item.hide_viewport = True


def geometry_nodes_in_time(square: bpy.types.Object) -> None:
    item = generating(square, instances=False)
    item.modifiers[0].node_group.nodes.new("GeometryNodeInputSceneTime")


def geometry_nodes_that_make_points(square: bpy.types.Object) -> None:
    generating(square, instances=False, points=True)


UNKNOWN = [
    curve, metaball, text, volume, generated, driven_mapping, from_instancer, asset, override, hair,
    hidden_with_a_modifier, modifier_of_renders_only, animated_warp, driven_warp,
    warp_that_follows_an_object, other_scene_with_a_modifier, point_attribute, in_the_world_too,
    geometry_nodes_of_a_hidden_object, geometry_nodes_of_a_hidden_object_that_are_given_the_material,
    geometry_nodes_in_time, geometry_nodes_that_make_points,
]  # fmt: skip


@pytest.mark.parametrize("change", UNKNOWN, ids=lambda change: change.__name__)
def test_where_it_is_not_known_all_texels_count(
    square: bpy.types.Object, change: Callable[[bpy.types.Object], None]
) -> None:
    change(square)
    bpy.context.view_layer.update()
    assert used(square).all()


def test_a_material_that_no_mesh_has_is_for_later(square: bpy.types.Object) -> None:
    """As in libraries of materials; one that shares the textures of another is no exception."""
    other = square.active_material.copy()
    other.use_fake_user = True
    assert used(square, other).all() and not used(square).all()
    item = another(square, (0, 0.5))
    item.data.materials[0] = other
    assert used(square, other)[:, :16].all() and not used(square, other)[6:10, 22:26].any()
    bpy.data.objects.remove(item)
    bpy.data.objects.remove(square)
    (stack,) = material_stack.plan([other]).stacks
    assert coverage.weights(stack, Importance()) is None


def grouped(item: bpy.types.Object) -> bpy.types.NodeTree:
    """Move the color texture of a material into a node group."""
    tree = item.active_material.node_tree
    group = trees.group("inner", {}, {"Color": "Color"})
    node = group.nodes.new("ShaderNodeTexImage")
    node.image = bpy.data.images[f"{item.name} color"]
    group.links.new(node.outputs["Color"], group.nodes["Group Output"].inputs[0])
    instance = tree.nodes.new("ShaderNodeGroup")
    instance.node_tree = group
    tree.links.new(instance.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
    for node in textures(item):
        tree.nodes.remove(node)
    return group


def generating(
    item: bpy.types.Object, instances: bool, points: bool = False, uv: tuple[float, float] = (0.0, 0.5)
) -> bpy.types.Object:
    """An object without materials whose geometry nodes give its mesh, moved on the texture, the material of another.

    instances   as an instance on each of its points; else in its own mesh
    points      as points
    """
    made = another(item, uv, "made")
    made.data.materials.clear()
    tree = bpy.data.node_groups.new("make", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    start, end, give = (
        tree.nodes.new(kind) for kind in ("NodeGroupInput", "NodeGroupOutput", "GeometryNodeSetMaterial")
    )
    give.inputs["Material"].default_value = item.active_material
    before = start.outputs[0]
    if points:
        convert = tree.nodes.new("GeometryNodeMeshToPoints")
        tree.links.new(before, convert.inputs[0])
        before = convert.outputs[0]
    tree.links.new(before, give.inputs[0])
    after = give.outputs[0]
    if instances:
        place = tree.nodes.new("GeometryNodeInstanceOnPoints")
        tree.links.new(start.outputs[0], place.inputs["Points"])
        tree.links.new(after, place.inputs["Instance"])
        after = place.outputs[0]
    tree.links.new(after, end.inputs[0])
    made.modifiers.new("make", "NODES").node_group = tree
    bpy.context.view_layer.update()
    return made


# Everything below shows another part, which counts


@pytest.mark.parametrize("instances", [False, True], ids=["in its mesh", "as instances"])
def test_what_geometry_nodes_make_counts(square: bpy.types.Object, instances: bool) -> None:
    generating(square, instances)
    assert used(square)[:, :16].all() and not used(square)[6:10, 22:26].any()


def test_a_hidden_mesh_counts_and_so_does_one_of_another_scene(square: bpy.types.Object) -> None:
    hidden = another(square, (0, 0.5))
    hidden.hide_viewport = hidden.hide_render = True
    elsewhere = another(square, (0.5, 0))
    bpy.context.scene.collection.objects.unlink(elsewhere)
    bpy.data.scenes.new("other").collection.objects.link(elsewhere)
    elsewhere.modifiers.new("smooth", "SUBSURF")
    mirror = elsewhere.modifiers.new("mirror", "MIRROR")
    assert used(square)[:, :16].all() and used(square)[16:].all() and not used(square)[6:10, 22:26].any()
    mirror.use_mirror_u = True
    assert used(square).all(), "its modifiers are not evaluated"


def test_a_mesh_that_no_object_has_counts(square: bpy.types.Object) -> None:
    item = another(square, (0, 0.5))
    item.data.use_fake_user = True
    bpy.data.objects.remove(item)
    assert used(square)[:, :16].all()


def test_a_mesh_in_edit_mode_counts_as_it_is_now(square: bpy.types.Object) -> None:
    bpy.ops.object.mode_set(mode="EDIT")
    assert used(square)[16:, :16].all() and not used(square)[6:10, 22:26].any()
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_mesh_without_uvs_shows_one_corner(square: bpy.types.Object) -> None:
    item = another(square, (0, 0))
    item.data.uv_layers.remove(item.data.uv_layers[0])
    before = used(square)
    for corner in square.data.uv_layers[0].data:
        corner.uv = (corner.uv[0] + 0.5, corner.uv[1] + 0.5)
    assert not (used(square) & before)[20:26, 6:12].any() and used(square)[31, 0], "renderers take 0, 0"


@pytest.mark.parametrize(
    ("extension", "uv", "shown", "not_shown"),
    [
        ("REPEAT", (2.0, -3.0), np.s_[16:, :16], np.s_[6:10, 22:26]),
        ("MIRROR", (1.0, 0.0), np.s_[16:, 16:], np.s_[22:26, 4:8]),
        ("MIRROR", (1.5, -1.0), np.s_[:16, :16], np.s_[22:26, 22:26]),
        ("EXTEND", (3.0, 0.0), np.s_[16:, 31], np.s_[20:28, 4:12]),
        ("EXTEND", (-0.25, 0.9), np.s_[0, :8], np.s_[20:28, 20:28]),
        ("CLIP", (0.25, 0.25), np.s_[8:24, 8:24], np.s_[0:2, 0:2]),
    ],
)
def test_coordinates_outside_of_the_texture(
    square: bpy.types.Object, extension: str, uv: tuple[float, float], shown: tuple, not_shown: tuple
) -> None:
    for node in textures(square):
        node.extension = extension
    for corner in square.data.uv_layers[0].data:
        corner.uv = (corner.uv[0] + uv[0], corner.uv[1] + uv[1])
    assert used(square)[shown].all() and not used(square)[not_shown].any()


def test_a_group_counts_wherever_it_is(square: bpy.types.Object) -> None:
    """Another material has the node group that the textures are in: its meshes show them, too."""
    group = grouped(square)
    other, tree = trees.material("other")
    instance = tree.nodes.new("ShaderNodeGroup")
    instance.node_tree = group
    tree.links.new(instance.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
    assert used(square).all(), "no mesh has the other material: it is for later"
    item = another(square, (0, 0.5))
    item.data.materials[0] = other
    assert used(square)[:, :16].all() and not used(square)[6:10, 22:26].any()
