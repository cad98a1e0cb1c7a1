"""bpy.types.Image -> SourceMap: the texels that an Image Texture node hands out, in the original's own precision."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from ..core.errors import ImageGSError
from ..core.textures import image_files
from ..core.textures.srgb import to_linear, to_srgb
from ..core.textures.texture_stack import ColorSpace, Depth, MapInfo, Role, SourceMap
from ..core.textures.udim import Tiles
from .color_spaces import is_converted, kept
from .material_stack import MapPlan, StackPlan

_SUFFIX = {
    "PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TARGA": ".tga", "TARGA_RAW": ".tga",
    "TIFF": ".tif", "BMP": ".bmp", "OPEN_EXR": ".exr", "HDR": ".hdr",
}  # fmt: skip
"""Blender's file formats that core.images reads as well, with bit depth and encoding as they are in the file."""


def read(stack: StackPlan) -> list[SourceMap]:
    """The maps of a planned stack, with the role, color space and channels that the plan gives them.

    Raises ImageGSError, naming the image, where one can't be read.
    """
    return [read_map(map_plan) for map_plan in stack.maps]


def read_map(plan: MapPlan) -> SourceMap:
    """One map as its Image Texture nodes hand it out, row 0 at the top.

    From the original file or packed bytes where core.images knows the format, else from Blender's own buffer.
    Raises ImageGSError, naming the image, where it can't be read.
    """
    source = _read(plan.image.find(), plan.color_space, plan.alpha_linked, plan.tiles)
    return _keep(replace(source, name=plan.name, role=plan.role), plan.channels)


def read_as(image: bpy.types.Image, info: MapInfo, alpha_linked: bool, tiles: Tiles | None = None) -> SourceMap:
    """An image as the map `info` of a stack was read from it. Raises ImageGSError where that is impossible."""
    source = _read(image, info.color_space, alpha_linked, tiles)
    channels = info.channels.replace("L", "RGB")  # a gray image answers for any color
    return _keep(replace(source, name=info.name, role=info.role), channels)


def _read(image: bpy.types.Image, color_space: ColorSpace, alpha_linked: bool, tiles: Tiles | None = None) -> SourceMap:
    """All channels of an image, as its Image Texture nodes hand them out; tiles side by side."""
    if tiles:
        source, from_file = _tiled(image, tiles), True
    else:
        with _file(image) as path:
            source, from_file = _from_file(image, path) if path else _buffer(image), path is not None
    straight = image.alpha_mode == "STRAIGHT"
    if from_file:
        source = replace(source, color_space=color_space)
    else:
        straight = not image.is_float
    if image.alpha_mode == "NONE":
        return _keep(source, source.channels.removesuffix("A"))
    if image.alpha_mode != "CHANNEL_PACKED" and source.color_space is not ColorSpace.RAW:
        return _associate(source, straight, alpha_linked)
    return source


def _from_file(image: bpy.types.Image, path: Path) -> SourceMap:
    try:
        return image_files.read_map(path)
    except ImageGSError as error:
        raise ImageGSError(f"{image.name}: {error}") from error


def _tiled(image: bpy.types.Image, tiles: Tiles) -> SourceMap:
    """Every UDIM tile of an image in one picture, with the channels and the bit depth of the tile that has most."""
    found = {number: _tile(image, number) for number in tiles.numbers}
    depth = max((source.depth for source in found.values()), key=list(Depth).index)
    channels = max((source.channels for source in found.values()), key=lambda c: (len(c.replace("L", "RGB")), c))
    joined = tiles.join({number: _alike(source, channels, depth) for number, source in found.items()})
    return replace(found[tiles.numbers[0]], name=image.name, channels=channels, depth=depth, pixels=joined)


def _tile(image: bpy.types.Image, number: int) -> SourceMap:
    """One UDIM tile of an image, from its file or packed bytes. Raises ImageGSError, naming it, where it can't be read."""
    name = Path(tile_path(image, number)).name
    packed = next((p.data for p in image.packed_files if Path(p.filepath.replace("\\", "/")).name == name), None)
    if packed is None:
        return _from_file(image, Path(tile_path(image, number)))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(packed)
        return _from_file(image, Path(folder, name))


def tile_path(image: bpy.types.Image, number: int) -> str:
    """The file of a UDIM tile, after the marker in the image's path."""
    row, column = divmod(number - 1001, 10)
    path = bpy.path.abspath(image.filepath, library=image.library)
    return path.replace("<UDIM>", str(number)).replace("<UVTILE>", f"u{column + 1}_v{row + 1}")


