"""Image files <-> SourceMaps.

8-bit images and 16-bit gray go through Pillow; EXR, HDR and every other 16-bit or float image through OpenImageIO,
which is imported when the first such file is met. Texels are kept as they are stored: EXIF orientation and embedded
color profiles are ignored, as texturing tools do. Alpha is straight in integer files; float files keep theirs.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from zlib import Z_RLE

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from .. import files
from ..errors import ImageGSError, UnsupportedImageError, one_line
from . import roles
from .quiet import quiet
from .texture_stack import LARGEST_SIDE, Depth, SourceMap

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tga", ".tif", ".tiff", ".bmp", ".exr", ".hdr")
"""The files that a folder is searched for; everything else in it is ignored."""

CHANNELS = ("L", "LA", "RGB", "RGBA")
"""Channels that every image file without losses can hold."""

_DECODERS = ("PNG", "JPEG", "WEBP", "TGA", "TIFF", "BMP")
_FLOAT_SUFFIXES = (".exr", ".hdr")

_LACKING = re.compile("not available|unsupported", re.IGNORECASE)
"""How Pillow says that it lacks a codec or a mode; all that it says otherwise is about damage."""


class Picture(NamedTuple):
    """The texels of an image file: depth, letters of the channels, and pixels, as in SourceMap."""

    depth: Depth
    channels: str
    pixels: np.ndarray


def read_map(path: str | Path) -> SourceMap:
    """read(), with role and color space guessed from the file's name and its texels (roles.guess).

    Raises ImageGSError as read, and where the name is not UTF-8: a stream could not hold it.
    """
    name = Path(path).stem
    if not _is_text(name):
        raise ImageGSError(f"{path}: the file's name is not UTF-8; rename the file")
    depth, channels, pixels = read(path)
    role, color_space = roles.guess(name, channels, depth, pixels)
    return SourceMap(name, role, color_space, depth, channels, pixels)


def read(path: str | Path) -> Picture:
    """Read one image file. Palette, 1-bit and keyed transparency become 8-bit L, LA, RGB or RGBA.

    Raises ImageGSError where the file is missing, damaged, or larger than LARGEST_SIDE; UnsupportedImageError where it is
    of a kind that is not supported, or that needs OpenImageIO where that is missing.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UnsupportedImageError(f"{path}: not a supported image; use one of {' '.join(SUFFIXES)}")
    if not files.is_file(path):
        reason = "is a folder" if files.is_folder(path) else "file not found"
        raise ImageGSError(f"{path}: {reason}; name an image file")
    try:
        found = None if path.suffix.lower() in _FLOAT_SUFFIXES else _read_pillow(path)
        if found is None:
            from . import openimageio

            found = openimageio.read(path)
        return Picture(*found)
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({one_line(error)}); replace the file") from error


def read_maps(path: str | Path) -> list[SourceMap]:
    """Read one image file, or every image of a folder (not of folders inside it) in alphabetical order.

    Raises ImageGSError as read_map, where the folder holds no image or a broken link, and where two files share a stem.
    """
    return [read_map(file) for file in find(path)]


def find(path: str | Path) -> list[Path]:
    """The image files that read_maps(path) reads."""
    path = Path(path)
    if not files.is_folder(path):
        return [path]
    try:
        here = sorted(path.iterdir(), key=lambda f: f.name.lower())
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({error.strerror}); check the folder's permissions") from error
    images = [f for f in here if f.suffix.lower() in SUFFIXES and not f.name.startswith(".")]
    for file in images:
        if not files.exists(file):
            raise ImageGSError(f"{file}: is a link to a file that is not there; mend or remove it")
    found = [f for f in images if files.is_file(f)]
    if not found:
        raise ImageGSError(f"{path}: no images in this folder; supported are {' '.join(SUFFIXES)}")
    stems: dict[str, Path] = {}
    for file in found:
        other = stems.setdefault(file.stem.lower(), file)
        if other is not file:
            raise ImageGSError(f"{path}: {other.name} and {file.name} have the same name; rename or remove one")
    return found


def read_importance(path: str | Path, width: int, height: int) -> np.ndarray:
    """(height, width) float32, 0..1: any gray image as importance map; of a color image the mean of its channels.

    Raises ImageGSError as read_map, for another size, and where nothing is important.
    """
    m = read_map(path)
    if m.pixels.shape[:2] != (height, width):
        have = f"{m.pixels.shape[1]} x {m.pixels.shape[0]}"
        raise ImageGSError(f"{path}: the mask is {have}, the picture {width} x {height}; make them one size")
    values = m.pixels[..., [letter != "A" for letter in m.channels]].astype(np.float32).mean(2)
    if m.pixels.dtype.kind == "f" and not (np.isfinite(values).all() and values.min() >= 0):
        raise ImageGSError(f"{path}: the mask holds negative or infinite values; use 0 and above")
    if values.max() <= 0:
        raise ImageGSError(f"{path}: the mask is black all over; paint what matters brighter")
    return values / values.max()


def as_image(pixels: np.ndarray, channels: str) -> tuple[np.ndarray, str]:
    """Pixels with the channels that every image file can have, each where it was; those that the map lacks are black."""
    if channels in CHANNELS:
        return pixels, channels
    if len(channels) == 1:
        return pixels, "L"
    letters = "RGBA" if "A" in channels else "RGB"
    whole = np.zeros((*pixels.shape[:2], len(letters)), pixels.dtype)
    whole[..., [letters.index(letter) for letter in channels]] = pixels
    return whole, letters


