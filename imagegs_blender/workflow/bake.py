"""Decoded maps as image files: for export to engines or glTF, which know no shader decoders."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import bpy
import numpy as np

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes
from ..blend.properties import MAP, STAND_IN
from ..core import files
from ..core.decoding import decode
from ..core.textures import image_files, texture_stack
from ..core.textures.texture_stack import Depth, MapInfo
from ..core.textures.udim import Tiles
from ..scene import cost, replace, stand_ins


def bake(decoder: Decoder, folder: Path, kind: str = "AUTO", taken: set[str] | None = None) -> dict[str, Path]:
    """Write every map of a decoder into a folder, in its original size and bit depth; returns map -> file.

    UDIM tiles become a file each, and "<UDIM>" stands for their number in the path that is returned.
    taken  names, in lower case, that files written before have: they are not overwritten, and new ones are added
    kind   AUTO: PNG for 8 and 16 bits, EXR for float; PNG: 16-bit where the original was float; EXR: always EXR
    Raises ImageGSError where a file can't be written; the others stay.
    """
    return Baking(decoder, folder, kind, taken).files()


class Baking:
    """A bake() of which threads write the files, when the decoder is decoded."""

    def __init__(self, decoder: Decoder, folder: Path, kind: str = "AUTO", taken: set[str] | None = None) -> None:
        stream, tiles = decoder.stream, decoder.tiles
        taken = set() if taken is None else taken
        planes = decode.planes(stream.gaussians)
        self._files: dict[str, Path] = {}
        pool = ThreadPoolExecutor(os.cpu_count())
        self._writes: list[Future[None]] = []
        for info in stream.maps:
            suffix = ".exr" if _depth(info, kind) in (Depth.F16, Depth.F32) else ".png"
            stem = files.unique(files.file_name(info.name), taken)
            path = self._files[info.name] = folder / f"{stem}{'' if tiles is None else '.<UDIM>'}{suffix}"
            self._writes.append(pool.submit(_write, path, planes, info, kind, stream.gaussians.wrap, tiles))
        pool.shutdown(wait=False)

    @property
    def done(self) -> bool:
        """Whether every file is written, or can't be."""
        return all(write.done() for write in self._writes)

    @property
    def failed(self) -> bool:
        """Whether some file can't be written, as far as is known."""
        return any(write.done() and write.exception() is not None for write in self._writes)

    def files(self) -> dict[str, Path]:
        """What bake() returns, or raises, once it is done."""
        wait(self._writes)
        for write in self._writes:
            write.result()
        return self._files


def _write(path: Path, planes: np.ndarray, info: MapInfo, kind: str, wrap: bool, tiles: Tiles | None) -> None:
    """Write one map, of UDIM tiles one file after the other."""
    (pixels,) = texture_stack.images(planes, [info], wrap).values()
    pixels, letters = image_files.as_image(_as_kind(pixels, kind), info.channels)
    parts = {path: pixels}
    if tiles is not None:
        parts = {_of_tile(path, number): np.ascontiguousarray(tile) for number, tile in tiles.split(pixels).items()}
    for part, texels in parts.items():
        image_files.write(part, texels, _depth(info, kind), letters)


def _depth(info: MapInfo, kind: str) -> Depth:
    """The depth of a map's file, see bake()."""
    is_integer = info.depth in (Depth.U8, Depth.U16)
    if kind == "EXR" and is_integer:
        return Depth.F16
    return Depth.U16 if kind == "PNG" and not is_integer else info.depth


def _as_kind(pixels: np.ndarray, kind: str) -> np.ndarray:
    """Pixels of a map in the type of its file."""
    if kind == "EXR" and pixels.dtype != np.float32:
        return pixels.astype("float32") / np.iinfo(pixels.dtype).max
    if kind == "PNG" and pixels.dtype == np.float32:
        return (pixels.clip(0, 1) * 65535 + 0.5).astype("uint16")
    return pixels


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
