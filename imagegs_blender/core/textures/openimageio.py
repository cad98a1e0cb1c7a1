"""EXR, HDR and images of more than 8 bits, through OpenImageIO: it is needed only where such a file is met."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageGSError, UnsupportedImageError, one_line
from .quiet import quiet
from .texture_stack import LARGEST_SIDE, Depth

if TYPE_CHECKING:
    from OpenImageIO import ImageInput, ImageSpec

_WRITABLE = {
    ".png": ({Depth.U16}, ("L", "LA", "RGB", "RGBA")),
    ".tif": ({Depth.U16, Depth.F32}, ("L", "LA", "RGB", "RGBA")),
    ".tiff": ({Depth.U16, Depth.F32}, ("L", "LA", "RGB", "RGBA")),
    ".exr": ({Depth.F16, Depth.F32}, None),
    ".hdr": ({Depth.F32}, ("RGB",)),
}


def read(path: Path) -> tuple[Depth, str, np.ndarray]:
    """(depth, channels, pixels) of the file, pixels as in SourceMap.

    Raises ImageGSError, naming the file; UnsupportedImageError for layers, sample types and channels that a map can't
    hold, for names that are not UTF-8, and where OpenImageIO is missing.
    """
    oiio = _module(path)
    try:
        with quiet():
            return _read(oiio, path)
    except UnicodeError as error:  # OpenImageIO hands names of channels, and errors, to Python as UTF-8
        raise UnsupportedImageError(f"{path}: names in it are not UTF-8; save it again under plain names") from error


def _read(oiio: ModuleType, path: Path) -> tuple[Depth, str, np.ndarray]:
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), config)
    if source is None:
        raise UnsupportedImageError(f"{path}: not a readable image ({one_line(oiio.geterror())}); replace the file")
    try:
        spec = source.spec()
        _check(path, source, spec)
        depth = _depth(path, oiio, spec)
        kind = {Depth.U8: oiio.UINT8, Depth.U16: oiio.UINT16}.get(depth, oiio.FLOAT)
        names = list(spec.channelnames)
        "".join(names).encode()  # fails as the line before does, where OpenImageIO escapes bytes that are no UTF-8
        channels = _channels(path, names)
        source.geterror()  # forgets what the look for a second layer left
        pixels = source.read_image(0, 0, 0, spec.nchannels, kind)
        complaint = source.geterror()
        if pixels is None or complaint:
            raise ImageGSError(f"{path}: damaged or truncated ({one_line(complaint)}); replace the file")
    finally:
        source.close()
    return depth, channels, np.ascontiguousarray(pixels).reshape(spec.height, spec.width, spec.nchannels)


def writer(path: Path, pixels: np.ndarray, depth: Depth, channels: str) -> Callable[[Path], None]:
    """A function that writes pixels to the path it is given. Raises ImageGSError where the format can't hold them."""
    suffix = path.suffix.lower()
    depths, letters = _WRITABLE.get(suffix, (set(), ()))
    if depth not in depths or (letters is not None and channels not in letters):
        fits = ".png or .tif" if depth is Depth.U16 else ".exr"
        raise ImageGSError(f"{path}: {suffix} can't hold {depth} pixels with the channels {channels}; use {fits}")
    oiio = _module(path)
    kind = {Depth.U16: oiio.UINT16, Depth.F16: oiio.HALF, Depth.F32: oiio.FLOAT}[depth]
    height, width, count = pixels.shape
    spec = oiio.ImageSpec(width, height, count, kind)
    spec.channelnames = ("Y",) if channels == "L" else ("Y", "A") if channels == "LA" else tuple(channels)
    spec.alpha_channel = count - 1 if channels.endswith("A") else -1
    spec.attribute("oiio:UnassociatedAlpha", 1)
    spec.attribute("compression", "zip")

    def save(temporary: Path) -> None:
        target = oiio.ImageOutput.create(str(temporary))
        if target is None or not target.open(str(temporary), spec):
            raise OSError(one_line(target.geterror() if target else oiio.geterror()))
        written = target.write_image(np.ascontiguousarray(pixels))
        if not (target.close() and written):
            raise OSError(one_line(target.geterror()))

    return save


def _module(path: Path) -> ModuleType:
    """OpenImageIO, where it is there and can name the file."""
    if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
        raise UnsupportedImageError(f"{path}: OpenImageIO takes paths in UTF-8 only; rename the file or its folder")
    try:
        import OpenImageIO
    except ImportError as error:
        raise UnsupportedImageError(
            f"{path}: EXR, HDR and 16-bit color need OpenImageIO ({one_line(error)}): "
            "Blender's own builds have it, elsewhere pip install OpenImageIO"
        ) from error
    return OpenImageIO


def _check(path: Path, source: ImageInput, spec: ImageSpec) -> None:
    if max(spec.width, spec.height) > LARGEST_SIDE:
        raise ImageGSError(f"{path}: {spec.width} x {spec.height}; the limit is {LARGEST_SIDE} texels a side")
    if spec.depth > 1 or spec.deep or source.seek_subimage(1, 0):
        raise UnsupportedImageError(f"{path}: holds several layers; save one of them as a file of its own")
    source.seek_subimage(0, 0)
    if (spec.x, spec.y, spec.width, spec.height) != (spec.full_x, spec.full_y, spec.full_width, spec.full_height):
        raise UnsupportedImageError(f"{path}: data window and display window differ; save the image uncropped")


def _depth(path: Path, oiio: ModuleType, spec: ImageSpec) -> Depth:
    known = {oiio.UINT8: Depth.U8, oiio.UINT16: Depth.U16, oiio.HALF: Depth.F16, oiio.FLOAT: Depth.F32}
    formats = {f.basetype for f in spec.channelformats} or {spec.format.basetype}
    if not formats <= set(known):
        raise UnsupportedImageError(
            f"{path}: {one_line(spec.format)} samples are not supported; save it as 16-bit or float"
        )
    if formats == {oiio.HALF, oiio.FLOAT}:
        return Depth.F32
    if len(formats) > 1:
        raise UnsupportedImageError(f"{path}: its channels have different sample types; save it as 16-bit or float")
    return known[formats.pop()]


def _channels(path: Path, names: list[str]) -> str:
    letters = "".join(names)
    if len(names) == 1:
        return "L"
    if letters in ("YA", "IA"):
        return "LA"
    if len(set(letters)) == len(names) and letters in ("RG", "RGB", "RGBA"):
        return letters
    listed = one_line(", ".join(names))
    raise UnsupportedImageError(f"{path}: the channels {listed} are not one image; save R, G, B (A) or one channel")
