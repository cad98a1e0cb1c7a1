"""Decoded maps as image files: for export to engines or glTF, which know no shader decoders."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bpy
import numpy as np

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes
from ..blend.properties import MAP, STAND_IN
from ..core import files
from ..core.decoding import decode
from ..core.textures import image_files
from ..core.textures.texture_stack import Depth, MapInfo
from ..core.textures.udim import Tiles
from ..scene import cost, replace, stand_ins


def bake(decoder: Decoder, folder: Path, kind: str = "AUTO", taken: set[str] | None = None) -> dict[str, Path]:
    """Write every map of a decoder into a folder, in its original size and bit depth; returns map -> file.

    UDIM tiles become a file each, and "<UDIM>" stands for their number in the path that is returned.
    taken  names, in lower case, that files written before have: they are not overwritten, and new ones are added
    kind   AUTO: PNG for 8 and 16 bits, EXR for float; PNG: 16-bit where the original was float; EXR: always EXR
    Raises ImageGSError where a file can't be written; files written before stay.
    """
    stream, tiles, written = decoder.stream, decoder.tiles, {}
    taken = set() if taken is None else taken
    images = decode.images(stream)
    waiting: list[tuple[Path, np.ndarray, Depth, str]] = []
    for info in stream.maps:
        pixels, depth = _as_kind(images[info.name], info.depth, kind)
        pixels, letters = _as_image(pixels, info.channels)
        suffix = ".png" if depth in (Depth.U8, Depth.U16) else ".exr"
        stem = files.unique(files.file_name(info.name), taken)
        path = written[info.name] = folder / f"{stem}{'' if tiles is None else '.<UDIM>'}{suffix}"
        parts = {path: pixels}
        if tiles is not None:
            split = tiles.split(pixels).items()
            parts = {_of_tile(path, number): np.ascontiguousarray(tile) for number, tile in split}
        waiting += [(part, values, depth, letters) for part, values in parts.items()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(image_files.write, *file) for file in waiting]:
            done.result()
    return written


def _as_kind(pixels: np.ndarray, depth: Depth, kind: str) -> tuple[np.ndarray, Depth]:
    """Pixels of a depth as bake() writes them, and their depth there."""
    is_integer = depth in (Depth.U8, Depth.U16)
    if kind == "EXR" and is_integer:
        return pixels.astype("float32") / np.iinfo(pixels.dtype).max, Depth.F16
    if kind == "PNG" and not is_integer:
        return (pixels.clip(0, 1) * 65535 + 0.5).astype("uint16"), Depth.U16
    return pixels, depth


def use(decoder: Decoder, baked: dict[str, Path]) -> None:
    """Put Image Texture nodes with the baked files in the place of a decoder, in every local material that has it."""
    images = load(decoder, baked)
    for material in cost.materials_with(decoder):
        for tree in replace.trees([material]):
            for instance in [node for node in decoder_nodes(tree) if node.node_tree == decoder.tree]:
                for node in stand_ins.put(tree, instance, images):
                    STAND_IN.remove(node)
                    MAP.remove(node)
                tree.nodes.remove(instance)


def load(decoder: Decoder, baked: dict[str, Path]) -> dict[str, bpy.types.Image]:
    """The baked files of a decoder as images, by map."""
    maps = {m.name: m for m in decoder.stream.maps}
    return {name: _load(path, maps[name], decoder.tiles) for name, path in baked.items()}


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
    border.set_color_space(image, border.SPACES[info.color_space])
    image.alpha_mode = "CHANNEL_PACKED"
    return image


def _as_image(pixels: np.ndarray, channels: str) -> tuple[np.ndarray, str]:
    """Pixels with the channels that image files can have, each where it was; those that nothing uses are black."""
    if channels in ("L", "LA", "RGB", "RGBA"):
        return pixels, channels
    if len(channels) == 1:
        return pixels, "L"
    letters = "RGBA" if "A" in channels else "RGB"
    whole = np.zeros((*pixels.shape[:2], len(letters)), pixels.dtype)
    whole[..., [letters.index(letter) for letter in channels]] = pixels
    return whole, letters
