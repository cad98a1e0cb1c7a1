"""Render materials with each of their maps disturbed: what sensitivity.py starts in a Blender of its own.

    blender -b --factory-startup --python sensitivity_script.py -- LIBRARY.blend TASK.json RESULT.json

Either one material on a sphere under three area lights, or a whole scene as its cameras see it; Cycles on the processor. A map
is disturbed by noise where its nodes hand it out, in the numbers that a fit keeps: of a color they are sRGB. Writes "change": by
map, the mean squared change of the pictures (0..1) over that of a number of the map. And "texels": of a scene, the same by place
in the texture, all maps together, (n, n), row 0 at the top, at most 1; null where places aren't known. What can't be done is
{"error": why}. This file needs nothing but Blender.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np

import addon_utils  # isort: skip  # part of Blender: there once bpy is imported

blender: Any = bpy
"""Its annotations doubt what a new scene has."""

SIDE, SAMPLES = 160, 16
"""Pixels along the picture of a sphere, and along the longer side of a scene's the double; samples of a pixel."""

DEVIATION = 12 / 255
"""Of the noise; about what compression leaves in a map."""

GRAIN = 0.012
"""Of the noise on the sphere, in units of its radius: a pixel, about."""

BLOB = 4
"""Of the noise in a scene, texels: about as broad as what compression leaves. So what is far away averages it out."""

VIEWS = 6
"""Pictures of a scene, at most: one by each camera, three by one that moves."""

CELLS, FEWEST = 64, 4
"""Cells along a texture, at most; with fewer than these, a scene shows too little of it to tell places apart."""

PIXELS = 8
"""Of a cell, in the mean."""

BRIGHTEST, SEEN_MOST = 99.5, 95
"""Percent of a scene's pixels, and of the cells seen, that are believed: a spark must not outshine all others."""

POWER = 0.5
"""Of the squared change of a cell: with 1 the same cameras gained no more, and others less (benchmarks/camera_weights.py)."""

View = tuple[Any, int]
"""A camera and a frame."""


class Refused(Exception):
    """Why it can't be done, in words for a person."""


def main(library: str, task: str, result: str) -> None:
    asked, folder = json.loads(Path(task).read_text("utf-8")), Path(result).parent
    blender.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable("cycles")
    try:
        found = of_scene(library, asked, folder) if asked["scene"] else of_material(library, asked, folder)
    except Refused as error:
        found = {"error": str(error)}
    Path(result).write_text(json.dumps(found), "utf-8")


