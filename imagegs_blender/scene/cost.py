"""What textures cost: bytes on disk, and bytes in memory when a renderer loads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes
from ..blend.properties import STAND_IN
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
        path = Path(image.filepath_from_user())
        if path.is_file():
            return Cost(path.stat().st_size, memory)
    return Cost(memory if image.is_dirty else 0, memory)


def _tiled(image: bpy.types.Image) -> Cost:
    paths = [Path(tile_path(image, tile.number)) for tile in image.tiles]
    packed = sum(tile.packed_file.size for tile in image.packed_files if tile.packed_file)
    disk = packed or sum(path.stat().st_size for path in paths if path.is_file())
    texel = 16 if image.is_float else 4
    return Cost(disk, sum(texel * tile.size[0] * tile.size[1] for tile in image.tiles))


def images(several: Iterable[bpy.types.Image]) -> Cost:
    """The sum of several."""
    return sum(map(image, several), Cost(0, 0))


def decoder(decoder: Decoder) -> Cost:
    """The stream of a decoder, and the tables or baked images that renderers read."""
    return Cost(decoder.stream_size, images(decoder.images()).memory)


def materials_with(decoder: Decoder) -> list[bpy.types.Material]:
    """The materials of the open file that use a decoder."""
    return [
        material
        for material in bpy.data.materials
        if any(node.node_tree == decoder.tree for tree in trees([material]) for node in decoder_nodes(tree))
    ]


def shown(materials: Iterable[bpy.types.Material]) -> tuple[set[bpy.types.Image], set[Decoder]]:
    """What materials render with: images (not those that decoders replaced, nor those that stand in for one), and decoders."""
    used: set[bpy.types.Image] = set()
    decoders: set[Decoder] = set()
    for tree in trees(materials):
        replaced = set(originals(tree))
        used |= {
            node.image
            for node in tree.nodes
            if isinstance(node, bpy.types.ShaderNodeTexImage)
            and node.image
            and node not in replaced
            and not STAND_IN.is_on(node)
        }
        decoders |= {Decoder(border.tree_of(node)) for node in decoder_nodes(tree)}
    return used, decoders
