"""Original and decoded texels beside each other: what the Image Editor shows of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from ..blend import storage
from ..core.errors import ImageGSError
from ..core.gaussians import Gaussians
from ..core.igs import stream
from ..scene import pixels
from ..scene.material_stack import ImageRef
from ..shaders import decoder, images
from ..shaders.nodes import udim

IMAGE = "Image-GS Compare"
VIEW_ITEMS = [
    ("ORIGINAL", "Original", "The image as it was"),
    ("DECODED", "Decoded", "What the Gaussians give"),
    ("SPLIT", "Split", "Original on the left, decoded on the right of the divider"),
    ("DIFFERENCE", "Difference", "How far the two are apart, multiplied"),
    ("ELLIPSES", "Gaussians", "The decoded image with each Gaussian drawn as an ellipse"),
]
_PAUSE = 1.0
"""Seconds after which a picture that is being changed is packed."""

_POINTS = 48
_MOST_ELLIPSES = 20_000
_LARGE = 2048


@dataclass
class Pair:
    """What is being compared: both (height, width, 3) float32 0..1, row 0 at the top."""

    group: str
    map: str
    original: np.ndarray | None
    decoded: np.ndarray
    gaussians: Gaussians
    psnr: float | None  # dB at LOD 0, over the texels that count; None without an original
    device: str = "CPU"  # what decoded it


current: Pair | None = None


def load(group_name: str, map_name: str, level: float = 0.0) -> Pair:
    """Decode a map at a LOD, on the GPU where one can be reached, and read its original where the file still has it."""
    global current
    group = storage.find(group_name)
    read = stream.read(storage.stream(group))
    decoded, device = decoder.pictures(storage.stream(group), level)
    if map_name not in decoded:
        raise ImageGSError(f"{map_name}: {group_name} has no map of this name; choose another")
    entry = storage.record(group).get("originals", {}).get(map_name)
    original = None
    if entry is not None:
        image = bpy.data.images.get((entry["image"], None))
        info = next(m for m in read.maps if m.name == map_name)
        tiles = udim.tiles_of(group)
        if image is not None and (tiles.size if tiles else tuple(image.size)) == (info.width, info.height):
            source = pixels.read_as(ImageRef(image.name).find(), info, entry.get("alpha_linked", False), tiles)
            original = _viewable(source.pixels, source.pixels)
    values = decoded[map_name]
    if original is None:
        current = Pair(group_name, map_name, None, _viewable(values, values), read.gaussians, None, device)
    else:
        quality = storage.record(group)["report"]["psnr"][map_name]
        current = Pair(
            group_name, map_name, original, _viewable(values, source.pixels), read.gaussians, quality, device
        )
    return current


def show(settings: bpy.types.PropertyGroup) -> bpy.types.Image:
    """Draw the chosen view into the comparison's image."""
    assert current is not None
    picture = picture_of(current, settings.view, settings.divider, settings.gain)
    height, width = picture.shape[:2]
    image = bpy.data.images.get((IMAGE, None)) or bpy.data.images.new(IMAGE, width, height)
    image.source = "GENERATED"
    image.colorspace_settings.name = "sRGB"  # type: ignore[assignment]
    if tuple(image.size) != (width, height):
        image.generated_width, image.generated_height = width, height
    flat = np.ones((height, width, 4), np.float32)
    flat[..., :3] = picture[::-1]
    image.pixels.foreach_set(flat.ravel())
    image.update()
    if not bpy.app.timers.is_registered(_settle):
        bpy.app.timers.register(_settle, first_interval=_PAUSE)
    return image


def _settle() -> None:
    """The picture stays as it is now: it is no unsaved image that Blender would ask about at its end."""
    image = bpy.data.images.get((IMAGE, None))
    if image is not None and image.is_dirty:
        width, height = image.size
        texels = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(texels)
        images.put(image, np.rint(255 * texels).astype(np.uint8).reshape(height, width, 4))


def picture_of(pair: Pair, view: str, divider: float, gain: float) -> np.ndarray:
    """(height, width, 3) float32 0..1 of one of VIEW_ITEMS. Raises ImageGSError where it needs a dropped original."""
    if pair.original is None and view in ("ORIGINAL", "SPLIT", "DIFFERENCE"):
        raise ImageGSError(f"{pair.map}: the original was dropped; look at Decoded or Gaussians")
    if view == "ORIGINAL":
        return pair.original
    if view == "DIFFERENCE":
        return np.clip(np.abs(pair.decoded - pair.original) * gain, 0, 1)
    if view == "ELLIPSES":
        return _with_ellipses(pair)
    picture = pair.decoded.copy()
    if view == "SPLIT":
        column = round(divider * picture.shape[1])
        picture[:, :column] = pair.original[:, :column]
        picture[:, max(0, column - 1) : column + 1] = (1.0, 0.6, 0.1)
    return picture


def _with_ellipses(pair: Pair) -> np.ndarray:
    """One line for each Gaussian, at one standard deviation, on a picture large enough to tell them apart."""
    times = max(1, min(4, _LARGE // max(pair.decoded.shape)))
    picture = (pair.decoded * np.float32(0.6)).repeat(times, axis=0).repeat(times, axis=1)
    height, width = picture.shape[:2]
    g = pair.gaussians.take(np.argsort(-pair.gaussians.scale.max(axis=1))[:_MOST_ELLIPSES])
    turn = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    u, v = g.scale[:, :1] * np.cos(turn), g.scale[:, 1:] * np.sin(turn)
    cos, sin = np.cos(g.rotation)[:, None], np.sin(g.rotation)[:, None]
    x = (g.mean[:, :1] + (u * cos - v * sin) / g.width) * width
    y = (g.mean[:, 1:] + (u * sin + v * cos) / g.height) * height
    if g.wrap:
        x, y = x % width, y % height
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    picture[row[inside], column[inside]] = (0.2, 0.9, 1.0)
    return picture


def _viewable(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(height, width, 3) float32 0..1 of a map's pixels; floats by the reference's own range; greys in all channels."""
    if values.dtype.kind == "u":
        unit = values.astype(np.float32) / np.iinfo(values.dtype).max
    else:
        low, high = float(min(reference.min(), 0)), float(max(reference.max(), 1))
        unit = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    return unit[..., :3] if unit.shape[2] >= 3 else np.repeat(unit[..., :1], 3, axis=2)


@bpy.app.handlers.persistent
def _forget(*_: object) -> None:
    global current
    current = None


def register() -> None:
    bpy.app.handlers.load_pre.append(_forget)


def unregister() -> None:
    _forget()
    bpy.app.handlers.load_pre.remove(_forget)
    if bpy.app.timers.is_registered(_settle):
        bpy.app.timers.unregister(_settle)