def write(path: str | Path, pixels: np.ndarray, depth: Depth, channels: str) -> None:
    """Write pixels (height, width, len(channels)) of a SourceMap to path; the suffix gives the format.

    JPEG is written at quality 95 without chroma subsampling, everything else without loss. Channels that are no image by
    themselves, such as R and G, get black ones beside them; an EXR file holds R and G as they are.
    Raises ImageGSError where the format can't hold the depth or channels, or the file can't be written.
    """
    save = writer(path, pixels, depth, channels)
    with files.replacing(path) as temporary:
        save(temporary)


def writer(path: str | Path, pixels: np.ndarray, depth: Depth, channels: str) -> Callable[[Path], None]:
    """A function that writes, to the path it is given, the file that write() would write to `path`; nothing is written yet.

    Raises ImageGSError where the format can't hold the depth or channels, or OpenImageIO is needed and missing.
    """
    path = Path(path)
    if not (path.suffix.lower() == ".exr" and channels == "RG"):
        pixels, channels = as_image(pixels, channels)
    gray16 = depth is Depth.U16 and channels == "L" and path.suffix.lower() in (".png", ".tif", ".tiff")
    if depth is Depth.U8 or gray16:
        return _pillow_writer(path, pixels, channels)
    from . import openimageio

    return openimageio.writer(path, pixels, depth, channels)


def _is_text(name: str) -> bool:
    """Whether a file's name is Unicode; a system that takes any bytes may give one that is not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_pillow(path: Path) -> tuple[Depth, str, np.ndarray] | None:
    """(depth, channels, pixels), or None where the file has more bits than Pillow would keep."""
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None
        with warnings.catch_warnings(action="ignore"), quiet(), Image.open(path, formats=_DECODERS) as image:
            _check(path, image)
            if _has_more_bits(path, image):
                return None
            return _pixels(path, image)
    except UnidentifiedImageError as error:
        if path.suffix.lower() in (".tif", ".tiff"):
            return None
        raise UnsupportedImageError(f"{path}: not an image of a supported kind; replace the file") from error
    except (ImageGSError, MemoryError):
        raise
    except Exception as error:  # damaged files make Pillow raise anything: OSError, SyntaxError, struct.error, ...
        known = not isinstance(error, NotImplementedError) and not _LACKING.search(str(error))
        kind = ImageGSError if known else UnsupportedImageError
        raise kind(f"{path}: not a readable image ({one_line(error)}); replace the file") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check(path: Path, image: Image.Image) -> None:
    if max(image.size) > LARGEST_SIDE:
        raise ImageGSError(f"{path}: {image.width} x {image.height}; the limit is {LARGEST_SIDE} texels a side")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # in a JPEG the others are previews
        raise UnsupportedImageError(f"{path}: holds {frames} pictures; save one of them as a file of its own")


def _has_more_bits(path: Path, image: Image.Image) -> bool:
    """Whether the file holds more than Pillow would give: 16-bit color, float, 32-bit integers."""
    if image.format == "PNG":
        with path.open("rb") as file:
            bits, color_type = file.read(26)[24:]
        return bits == 16 and color_type != 0
    return isinstance(image, TiffImageFile) and max(image.tag_v2.get(BITSPERSAMPLE, (1,))) > 8


def _pixels(path: Path, image: Image.Image) -> tuple[Depth, str, np.ndarray]:
    if image.mode.startswith("I;16") or (image.format == "PNG" and image.mode == "I"):
        return Depth.U16, "L", np.asarray(image).astype(np.uint16)[..., None]
    gray = image.mode in ("1", "L", "LA")
    if not gray and image.mode not in ("P", "PA", "RGB", "RGBA", "RGBX"):
        raise UnsupportedImageError(f"{path}: {image.mode} color is not supported; save the image as RGB")
    alpha = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    channels = ("L" if gray else "RGB") + ("A" if alpha else "")
    if image.mode == "1":
        image = image.convert("L")
    pixels = np.asarray(image.convert(channels))
    return Depth.U8, channels, pixels.reshape(image.height, image.width, len(channels)).copy()


def _pillow_writer(path: Path, pixels: np.ndarray, channels: str) -> Callable[[Path], None]:
    options: dict[str, dict[str, Any]] = {
        ".png": {"compress_type": Z_RLE},  # smooth pictures have nothing to find again: half the time, and fewer bytes
        ".jpg": {"quality": 95, "subsampling": 0},
        ".jpeg": {"quality": 95, "subsampling": 0},
        ".webp": {"lossless": True, "exact": True},
        ".tga": {},
        ".tif": {"compression": "tiff_adobe_deflate"},
        ".tiff": {"compression": "tiff_adobe_deflate"},
        ".bmp": {},
    }
    suffix = path.suffix.lower()
    if suffix not in options:
        raise ImageGSError(f"{path}: {suffix or 'a file without suffix'} can't hold 8-bit pixels; use .png")
    holds = ("L", "RGB") if suffix in (".jpg", ".jpeg", ".bmp") else CHANNELS
    if channels not in holds:
        raise ImageGSError(f"{path}: {suffix} can't hold the channels {channels}; use .png")
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    if suffix == ".webp" and image.mode in ("L", "LA"):
        image = image.convert("RGB" if image.mode == "L" else "RGBA")
    return lambda temporary: image.save(temporary, **options[suffix])
