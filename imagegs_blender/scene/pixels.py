"""bpy.types.Image -> SourceMap: the texels that an Image Texture node hands out, in the original's own precision."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from ..blend import border
from ..core.errors import ImageGSError, UnsupportedImageError
from ..core.textures import image_files
from ..core.textures.srgb import to_linear, to_srgb
from ..core.textures.texture_stack import ColorSpace, Depth, MapInfo, Role, SourceMap
from ..core.textures.udim import Tiles
from .color_spaces import is_converted
from .material_stack import MapPlan

_SUFFIXES = {
    "PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",), "TARGA": (".tga",), "TARGA_RAW": (".tga",),
    "TIFF": (".tif", ".tiff"), "BMP": (".bmp",), "OPEN_EXR": (".exr",), "HDR": (".hdr",),
}  # fmt: skip
"""Blender's file formats that image_files reads as well, with bit depth and encoding as they are in the file."""

_INTEGER_FORMATS = ("PNG", "JPEG2000")
"""Blender's file formats whose samples of more than 8 bits, which it holds as floats, are integers of 16 bits."""


def read_map(plan: MapPlan) -> SourceMap:
    """A planned map as its Image Texture nodes hand it out, with the role, color space and channels of the plan.

    From the original file or packed bytes where image_files knows the format, else from Blender's own buffer.
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
        source, straight = _tiled(image, color_space, tiles), _straight_in_file(image)
    else:
        source, straight = _untiled(image, color_space)
    if image.alpha_mode == "NONE":
        return _keep(source, source.channels.removesuffix("A"))
    if _is_associated(image, color_space):
        return _associate(source, straight, alpha_linked)
    return source


def _straight_in_file(image: bpy.types.Image) -> bool:
    return image.alpha_mode == "STRAIGHT"


def _is_associated(image: bpy.types.Image, color_space: ColorSpace) -> bool:
    """Whether Blender multiplies or divides the image's colors by its alpha."""
    return image.alpha_mode in ("STRAIGHT", "PREMUL") and color_space is not ColorSpace.RAW


def _untiled(image: bpy.types.Image, color_space: ColorSpace) -> tuple[SourceMap, bool]:
    """All channels of an image without UDIM tiles, and whether its colors are straight."""
    unknown = None
    with _file(image) as path:
        if path:
            shown = "packed data" if image.packed_file else image.filepath_from_user()
            try:
                return _from_file(image, path, shown, color_space), _straight_in_file(image)
            except UnsupportedImageError as error:
                unknown = error
    if 0 in image.size:
        raise unknown or ImageGSError(f"{image.name}: Blender holds no pixels of it; relink or replace it")
    return _buffer(image, color_space)


def _from_file(image: bpy.types.Image, path: Path, shown: str, color_space: ColorSpace) -> SourceMap:
    """All channels of a file, which may be a copy; messages call it `shown`.

    Raises ImageGSError as image_files.read_map, naming the image.
    """
    try:
        return SourceMap(path.stem, Role.DATA, color_space, *image_files.read(path))
    except ImageGSError as error:
        raise type(error)(f"{image.name}: {str(error).replace(str(path), shown)}") from error


def _tiled(image: bpy.types.Image, color_space: ColorSpace, tiles: Tiles) -> SourceMap:
    """Every UDIM tile of an image in one picture, with the channels and the bit depth of the tile that has most."""
    found = {number: _tile(image, number, color_space) for number in tiles.numbers}
    depth = max((source.depth for source in found.values()), key=list(Depth).index)
    channels = max((source.channels for source in found.values()), key=lambda c: (len(c.replace("L", "RGB")), c))
    joined = tiles.join({number: _alike(source, channels, depth) for number, source in found.items()})
    return replace(found[tiles.numbers[0]], name=image.name, channels=channels, depth=depth, pixels=joined)