def _alike(source: SourceMap, channels: str, depth: Depth) -> np.ndarray:
    """The pixels of a tile in the channels and the bit depth of its picture."""
    pixels = source.pixels
    if depth is Depth.U16 and source.depth is Depth.U8:
        pixels = pixels.astype(np.uint16) * 257
    elif pixels.dtype.kind == "u" and depth in (Depth.F16, Depth.F32):
        pixels = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    opaque = 1.0 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    given = {letter: pixels[..., i] for i, letter in enumerate(source.channels)}
    blank = np.full(pixels.shape[:2], opaque, pixels.dtype)
    return np.stack([blank if letter == "A" and "A" not in given else given.get(letter, given.get("L", blank))
                     for letter in channels], 2)  # fmt: skip


@contextmanager
def _file(image: bpy.types.Image) -> Iterator[Path | None]:
    """A file that core.images can read with exactly the image's texels; None where there is none."""
    suffix = _SUFFIX.get(image.file_format)
    if image.source != "FILE" or image.is_dirty or suffix is None or is_converted(image):
        yield None
        return
    original = Path(image.filepath_from_user())
    if image.packed_file is None and original.suffix.lower() in image_files.SUFFIXES:
        yield original
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, f"image{suffix}")
        try:
            copy.write_bytes(image.packed_file.data if image.packed_file else original.read_bytes())
        except OSError as error:
            raise ImageGSError(f"{image.name}: {original}: can't be read ({error.strerror}); relink it") from error
        yield copy


def _buffer(image: bpy.types.Image) -> SourceMap:
    """The image as Blender holds it: byte buffers as they are encoded, float buffers scene-linear."""
    width, height = image.size
    channels = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[image.channels]
    flat = np.empty(width * height * len(channels), np.float32)
    image.pixels.foreach_get(flat)
    pixels = flat.reshape(height, width, len(channels))[::-1]
    raw = image.colorspace_settings.is_data
    if image.is_float:
        space = ColorSpace.RAW if raw else ColorSpace.LINEAR
        return SourceMap(image.name, Role.DATA, space, Depth.F32, channels, np.ascontiguousarray(pixels))
    return SourceMap(image.name, Role.DATA, kept(image), Depth.U8, channels, np.rint(pixels * 255).astype(np.uint8))


def _associate(source: SourceMap, straight: bool, want_straight: bool) -> SourceMap:
    """Multiply colors by alpha, or divide them, where `straight` is not what is wanted.

    Image Texture nodes hand out straight colors where their Alpha output is linked, else premultiplied ones. (Cycles
    premultiplies sRGB bytes in encoded values, EEVEE in linear ones: this is EEVEE's way. Seen in 4.5 and 5.2.)
    """
    if "A" not in source.channels or straight == want_straight:
        return source
    top = 1.0 if source.pixels.dtype == np.float32 else float(np.iinfo(source.pixels.dtype).max)
    values = source.pixels.astype(np.float32) / np.float32(top)
    color, alpha = values[..., :-1], values[..., -1:]
    linear = to_linear(color) if source.color_space is ColorSpace.SRGB else color
    shown = linear * alpha if straight else np.divide(linear, alpha, out=np.zeros_like(linear), where=alpha > 0)
    color[...] = to_srgb(shown) if source.color_space is ColorSpace.SRGB else shown
    if top > 1:
        values = np.rint(np.clip(values, 0, 1) * np.float32(top))
    return replace(source, pixels=values.astype(source.pixels.dtype))


def _keep(source: SourceMap, channels: str) -> SourceMap:
    """Only these letters of "RGBA"; an alpha that the file lacks is 1. Gray stays gray."""
    opaque = 1.0 if source.pixels.dtype == np.float32 else np.iinfo(source.pixels.dtype).max
    letters, planes = "", []
    for letter in "LRGBA" if "L" in source.channels else "RGBA":
        wanted = letter in channels or (letter == "L" and any(color in channels for color in "RGB"))
        if wanted and letter in source.channels:
            planes.append(source.pixels[..., source.channels.index(letter)])
        elif wanted and letter == "A":
            planes.append(np.full(source.pixels.shape[:2], opaque, source.pixels.dtype))
        else:
            continue
        letters += letter
    return replace(source, channels=letters, pixels=np.stack(planes, axis=2))
