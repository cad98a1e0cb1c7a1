"""Decoded maps as image files: for export to engines or glTF, which know no shader decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..blend import storage
from ..core.decoding import decode
from ..core.igs import stream
from ..core.textures import image_files
from ..core.textures.texture_stack import ColorSpace, Depth, MapInfo
from ..core.textures.udim import Tiles
from ..scene import cost, replace
from ..shaders.nodes import projection, udim

_SPACES = {ColorSpace.SRGB: "sRGB", ColorSpace.LINEAR: "Linear Rec.709", ColorSpace.RAW: "Non-Color"}


def bake(
    group: bpy.types.ShaderNodeTree, folder: Path, kind: str = "AUTO", taken: set[str] | None = None
) -> dict[str, Path]:
    """Write every map of a decoder into a folder, in its original size and bit depth; returns map -> file.

    UDIM tiles become a file each, and "<UDIM>" stands for their number in the path that is returned.
    taken  names, in lower case, that files written before have: they are not overwritten, and new ones are added
    kind   AUTO: PNG for 8 and 16 bits, EXR for float; PNG: 16-bit where the original was float; EXR: always EXR
    Raises ImageGSError where a file can't be written; files written before stay.
    """
    read = stream.read(storage.stream(group))
    tiles, written = udim.tiles_of(group), {}
    taken = set() if taken is None else taken
    for name, pixels in decode.images(read, whole=True).items():
        info = next(m for m in read.maps if m.name == name)
        depth, suffix = info.depth, ".png" if info.depth in (Depth.U8, Depth.U16) else ".exr"
        if kind == "EXR" and suffix == ".png":
            top = 255.0 if depth is Depth.U8 else 65535.0
            pixels, depth, suffix = pixels.astype("float32") / top, Depth.F16, ".exr"
        elif kind == "PNG" and suffix == ".exr":
            pixels, depth, suffix = (pixels.clip(0, 1) * 65535 + 0.5).astype("uint16"), Depth.U16, ".png"
        stem = _unique(_file_name(name), taken)
        if tiles is None:
            written[name] = folder / f"{stem}{suffix}"
            image_files.write(written[name], pixels, depth, _letters(info))
            continue
        written[name] = folder / f"{stem}.<UDIM>{suffix}"
        for number, tile in tiles.split(pixels).items():
            image_files.write(_of_tile(written[name], number), np.ascontiguousarray(tile), depth, _letters(info))
    return written


def use(group: bpy.types.ShaderNodeTree, files: dict[str, Path]) -> None:
    """Put Image Texture nodes with the baked files in the place of a decoder, in every local material that has it."""
    read = {m.name: m for m in stream.read(storage.stream(group)).maps}
    extension = storage.record(group).get("extension", "REPEAT")
    tiles = udim.tiles_of(group)
    loaded = {name: _load(path, read[name], tiles) for name, path in files.items()}
    for material in cost.materials_with(group):
        for tree in replace.trees([material]):
            for decoder in [node for node in cost.decoder_nodes(tree) if node.node_tree == group]:
                _put_images(tree, decoder, loaded, extension)


def _put_images(
    tree: bpy.types.NodeTree,
    decoder: bpy.types.ShaderNodeGroup,
    loaded: dict[str, bpy.types.Image],
    extension: str,
) -> None:
    vector = next((link.from_socket for link in decoder.inputs["Vector"].links), None)
    for number, (name, image) in enumerate(loaded.items()):
        links = [
            (output, link.to_socket)
            for socket, output in ((name, "Color"), (f"{name} Alpha", "Alpha"))
            if decoder.outputs.get(socket) is not None
            for link in decoder.outputs[socket].links
        ]
        if not links:
            continue
        node: Any = tree.nodes.new("ShaderNodeTexImage")
        node.image, node.parent = image, decoder.parent
        node.extension = "REPEAT" if extension == udim.UDIM else extension
        node.projection = projection.projection_of(decoder.node_tree)
        node.location = (decoder.location.x, decoder.location.y - 300 * number)
        if vector is not None:
            tree.links.new(vector, node.inputs["Vector"])
        for output, target in links:
            tree.links.new(node.outputs[output], target)
    tree.nodes.remove(decoder)


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
    image.colorspace_settings.name = _SPACES[info.color_space]  # type: ignore[assignment]
    image.alpha_mode = "CHANNEL_PACKED"
    return image


def _letters(info: MapInfo) -> str:
    return info.channels if info.channels in ("L", "LA", "RGB", "RGBA") else "RGBA"[: len(info.channels)]


def _file_name(name: str) -> str:
    """A map's name as a file name that every system takes."""
    return "".join("_" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in name).rstrip(". ") or "map"


def _unique(name: str, taken: set[str]) -> str:
    """name, with a number behind it where a file has it already, on systems that ignore case too."""
    numbered, number = name, 2
    while numbered.lower() in taken:
        numbered, number = f"{name} {number}", number + 1
    taken.add(numbered.lower())
    return numbered
