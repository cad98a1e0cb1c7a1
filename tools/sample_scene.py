"""Build the sample scene: a tea tin, a potted plant and a tiled table, with baked textures beside the .blend.

python tools/sample_scene.py build/demo/sample/sample.blend        (a Python with the bpy wheel)
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import bpy
from formula import new_material, srgb
from mathutils import Matrix, Vector
from sample_textures import label, leaf, tiles

Maps = dict[str, bpy.types.Image]
Profile = Sequence[tuple[float, float]]


def build(path: Path) -> None:
    """Bake the textures into path's folder/textures, compose the scene, save it."""
    textures = path.parent / "textures"
    textures.mkdir(parents=True, exist_ok=True)
    _empty_scene()
    for bake in (label, leaf, tiles):
        bake(textures)
    _empty_scene()
    _table(_maps(textures, "tiles"))
    _tin(_maps(textures, "label"))
    _plant(_maps(textures, "leaf"))
    _cup()
    _light_and_camera()
    bpy.context.preferences.filepaths.save_version = 0
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True, relative_remap=True)


def _table(maps: Maps) -> None:
    """Occlusion, roughness and metallic come from one image; the height displaces."""
    material, tree, surface = _principled("Tiles")
    orm = _split(tree, _texture(tree, maps["orm"]).outputs["Color"])
    shade = tree.nodes.new("ShaderNodeMix")
    shade.data_type, shade.blend_type = "RGBA", "MULTIPLY"
    shade.inputs[0].default_value = 1
    tree.links.new(_texture(tree, maps["color"]).outputs["Color"], shade.inputs[6])
    tree.links.new(orm.outputs[0], shade.inputs[7])
    tree.links.new(shade.outputs[2], surface.inputs["Base Color"])
    tree.links.new(orm.outputs[1], surface.inputs["Roughness"])
    tree.links.new(orm.outputs[2], surface.inputs["Metallic"])
    tree.links.new(_normal_map(tree, maps["normal"]), surface.inputs["Normal"])
    _displace(tree, maps["height"], 0.004)
    _grid("Table", material, (11, 11), (0, 0.2, 0), Matrix.Identity(3), repeat=9)
    wall = _grid("Wall", _plain("Plaster", "#d9b48f", 0.9), (16, 9), (0, 2.9, 2), Matrix.Rotation(math.pi / 2, 3, "X"))
    wall.visible_glossy = False


def _tin(maps: Maps) -> None:
    """Separate maps for everything; the height goes through a Bump node on top of the normal map."""
    material, tree, surface = _principled("Label")
    tree.links.new(_texture(tree, maps["color"]).outputs["Color"], surface.inputs["Base Color"])
    tree.links.new(_texture(tree, maps["roughness"]).outputs["Color"], surface.inputs["Roughness"])
    tree.links.new(_texture(tree, maps["metallic"]).outputs["Color"], surface.inputs["Metallic"])
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Distance"].default_value = 0.002
    tree.links.new(_texture(tree, maps["height"]).outputs["Color"], bump.inputs["Height"])
    tree.links.new(_normal_map(tree, maps["normal"]), bump.inputs["Normal"])
    tree.links.new(bump.outputs[0], surface.inputs["Normal"])
    place = Matrix.Translation((-0.95, 0, 0)) @ Matrix.Rotation(math.radians(182), 4, "Z") @ Matrix.Scale(1.12, 4)
    _lathe("Tin", material, [(0.5, 0.05), (0.5, 1.6)], place)
    brass = _plain("Brass", "#c79a4b", 0.25, metallic=1)
    _lathe("Foot", brass, [(0.3, 0), (0.5, 0), (0.515, 0.015), (0.515, 0.045), (0.5, 0.06)], place)
    lid = [(0.5, 1.59), (0.52, 1.6), (0.52, 1.74), (0.5, 1.77), (0.42, 1.79), (0.1, 1.8), (0.06, 1.83)]
    _lathe("Lid", brass, [*lid, (0.1, 1.88), (0.1, 1.91), (0.06, 1.95), (0, 1.96)], place)


