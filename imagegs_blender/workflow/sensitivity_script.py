"""Render a material with each of its maps disturbed: what sensitivity.py starts in a Blender of its own.

    blender -b --factory-startup --python sensitivity_script.py -- LIBRARY.blend TASK.json RESULT.json

A sphere under three area lights, Cycles on the processor. A map is disturbed by noise where its nodes hand it out, in the
numbers that a fit keeps: of a color they are sRGB. Writes, by map, the mean squared change of the picture (0..1) over that of a
number of the map. This file needs nothing but Blender.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np

import addon_utils  # isort: skip  # part of Blender: there once bpy is imported

blender: Any = bpy
"""Its annotations doubt what a new scene has."""

SIDE, SAMPLES = 160, 16
DEVIATION = 12 / 255
"""Of the noise; about what compression leaves in a map."""

GRAIN = 0.012
"""Of the noise, in units of the sphere's radius: a pixel, about."""


def main(library: str, task: str, result: str) -> None:
    asked = json.loads(Path(task).read_text("utf-8"))
    blender.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable("cycles")
    with blender.data.libraries.load(library, link=False) as (_, wanted):
        wanted.materials = [asked["material"]]
    (material,) = wanted.materials
    _stage(material)
    before, found = _rendered(Path(result)), {}
    for info in asked["maps"]:
        trees = [(_tree(kind, name, material), node) for kind, name, node in info["nodes"]]
        added = [_disturb(tree, node, info) for tree, node in trees if tree is not None]
        change = np.mean((_rendered(Path(result)) - before) ** 2)
        found[info["name"]] = float(change) / DEVIATION**2
        for undo in added:
            undo()
    Path(result).write_text(json.dumps(found), "utf-8")


def _tree(kind: str, name: str, material: Any) -> Any:
    """None for a group that only other materials of the stack have."""
    return material.node_tree if kind == "material" else blender.data.node_groups.get(name)


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
    if scene.world.node_tree is None:
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.05, 0.05, 0.05, 1)
    scene.render.engine, scene.cycles.device = "CYCLES", "CPU"
    scene.cycles.samples, scene.cycles.seed, scene.cycles.use_denoising = SAMPLES, 1, False
    scene.render.resolution_x = scene.render.resolution_y = SIDE
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"


_WITH_UV = ("ShaderNodeUVMap", "ShaderNodeNormalMap", "ShaderNodeTangent")


def _towards_origin(place: Sequence[float]) -> Any:
    from mathutils import Vector  # part of Blender

    return (-Vector(place)).to_track_quat("-Z", "Y").to_euler()


def _rendered(beside: Path) -> np.ndarray:
    """(SIDE * SIDE * 4,) float32, 0..1."""
    path = str(beside.with_name("render.png"))
    blender.context.scene.render.filepath = path
    blender.ops.render.render(write_still=True)
    picture = blender.data.images.load(path)
    picture.colorspace_settings.name = "Non-Color"  # as on a screen
    texels = np.empty(SIDE * SIDE * 4, np.float32)
    picture.pixels.foreach_get(texels)
    blender.data.images.remove(picture)
    return texels


def _disturb(tree: Any, name: str, info: dict[str, Any]) -> Any:
    """Put noise behind the outputs of an image's node; returns what takes it away again."""
    node, added = tree.nodes[name], []
    given = [(link.from_socket, link.to_socket) for link in tree.links if link.from_node == node]
    for output in {source: None for source, _ in given}:
        noisy, nodes = _noisy(tree, output, info)
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


def _noisy(tree: Any, output: Any, info: dict[str, Any]) -> tuple[Any, list[Any]]:
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

    place, white = tree.nodes.new("ShaderNodeNewGeometry"), tree.nodes.new("ShaderNodeTexWhiteNoise")
    added += [place, white]
    tree.links.new(math("SNAP", place.outputs["Position"], (GRAIN, GRAIN, GRAIN)), white.inputs["Vector"])
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