def _tile(image: bpy.types.Image, number: int, color_space: ColorSpace) -> SourceMap:
    """One UDIM tile of an image, from its file or packed bytes. Raises ImageGSError, naming it, where it can't be read."""
    path = Path(tile_path(image, number))
    for packed in image.packed_files:
        if packed.packed_file and Path(packed.filepath.replace("\\", "/")).name == path.name:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, path.name).write_bytes(packed.packed_file.data)
                return _tile_file(image, Path(folder, path.name), f"packed {path.name}", color_space)
    return _tile_file(image, path, str(path), color_space)


def _tile_file(image: bpy.types.Image, path: Path, shown: str, color_space: ColorSpace) -> SourceMap:
    """A tile's file, by Blender where our readers do not know its kind; colors straight or not as the image says."""
    try:
        return _from_file(image, path, shown, color_space)
    except UnsupportedImageError:
        tile = bpy.data.images.load(str(path))
        try:
            if 0 in tile.size:
                raise
            border.color_space(tile).name = border.color_space(image).name
            tile.alpha_mode = image.alpha_mode
            source, straight = _buffer(tile, color_space)
        finally:
            bpy.data.images.remove(tile)
        if _is_associated(image, color_space):
            return _associate(source, straight, _straight_in_file(image))
        return source


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
    """A file with exactly the image's texels, named as its content asks; None where image_files knows no such format.

    None, too, where Blender holds other numbers than the file: it converted its color space.
    Blender tells the format by the content, so that a JPEG named .png is a JPEG (but it calls a PSD a JPEG, too).
    """
    suffixes = _SUFFIXES.get(image.file_format)
    if image.source != "FILE" or image.is_dirty or suffixes is None or is_converted(image):
        yield None
        return
    original = Path(image.filepath_from_user())
    if image.packed_file is None and original.suffix.lower() in suffixes:
        yield original
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, f"image{suffixes[0]}")
        try:
            copy.write_bytes(image.packed_file.data if image.packed_file else original.read_bytes())
        except OSError as error:
            raise ImageGSError(f"{image.name}: {original}: can't be read ({error.strerror}); relink it") from error
        yield copy


def _buffer(image: bpy.types.Image, color_space: ColorSpace) -> tuple[SourceMap, bool]:
    """The image as Blender holds it, in `color_space`, and whether its colors are straight.

    Blender holds bytes as they are encoded, straight; floats scene-linear and premultiplied (data as it is). A file of
    16-bit integers, which it holds as floats, gives those integers, unless it is of another color space: converted
    colors can be outside of 0..1.
    """
    width, height = image.size
    channels = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[image.channels]
    flat = np.empty(width * height * len(channels), np.float32)
    border.texels(image, flat)
    pixels = np.ascontiguousarray(flat.reshape(height, width, len(channels))[::-1])
    source = SourceMap(image.name, Role.DATA, ColorSpace.LINEAR, Depth.F32, channels, pixels)
    if not image.is_float:
        return replace(source, color_space=color_space, depth=Depth.U8, pixels=_integers(pixels, np.uint8)), True
    straight = _is_associated(image, color_space) and _straight_in_file(image)
    if straight:
        source = _associate(source, False, True)
    if color_space is ColorSpace.SRGB:
        colors = source.pixels[..., : len(channels.removesuffix("A"))]
        colors[...] = to_srgb(colors)
    source = replace(source, color_space=color_space)
    as_in_file = image.source == "FILE" and not image.is_dirty and not is_converted(image)
    if as_in_file and image.file_format in _INTEGER_FORMATS:
        source = replace(source, depth=Depth.U16, pixels=_integers(source.pixels, np.uint16))
    return source, straight


def _integers(values: np.ndarray, kind: type[np.uint8 | np.uint16]) -> np.ndarray:
    """0..1 as the nearest of an integer type's values."""
    top = np.iinfo(kind).max
    return np.rint(np.clip(values, 0, 1) * np.float32(top)).astype(kind)


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
