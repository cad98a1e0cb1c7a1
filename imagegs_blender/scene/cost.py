"""What textures cost: bytes on disk, and bytes in memory when a renderer loads them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import bpy

from ..blend import storage
from . import walk
from .pixels import tile_path
from .replace import originals, trees


@dataclass(frozen=True)
class Cost:
    """disk: bytes of the file or packed data. memory: bytes of the texels as renderers hold them, without mipmaps."""

    disk: int
    memory: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.disk + other.disk, self.memory + other.memory)


def image(image: bpy.types.Image) -> Cost:
    """What an image costs as it is."""
    if image.source == "TILED":
        return _tiled(image)
    width, height = image.size
    memory = width * height * 4 * (4 if image.is_float else 1)
    if image.packed_file:
        return Cost(image.packed_file.size, memory)
    if image.source == "FILE":
        path = image.filepath_from_user()
        if os.path.isfile(path):
            return Cost(os.path.getsize(path), memory)
    return Cost(memory if image.is_dirty else 0, memory)


def _tiled(image: bpy.types.Image) -> Cost:
    paths = [tile_path(image, tile.number) for tile in image.tiles]
    packed = sum(file.packed_file.size for file in image.packed_files)
    disk = packed or sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
    texel = 16 if image.is_float else 4
    return Cost(disk, sum(texel * tile.size[0] * tile.size[1] for tile in image.tiles))


def images(found: Iterable[bpy.types.Image]) -> Cost:
    """The sum of several."""
    return sum((image(one) for one in found), Cost(0, 0))


def decoder(group: bpy.types.ShaderNodeTree) -> Cost:
    """The stream of a decoder, and the tables that renderers read."""
    inside = [group]
    for tree in inside:  # grows
        found = (getattr(node, "node_tree", None) for node in tree.nodes)
        inside += [t for t in dict.fromkeys(found) if t and t not in inside]
    tables = {n.image for t in inside for n in t.nodes if n.bl_idname == "ShaderNodeTexImage" and n.image}
    return Cost(len(group.get(storage.STREAM, b"")), sum(image(table).memory for table in tables))


def materials_with(group: bpy.types.ShaderNodeTree) -> list[bpy.types.Material]:
    """The materials of the open file that use a decoder."""
    return [
        material
        for material in bpy.data.materials
        if any(node.node_tree == group for tree in trees([material]) for node in decoder_nodes(tree))
    ]


def decoder_nodes(tree: bpy.types.NodeTree) -> Iterator[bpy.types.ShaderNodeGroup]:
    """The instances of decoders in a tree."""
    return (node for node in tree.nodes if walk.is_decoder_node(node))


def shown(materials: Iterable[bpy.types.Material]) -> tuple[set[bpy.types.Image], set[bpy.types.ShaderNodeTree]]:
    """What materials render with: images (not those that decoders replaced), and decoders."""
    used: set[bpy.types.Image] = set()
    groups: set[bpy.types.ShaderNodeTree] = set()
    for tree in trees(materials):
        replaced = set(originals(tree))
        used |= {
            node.image
            for node in tree.nodes
            if node.bl_idname == "ShaderNodeTexImage" and node.image and node not in replaced
        }
        groups |= {node.node_tree for node in decoder_nodes(tree)}
    return used, groups