def of_material(library: str, asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The first material on a sphere: of several it shows most of the maps."""
    with blender.data.libraries.load(library, link=False) as (_, wanted):
        wanted.materials = asked["materials"][:1]
    (material,) = wanted.materials
    _stage(material)
    _plain(blender.context.scene, SIDE, SIDE)
    change, _ = _changes(blender.context.scene, [(blender.context.scene.camera, 1)], asked["maps"], _on_sphere, folder)
    return {"change": change, "texels": None}


def of_scene(library: str, asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """All materials where they are, as the scene's cameras see them."""
    with blender.data.libraries.load(library, link=False) as (_, wanted):
        wanted.scenes = [asked["scene"]]
    (scene,) = wanted.scenes
    blender.context.window.scene = scene  # of another one, a second picture would be of the first one's frame
    views = _views(scene)
    if not views:
        raise Refused(f"{asked['scene']}: the scene has no camera; add one, or choose By Render")
    size = (
        scene.render.resolution_x * scene.render.pixel_aspect_x,
        scene.render.resolution_y * scene.render.pixel_aspect_y,
    )
    width, height = (max(8, round(2 * SIDE * n / max(size))) for n in size)
    _plain(scene, width, height)
    change, changed = _changes(scene, views, asked["maps"], _on_texels, folder)
    places = [_places(scene, view, asked, folder) for view in views]
    if not any(shown.any() for _, shown in places):
        raise Refused(f"no camera of the scene sees {asked['materials'][0]}")
    return {"change": change, "texels": _texels(changed, places, asked)}


def _changes(
    scene: Any, views: Sequence[View], maps: list[dict[str, Any]], around: Callable[..., Any], folder: Path
) -> tuple[dict[str, float], np.ndarray]:
    """By map, how much the pictures change; and by view and pixel (n, h, w), all maps together."""
    before = np.stack([_rendered(scene, view, folder) for view in views])
    found, changed = {}, np.zeros(before.shape[:3])
    for info in maps:
        trees = [(_tree(kind, name), node) for kind, name, node in info["nodes"]]
        added = [_disturb(tree, node, info, around) for tree, node in trees if tree is not None]
        pictures = np.stack([_rendered(scene, view, folder) for view in views])
        squares = ((pictures - before) ** 2).mean(axis=3)
        squares = np.minimum(squares, np.percentile(squares[squares > 0], BRIGHTEST)) if squares.any() else squares
        found[info["name"]] = float(squares.mean()) / DEVIATION**2
        changed += squares
        for undo in added:
            undo()
    return found, changed


def _tree(kind: str, name: str) -> Any:
    """None for a group, or a material, that this file doesn't have: others of the stack may. Linked ones aren't of the stack."""
    if kind == "group":
        return blender.data.node_groups.get((name, None))
    material = blender.data.materials.get((name, None))
    return material and material.node_tree


def _stage(material: Any) -> None:
    """The sphere with the material, lights, camera."""
    scene = blender.context.scene
    blender.ops.mesh.primitive_uv_sphere_add(segments=96, ring_count=48, radius=1)
    sphere = blender.context.object
    sphere.data.materials.append(material)
    sphere.data.polygons.foreach_set("use_smooth", np.ones(len(sphere.data.polygons), bool))
    trees = [material.node_tree, *blender.data.node_groups]
    names = {node.uv_map for tree in trees for node in tree.nodes if node.bl_idname in _WITH_UV and node.uv_map}
    for name in sorted(names - set(sphere.data.uv_layers.keys())):
        sphere.data.uv_layers.new(name=name)  # as the one that is there
    for place, energy, size in (((3, -3, 3), 250, 2), ((-4, -2, 1), 120, 1), ((0, 3, 3), 150, 3)):
        blender.ops.object.light_add(type="AREA", location=place, rotation=_towards_origin(place))
        light = blender.context.object.data
        light.energy, light.size = energy, size
    behind = (0.0, -2.6, 0.6)
    blender.ops.object.camera_add(location=behind, rotation=_towards_origin(behind))
    scene.camera = blender.context.object
    scene.world = blender.data.worlds.new("world")
    _tree_of(scene.world).nodes["Background"].inputs["Color"].default_value = (0.05, 0.05, 0.05, 1)
    scene.view_settings.view_transform = "Standard"


_WITH_UV = ("ShaderNodeUVMap", "ShaderNodeNormalMap", "ShaderNodeTangent")


def _towards_origin(place: Sequence[float]) -> Any:
    from mathutils import Vector  # part of Blender

    return (-Vector(place)).to_track_quat("-Z", "Y").to_euler()


def _tree_of(owner: Any) -> Any:
    """The node tree of a material or a world, which before Blender 5 may have none."""
    if owner.node_tree is None:
        owner.use_nodes = True
    return owner.node_tree


def _views(scene: Any) -> list[View]:
    """Where the pictures are taken from, the scene's own camera first."""
    cameras = [obj for obj in scene.objects if obj.type == "CAMERA"]
    cameras.sort(key=lambda obj: (obj != scene.camera, obj.name))
    frames = sorted({scene.frame_start, (scene.frame_start + scene.frame_end) // 2, scene.frame_end})
    views = []
    for camera in cameras:
        views += [(camera, frame) for frame in (frames if _moves(camera) else [scene.frame_current])]
    return views[:VIEWS]


def _moves(obj: Any) -> bool:
    """Whether an object, or what it hangs on, is animated or follows something."""
    return obj.animation_data is not None or bool(obj.constraints) or (obj.parent is not None and _moves(obj.parent))


def _plain(scene: Any, width: int, height: int) -> None:
    """Small pictures by Cycles of what the view layer has, without what comes after it."""
    render = scene.render
    render.engine, scene.cycles.device, render.use_persistent_data = "CYCLES", "CPU", True
    scene.cycles.samples, scene.cycles.seed, scene.cycles.use_animated_seed = SAMPLES, 1, False
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1
    render.use_border = render.use_compositing = render.use_sequencer = render.use_motion_blur = False
    render.use_multiview = render.use_freestyle = render.use_stamp = False
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGB"
    render.image_settings.color_depth = "16"


def _rendered(scene: Any, view: View, folder: Path) -> np.ndarray:
    """(height, width, 3) float32, row 0 at the bottom; 0..1 as on a screen, or as they are where the scene writes OpenEXR."""
    path = str(folder / "render") + scene.render.file_extension
    scene.render.filepath = path
    scene.camera, frame = view
    scene.frame_set(frame)
    blender.ops.render.render(write_still=True)
    picture = blender.data.images.load(path)
    picture.colorspace_settings.name = "Non-Color"
    width, height = picture.size
    texels = np.empty((height, width, 4), np.float32)
    picture.pixels.foreach_get(texels.reshape(-1))
    blender.data.images.remove(picture)
    return texels[..., :3]


def _places(scene: Any, view: View, asked: dict[str, Any], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Where in the texture each pixel is, (h, w, 2), and which pixels show it, (h, w) bool. The scene is spoiled by it."""
    image = scene.render.image_settings
    if image.file_format != "OPEN_EXR":
        image.file_format, image.color_depth, scene.cycles.samples, scene.cycles.max_bounces = "OPEN_EXR", "32", 1, 0
        scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
        scene.world = None
        for light in [obj for obj in scene.objects if obj.type == "LIGHT"]:
            blender.data.objects.remove(light)
        for material in blender.data.materials:
            _show_places(material, asked)
    picture = _rendered(scene, view, folder)
    return picture[..., :2], picture[..., 2] == 1


def _show_places(material: Any, asked: dict[str, Any]) -> None:
    """A material of the stack gives off its texture coordinates, and 1; any other is black."""
    tree = _tree_of(material)
    is_asked = material.library is None and material.name in asked["materials"]
    nodes = [
        node
        for info in asked["maps"]
        for kind, name, node in info["nodes"]
        if (kind, name) == ("material", material.name)
    ]
    material.cycles.emission_sampling = "NONE"
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (0, 0, 0, 1)
    if is_asked:
        parts, whole = tree.nodes.new("ShaderNodeSeparateXYZ"), tree.nodes.new("ShaderNodeCombineXYZ")
        tree.links.new(_coordinates(tree, tree.nodes[nodes[0]] if nodes else None), parts.inputs[0])
        for axis in "XY":
            tree.links.new(parts.outputs[axis], whole.inputs[axis])
        whole.inputs["Z"].default_value = 1
        tree.links.new(whole.outputs[0], emission.inputs["Color"])
    for output in [node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputMaterial"]:
        tree.links.new(emission.outputs[0], output.inputs["Surface"])
        for link in output.inputs["Volume"].links:
            tree.links.remove(link)


def _coordinates(tree: Any, node: Any) -> Any:
    """The output that an image's node takes its coordinates from."""
    if node is not None and node.inputs["Vector"].is_linked:
        return node.inputs["Vector"].links[0].from_socket
    return tree.nodes.new("ShaderNodeTexCoord").outputs["UV"]


def _texels(changed: np.ndarray, places: list[tuple[np.ndarray, np.ndarray]], asked: dict[str, Any]) -> Any:
    """The squared change by place in the texture, in shares of the largest; None where nodes don't say where a pixel is."""
    seen = sum(int(shown.sum()) for _, shown in places)
    count = min(CELLS, int((seen / PIXELS) ** 0.5))
    if not asked["has_places"] or count < FEWEST:
        return None
    cells = np.zeros((count, count))
    for squares, (uv, shown) in zip(changed, places, strict=True):
        u, v = np.moveaxis(uv[shown] % 1 if asked["repeats"] else np.clip(uv[shown], 0, 1), 1, 0)
        x, y = (np.minimum((place * count).astype(int), count - 1) for place in (u, 1 - v))
        np.add.at(cells, (y, x), squares[shown])
    for _ in range(2):  # a cell may have a few pixels only
        wide = np.pad(cells, 1, "wrap") if asked["repeats"] else np.pad(cells, 1, "edge")
        tall = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
        cells = (tall[:, :-2] + 2 * tall[:, 1:-1] + tall[:, 2:]) / 4
    if not cells.any():
        return None
    return (np.minimum(cells / np.percentile(cells[cells > 0], SEEN_MOST), 1) ** POWER).round(4).tolist()


def _on_sphere(tree: Any, node: Any, math: Callable[..., Any]) -> Any:
    """The place of a pixel in steps of the noise."""
    del node
    place = tree.nodes.new("ShaderNodeNewGeometry")
    return math("SNAP", place.outputs["Position"], (GRAIN,) * 3), [place]


def _on_texels(tree: Any, node: Any, math: Callable[..., Any]) -> Any:
    """As _on_sphere, in steps of texels."""
    before = set(tree.nodes)
    step = BLOB / max(*node.image.size, BLOB)
    place = math("SNAP", _coordinates(tree, node), (step,) * 3)
    return place, [each for each in tree.nodes if each not in before and each.bl_idname == "ShaderNodeTexCoord"]


def _disturb(tree: Any, name: str, info: dict[str, Any], around: Callable[..., Any]) -> Any:
    """Put noise behind the outputs of an image's node; returns what takes it away again."""
    node, added = tree.nodes[name], []
    given = [(link.from_socket, link.to_socket) for link in tree.links if link.from_node == node]
    for output in {source: None for source, _ in given}:
        noisy, nodes = _noisy(tree, output, info, around)
        added += nodes
        for source, target in given:
            if source == output:
                tree.links.new(noisy, target)

    def undo() -> None:
        for each in added:
            tree.nodes.remove(each)
        for source, target in given:
            tree.links.new(source, target)

    return undo


def _noisy(tree: Any, output: Any, info: dict[str, Any], around: Callable[..., Any]) -> tuple[Any, list[Any]]:
    """An output with noise added, and the nodes that add it."""
    added = []

    def math(operation: str, *values: Any) -> Any:
        node = tree.nodes.new("ShaderNodeVectorMath")
        node.operation = operation
        added.append(node)
        for socket, value in zip(node.inputs, values, strict=False):
            if isinstance(value, blender.types.NodeSocket):
                tree.links.new(value, socket)
            else:
                socket.default_value = value
        return node.outputs[0]

    def gamma(value: Any, power: float) -> Any:
        node = tree.nodes.new("ShaderNodeGamma")
        added.append(node)
        tree.links.new(value, node.inputs[0])
        node.inputs[1].default_value = power
        return node.outputs[0]

    place, found = around(tree, output.node, math)
    white = tree.nodes.new("ShaderNodeTexWhiteNoise")
    added += [*found, white]
    tree.links.new(place, white.inputs["Vector"])
    one = output.name == "Alpha" or len(info["channels"].replace("A", "")) == 1
    width = DEVIATION * 12**0.5  # of an even distribution
    z = 0.0 if info["role"] == "normal" else width  # it follows from the other two
    noise = math("SUBTRACT", white.outputs["Value" if one else "Color"], (0.5, 0.5, 0.5))
    noise = math("MULTIPLY", noise, (width, width, z))
    is_encoded = info["srgb"] and output.name != "Alpha"
    value = math("ADD", gamma(output, 1 / 2.2) if is_encoded else output, noise)
    if not info["deep"]:
        value = math("MINIMUM", math("MAXIMUM", value, (0.0, 0.0, 0.0)), (1.0, 1.0, 1.0))
    return (gamma(value, 2.2) if is_encoded else value), added


if __name__ == "__main__":
    main(*sys.argv[-3:])
    sys.stdout.flush()
    os._exit(0)  # bpy's destructors can wait forever
