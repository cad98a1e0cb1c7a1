"""The decoder as ordinary images, decoded when a file opens or a LOD changes: the fastest to render.

A .blend stores their names, not their pixels, unless it is to be self-contained (packing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import bpy
import numpy as np

from ..core.decoding import lod
from ..core.decoding.tables import Tables
from ..core.gaussians import Gaussians
from ..core.textures import texture_stack
from ..core.textures.srgb import to_linear
from ..core.textures.texture_stack import ColorSpace, Depth, MapInfo
from . import images
from .glsl import compute
from .nodes import node_group, projection, udim
from .nodes.graph import Graph

_SPACES = {ColorSpace.SRGB: "sRGB", ColorSpace.LINEAR: "Linear Rec.709", ColorSpace.RAW: "Non-Color"}

BAKED = "imagegs_baked"
"""Custom property of an image node of a decoder: the map that its image holds."""

AVERAGE = "imagegs_average"
"""Custom property of an image node of a decoder: the average of its map, RGBA as stored."""

DEVICE = "imagegs_baked_on"
"""Custom property of a decoder: what decoded its images, "GPU" (see preview.py) or "CPU"."""


def fill(tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo], tables: Tables) -> None:
    """Put one image node for each map into an empty decoder. The images are black until update()."""
    tiles, extension, inside = udim.tiles_of(tree), tree[node_group.EXTENSION], None
    projected: Any = projection.projection_of(tree)
    graph = Graph(tree)
    with graph.frame("Baked maps"):
        vector = graph.inputs()["Vector"]
        if tiles:
            point, inside = udim.place(projection.projected(vector, projected), tiles)
            projected = "FLAT"
            vector, extension = point.times_plus((1, -1, 0), (0, 1, 0)), "EXTEND"
        outputs = {}
        for info in maps:
            deep = info.depth is not Depth.U8
            image = bpy.data.images.new(f"{tree.name} {info.name}", 1, 1, alpha=True, float_buffer=deep)
            space = ColorSpace.LINEAR if _is_linearized(info) else info.color_space
            image.colorspace_settings.name = _SPACES[space]  # type: ignore[assignment]
            image.alpha_mode = "CHANNEL_PACKED"
            found = graph.image(image, vector, info.name, extension)
            found.node.interpolation, found.node.projection = "Linear", projected
            found.node[BAKED] = info.name
            outputs[info.name] = found.rgb
            if "A" in info.channels:
                outputs[f"{info.name} Alpha"] = found.a
        graph.output(node_group.ending_at(tree, outputs, inside, maps, lod.average(tables.tail)))
    graph.arrange()


def update(
    tree: bpy.types.ShaderNodeTree, gaussians: Gaussians, maps: Sequence[MapInfo], tables: Tables, level: float
) -> None:
    """Decode every map at a LOD, in the size of that mip level, into the images of a decoder.

    On the GPU where one can be reached, else on the CPU; DEVICE says which it was.
    """
    nodes = {node[BAKED]: node for node in _nodes(tree)}
    level = max(level, tables.tail.detail)
    whole = int(min(max(level, 0.0), tables.tail.last))
    small = [replace(m, width=max(1, m.width >> whole), height=max(1, m.height >> whole)) for m in maps]
    size = max(1, gaussians.width >> whole), max(1, gaussians.height >> whole)
    planes, device = decoded(gaussians, tables, level, *size)
    if not tree.library:
        tree[DEVICE] = device
    for info, pixels in zip(small, texture_stack.images(planes, small, gaussians.wrap).values(), strict=True):
        node, rgba = nodes[info.name], _rgba(pixels, info)
        images.put(node.image, rgba[::-1])
        if not tree.library:
            mean = rgba.mean(0, dtype=np.float32).mean(0)
            node[AVERAGE] = [float(value) for value in mean / (255 if rgba.dtype == np.uint8 else 1)]


def decoded(gaussians: Gaussians, tables: Tables, level: float, width: int, height: int) -> tuple[np.ndarray, str]:
    """lod.planes for pictures that will be filtered, and what decoded them: "GPU" where one can be reached, else "CPU"."""
    if compute.missing() is None:
        return compute.planes(tables, level, width, height, gaussians.wrap, whole=True), "GPU"
    return lod.planes(gaussians, tables.tail, level, width, height, whole=True), "CPU"


def show_average(tree: bpy.types.ShaderNodeTree) -> None:
    """Fill the images of a decoder with the average color of each map, known from when it was decoded last."""
    for node in _nodes(tree):
        rgba = np.tile(np.array(node.get(AVERAGE, (0.5, 0.5, 0.5, 1)), np.float32), (4, 4, 1))
        images.put(node.image, rgba if node.image.is_float else np.rint(255 * rgba).astype(np.uint8))


def images_of(tree: bpy.types.ShaderNodeTree) -> dict[str, bpy.types.Image]:
    """The images of a baked decoder, by map; empty where it is none."""
    return {node[BAKED]: node.image for node in _nodes(tree)}


def _nodes(tree: bpy.types.ShaderNodeTree) -> list[bpy.types.ShaderNodeTexImage]:
    return [node for node in tree.nodes if BAKED in node and node.image]


def _rgba(pixels: np.ndarray, info: MapInfo) -> np.ndarray:
    """(h, w, 4) as an image of Blender holds a map, uint8 or float32, row 0 at the top."""
    if pixels.dtype == np.uint16:
        pixels = pixels / np.float32(65535)
    kind, one = (np.uint8, 255) if pixels.dtype == np.uint8 else (np.float32, 1)
    letters = {letter: pixels[..., i] for i, letter in enumerate(info.channels)}
    grey = letters.get("L", 0)
    rgba = np.empty((*pixels.shape[:2], 4), kind)
    for i, letter in enumerate("RGB"):
        rgba[..., i] = letters.get(letter, grey)
    if _is_linearized(info):
        rgba[..., :3] = to_linear(rgba[..., :3])
    rgba[..., 3] = letters.get("A", one)
    return rgba


def _is_linearized(info: MapInfo) -> bool:
    """Float images hold linear color: every engine takes their values as they are, whatever their color space says."""
    return info.depth is not Depth.U8 and info.color_space is ColorSpace.SRGB