def _plant(maps: Maps) -> None:
    """Leaves that are cards: one image carries color and alpha."""
    material, tree, surface = _principled("Leaf")
    color = _texture(tree, maps["color"])
    tree.links.new(color.outputs["Color"], surface.inputs["Base Color"])
    tree.links.new(color.outputs["Alpha"], surface.inputs["Alpha"])
    tree.links.new(_texture(tree, maps["roughness"]).outputs["Color"], surface.inputs["Roughness"])
    tree.links.new(_texture(tree, maps["specular"]).outputs["Color"], surface.inputs["Specular IOR Level"])
    tree.links.new(_normal_map(tree, maps["normal"]), surface.inputs["Normal"])
    _displace(tree, maps["height"], 0.004)

    foot = Vector((1.05, 0.7, 0))
    place = Matrix.Translation(foot)
    outside = [(0.3, 0), (0.42, 0), (0.45, 0.03), (0.58, 0.78), (0.63, 0.8), (0.65, 0.84), (0.65, 0.92), (0.62, 0.95)]
    _lathe("Pot", _plain("Terracotta", "#b5694a", 0.7), [*outside, (0.57, 0.93), (0.55, 0.8)], place)
    _lathe("Soil", _plain("Earth", "#2e211a", 0.95), [(0.56, 0.84), (0.3, 0.87), (0, 0.88)], place)

    rng = random.Random(7)
    stalks = bpy.data.curves.new("Stalks", "CURVE")
    stalks.dimensions, stalks.bevel_depth = "3D", 0.016
    stalks.materials.append(_plain("Stalk", "#4d7a35", 0.5))
    leaves, count = [], 23
    for i in range(count):
        age = i / (count - 1)  # the oldest leaves hang low and far out
        turn = i * 2.39996 + rng.uniform(-0.25, 0.25)
        out = Vector((math.cos(turn), math.sin(turn), 0))
        reach, rise = 0.3 + 0.72 * age + rng.uniform(-0.08, 0.08), 2.05 - 1.05 * age**1.4 + rng.uniform(-0.1, 0.1)
        root = foot + out * 0.08 + Vector((0, 0, 0.86))
        tip = foot + out * reach + Vector((0, 0, 0.86 + rise * 0.72))
        _stalk(stalks, root, Vector((0, 0, 0.5 * rise)), tip, out * 0.25)
        tilt = math.radians(32 - 62 * age + rng.uniform(-10, 10))
        forward = (out * math.cos(tilt) + Vector((0, 0, math.sin(tilt)))).normalized()
        across = forward.cross(Vector((0, 0, 1))).normalized()
        across = (Matrix.Rotation(rng.uniform(-0.35, 0.35), 3, forward) @ across).normalized()
        frame = Matrix((across, forward, across.cross(forward))).transposed()
        size = (0.62 + 0.26 * math.sin(math.pi * min(1, 0.25 + age * 0.7))) * rng.uniform(0.92, 1.08)
        leaves.append(_leaf_card(material, frame, tip, size, rng.uniform(0.25, 0.5)))
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Stalks", stalks))
    with bpy.context.temp_override(active_object=leaves[0], selected_editable_objects=leaves):
        bpy.ops.object.join()
    leaves[0].name = "Plant"


def _cup() -> None:
    place = Matrix.Translation((0.12, -0.75, 0)) @ Matrix.Scale(1.1, 4)
    outside = [(0, 0.02), (0.13, 0.02), (0.14, 0.0), (0.16, 0.02), (0.27, 0.16), (0.31, 0.3), (0.325, 0.42)]
    inside = [(0.31, 0.42), (0.295, 0.3), (0.25, 0.16), (0.14, 0.06), (0, 0.05)]
    _lathe("Cup", _plain("Porcelain", "#e9e4da", 0.12), [*outside, *inside], place)
    _lathe("Tea", _plain("Tea", "#7a2f0c", 0.05), [(0.3, 0.335), (0, 0.335)], place)


def _light_and_camera() -> None:
    scene = bpy.context.scene
    sun = bpy.data.lights.new("Sun", "SUN")
    sun.energy, sun.angle, sun.color = 4.6, math.radians(2.5), (1, 0.9, 0.76)
    _place(bpy.data.objects.new("Sun", sun), Vector((-5, -3.5, 5.2)), Vector((0.2, 0.4, 0.8)))
    scene.world = bpy.data.worlds.new("Sky")
    if bpy.app.version < (5, 0):
        scene.world.use_nodes = True
    background = scene.world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.55, 0.68, 0.9, 1)
    background.inputs["Strength"].default_value = 0.55
    camera = bpy.data.cameras.new("Camera")
    camera.lens = 55
    scene.camera = bpy.data.objects.new("Camera", camera)
    _place(scene.camera, Vector((-0.3, -7.6, 2.9)), Vector((0.2, 0, 1.17)))
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.max_bounces = 64, 4
    scene.render.resolution_x, scene.render.resolution_y = 960, 540
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Medium High Contrast"


def _empty_scene() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="cycles")
    bpy.context.scene.render.engine = "CYCLES"


def _maps(folder: Path, name: str) -> Maps:
    """The textures NAME_KIND.png, by kind. Only the one of kind "color" holds colors."""
    maps = {}
    for path in sorted(folder.glob(f"{name}_*.png")):
        kind = path.stem.removeprefix(f"{name}_")
        maps[kind] = bpy.data.images.load(str(path))
        maps[kind].name = path.stem
        maps[kind].colorspace_settings.name = "sRGB" if kind == "color" else "Non-Color"
    return maps


def _principled(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree, bpy.types.Node]:
    material = new_material(name)
    return material, material.node_tree, material.node_tree.nodes["Principled BSDF"]


