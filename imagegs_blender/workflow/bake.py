"""Decoded maps as image files: for export to engines or glTF, which know no shader decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes
from ..blend.properties import UDIM
from ..core import files
from ..core.decoding import decode
from ..core.textures import image_files
from ..core.textures.texture_stack import ColorSpace, Depth, MapInfo
from ..core.textures.udim import Tiles
from ..scene import cost, replace

_SPACES = {ColorSpace.SRGB: "sRGB", ColorSpace.LINEAR: "Linear Rec.709", ColorSpace.RAW: "Non-Color"}


def bake(decoder: Decoder, folder: Path, kind: str = "AUTO", taken: set[str] | None = None) -> dict[str, Path]:
    """Write every map of a decoder into a folder, in its original size and bit depth; returns map -> file.

    UDIM tiles become a file each, and "<UDIM>" stands for their number in the path that is returned.
    taken  names, in lower case, that files written before have: they are not overwritten, and new ones are added
    kind   AUTO: PNG for 8 and 16 bits, EXR for float; PNG: 16-bit where the original was float; EXR: always EXR
    Raises ImageGSError where a file can't be written; files written before stay.
    """
    stream, tiles, written = decoder.stream, decoder.tiles, {}
    taken = set() if taken is None else taken
    for name, pixels in decode.images(stream).items():
        info = next(m for m in stream.maps if m.name == name)
        depth, suffix = info.depth, ".png" if info.depth in (Depth.U8, Depth.U16) else ".exr"
        if kind == "EXR" and suffix == ".png":
            top = 255.0 if depth is Depth.U8 else 65535.0
            pixels, depth, suffix = pixels.astype("float32") / top, Depth.F16, ".exr"
        elif kind == "PNG" and suffix == ".exr":
            pixels, depth, suffix = (pixels.clip(0, 1) * 65535 + 0.5).astype("uint16"), Depth.U16, ".png"
        stem = files.unique(files.file_name(name), taken)
        if tiles is None:
            written[name] = folder / f"{stem}{suffix}"
            image_files.write(written[name], pixels, depth, _letters(info))
            continue
        written[name] = folder / f"{stem}.<UDIM>{suffix}"
        for number, tile in tiles.split(pixels).items():
            image_files.write(_of_tile(written[name], number), np.ascontiguousarray(tile), depth, _letters(info))
    return written


def use(decoder: Decoder, baked: dict[str, Path]) -> None:
    """Put Image Texture nodes with the baked files in the place of a decoder, in every local material that has it."""
    maps = {m.name: m for m in decoder.stream.maps}
    loaded = {name: _load(path, maps[name], decoder.tiles) for name, path in baked.items()}
    for material in cost.materials_with(decoder):
        for tree in replace.trees([material]):
            for instance in [node for node in decoder_nodes(tree) if node.node_tree == decoder.tree]:
                _put_images(tree, instance, loaded, decoder)


def _put_images(
    tree: bpy.types.NodeTree,
    instance: bpy.types.ShaderNodeGroup,
    loaded: dict[str, bpy.types.Image],
    decoder: Decoder,
) -> None:
    vector = next((border.source(link) for link in border.links(instance.inputs["Vector"])), None)
    for number, (name, image) in enumerate(loaded.items()):
        links = [
            (output, border.target(link))
            for socket, output in ((name, "Color"), (f"{name} Alpha", "Alpha"))
            if instance.outputs.get(socket) is not None
            for link in border.links(instance.outputs[socket])
        ]
        if not links:
            continue
        node: Any = tree.nodes.new("ShaderNodeTexImage")
        node.image, node.parent = image, instance.parent
        node.extension = "REPEAT" if decoder.extension == UDIM else decoder.extension
        node.projection = decoder.projection
        node.location = (instance.location.x, instance.location.y - 300 * number)
        if vector is not None:
            tree.links.new(vector, node.inputs["Vector"])
        for output, target in links:
            tree.links.new(node.outputs[output], target)
    tree.nodes.remove(instance)


def _of_tile(path: Path, number: int) -> Path:
    return path.with_name(path.name.replace("<UDIM>", str(number)))


def _load(path: Path, info: MapInfo, tiles: Tiles | None) -> bpy.types.Image:
    first = _of_tile(path, tiles.numbers[0]) if tiles else path
    image = bpy.data.images.load(str(first), check_existing=False)
    if tiles:
        image.source, image.filepath = "TILED", str(path)
        image.tiles[0].number = tiles.numbers[0]
        for number in tiles.numbers[1:]:
            image.tiles.new(number)
    border.set_color_space(image, _SPACES[info.color_space])
    image.alpha_mode = "CHANNEL_PACKED"
    return image


def _letters(info: MapInfo) -> str:
    return info.channels if info.channels in ("L", "LA", "RGB", "RGBA") else "RGBA"[: len(info.channels)]