def _plain(name: str, color: str, roughness: float, metallic: float = 0) -> bpy.types.Material:
    material, _, surface = _principled(name)
    surface.inputs["Base Color"].default_value = (*srgb(color), 1)
    surface.inputs["Roughness"].default_value = roughness
    surface.inputs["Metallic"].default_value = metallic
    return material


def _texture(tree: bpy.types.NodeTree, image: bpy.types.Image) -> bpy.types.Node:
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image, node.label = image, image.name
    node.location = (-700, 300 - 300 * sum(n.type == "TEX_IMAGE" for n in tree.nodes))
    return node


def _split(tree: bpy.types.NodeTree, color: bpy.types.NodeSocket) -> bpy.types.Node:
    node = tree.nodes.new("ShaderNodeSeparateColor")
    tree.links.new(color, node.inputs[0])
    return node


def _normal_map(tree: bpy.types.NodeTree, image: bpy.types.Image) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeNormalMap")
    tree.links.new(_texture(tree, image).outputs["Color"], node.inputs["Color"])
    return node.outputs[0]


def _displace(tree: bpy.types.NodeTree, image: bpy.types.Image, scale: float) -> None:
    node = tree.nodes.new("ShaderNodeDisplacement")
    node.inputs["Scale"].default_value = scale
    tree.links.new(_texture(tree, image).outputs["Color"], node.inputs["Height"])
    tree.links.new(node.outputs[0], tree.nodes["Material Output"].inputs["Displacement"])


def _grid(
    name: str,
    material: bpy.types.Material,
    size: tuple[float, float],
    center: Sequence[float],
    frame: Matrix,
    steps: int = 1,
    repeat: float = 1,
) -> bpy.types.Object:
    """A rectangle across the frame's x and y, its texture repeated."""
    unit = [(i / steps, j / steps) for j in range(steps + 1) for i in range(steps + 1)]
    points = [frame @ Vector(((s - 0.5) * size[0], (t - 0.5) * size[1], 0)) + Vector(center) for s, t in unit]
    row = steps + 1
    corners = [j * row + i for j in range(steps) for i in range(steps)]
    faces = [(a, a + 1, a + 1 + row, a + row) for a in corners]
    return _mesh(name, material, points, faces, [(s * repeat, t * repeat) for s, t in unit])


def _leaf_card(material: bpy.types.Material, frame: Matrix, tip: Vector, size: float, curl: float) -> bpy.types.Object:
    """A curled, folded card; the stalk ends at texture coordinates (0.5, 0.2)."""
    card = _grid("Leaf", material, (1, 1), (0, 0, 0), Matrix.Identity(3), steps=10)
    for vertex in card.data.vertices:
        x, y = vertex.co.x, vertex.co.y + 0.3
        z = abs(x) * 0.3 - curl * max(0.0, y) ** 2 - 0.5 * x * x + 0.03 * math.sin(9 * y) * abs(x)
        vertex.co = tip + frame @ Vector((x * size, y * size, z * size))
    return card


def _lathe(
    name: str, material: bpy.types.Material, profile: Profile, place: Matrix, segments: int = 96
) -> bpy.types.Object:
    """(radius, height) pairs turned about z, from the bottom; the texture goes round twice."""
    rows = [
        [(r * math.cos(k * math.tau / segments), r * math.sin(k * math.tau / segments), z) for k in range(segments + 1)]
        for r, z in profile
    ]
    row = segments + 1
    starts = [j * row + k for j in range(len(profile) - 1) for k in range(segments)]
    uvs = [(2 * k / segments, j / (len(profile) - 1)) for j in range(len(profile)) for k in range(segments + 1)]
    faces = [(a, a + 1, a + 1 + row, a + row) for a in starts]
    item = _mesh(name, material, [p for r in rows for p in r], faces, uvs)
    item.data.transform(place)
    return item


def _mesh(
    name: str,
    material: bpy.types.Material,
    points: Sequence[Sequence[float]],
    faces: Sequence[tuple[int, ...]],
    uvs: Sequence[tuple[float, float]],
) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], faces)
    layer = mesh.uv_layers.new(name="UVMap")
    for loop, uv in zip(mesh.loops, layer.data, strict=True):
        uv.uv = uvs[loop.vertex_index]
    mesh.materials.append(material)
    mesh.shade_smooth()
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    return item


def _stalk(curve: bpy.types.Curve, root: Vector, up: Vector, tip: Vector, out: Vector) -> None:
    spline = curve.splines.new("BEZIER")
    spline.bezier_points.add(1)
    for point, position, handle in zip(spline.bezier_points, (root, tip), (up, out), strict=True):
        point.co, point.handle_left, point.handle_right = position, position - handle, position + handle


def _place(item: bpy.types.Object, position: Vector, target: Vector) -> None:
    bpy.context.scene.collection.objects.link(item)
    item.location = position
    item.rotation_euler = (target - position).to_track_quat("-Z", "Y").to_euler()


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
