"""Original and decoded texels beside each other: what the Image Editor shows of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import bpy
import numpy as np

from ..blend import border, derived
from ..blend.decoder import Decoder, find
from ..core.decoding.ellipses import outlines
from ..core.errors import ImageGSError
from ..core.gaussians import Gaussians
from ..core.textures.viewable import viewable
from ..scene import pixels
from ..shaders.decoder import pictures

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
"""Dots that an ellipse is drawn as."""

_MOST_ELLIPSES = 20_000
"""Of a stack with more Gaussians, the largest."""

_LARGE = 2048
"""Pixels a side up to which a picture of ellipses is enlarged, at most four times."""


@dataclass(frozen=True)
class Pair:
    """What is being compared: pictures are (height, width, 3) float32 0..1, row 0 at the top.

    decoder    its name
    original   None where the file does not have it any more
    extremes   the least and the largest value of the original, which floats are shown by
    psnr       dB at LOD 0, over the texels that count; None without an original
    device     what decoded it
    """

    decoder: str
    map: str
    original: np.ndarray | None
    extremes: np.ndarray | None
    decoded: np.ndarray
    gaussians: Gaussians
    psnr: float | None
    device: str = "CPU"


current: Pair | None = None
problem: str | None = None
"""Why the comparison can't show what was chosen last."""


def load(decoder_name: str, map_name: str, level: float = 0.0) -> Pair:
    """Compare a map: decode it at a LOD, and read its original where the file still has it."""
    global current
    decoder = find(decoder_name)
    values, device = _decoded(decoder, map_name, level)
    source = _source(decoder, map_name)
    extremes = None if source is None else np.array([source.min(), source.max()])
    current = Pair(
        decoder_name,
        map_name,
        None if source is None else viewable(source, source),
        extremes,
        viewable(values, values if extremes is None else extremes),
        decoder.stream.gaussians,
        None if source is None else decoder.record.report.psnr.get(map_name),
        device,
    )
    return current


def set_level(level: float) -> Pair:
    """Decode the map that is being compared at another LOD."""
    global current
    assert current is not None
    values, device = _decoded(find(current.decoder), current.map, level)
    current = replace(
        current, decoded=viewable(values, values if current.extremes is None else current.extremes), device=device
    )
    return current


def _decoded(decoder: Decoder, map_name: str, level: float) -> tuple[np.ndarray, str]:
    """A map's pixels at a LOD, and what decoded them: the GPU where one can be reached."""
    maps, device = pictures(decoder, level)
    if map_name not in maps:
        raise ImageGSError(f"{map_name}: {decoder.name} has no map of this name; choose another")
    return maps[map_name], device


def _source(decoder: Decoder, map_name: str) -> np.ndarray | None:
    """The pixels that a map was made from; None where the file does not have them any more."""
    original = decoder.record.originals.get(map_name)
    image = bpy.data.images.get((original.image, None)) if original else None
    if image is None:
        return None
    info = next(m for m in decoder.stream.maps if m.name == map_name)
    tiles = decoder.tiles
    if (tiles.size if tiles else tuple(image.size)) != (info.width, info.height):
        return None
    return pixels.read_as(image, info, original.alpha_linked, tiles).pixels


class Choice(Protocol):
    """What a person chose to see: one of VIEW_ITEMS, where SPLIT is divided, and by what DIFFERENCE is multiplied."""

    view: str
    divider: float
    gain: float


def show(settings: Choice) -> bpy.types.Image:
    """Draw the chosen view into the comparison's image."""
    assert current is not None
    picture = picture_of(current, settings.view, settings.divider, settings.gain)
    height, width = picture.shape[:2]
    image = bpy.data.images.get((IMAGE, None)) or bpy.data.images.new(IMAGE, width, height)
    image.source = "GENERATED"
    border.set_color_space(image, "sRGB")
    if tuple(image.size) != (width, height):
        image.generated_width, image.generated_height = width, height
    flat = np.ones((height, width, 4), np.float32)
    flat[..., :3] = picture[::-1]
    border.set_texels(image, flat.ravel())
    image.update()
    if not bpy.app.timers.is_registered(settle):
        bpy.app.timers.register(settle, first_interval=_PAUSE)
    return image


def settle() -> None:
    """The picture stays as it is now: it is no unsaved image that Blender would ask about at its end."""
    image = bpy.data.images.get((IMAGE, None))
    if image is not None and image.is_dirty:
        width, height = image.size
        texels = np.empty(width * height * 4, np.float32)
        border.texels(image, texels)
        derived.put(image, np.rint(255 * texels).astype(np.uint8).reshape(height, width, 4))


def picture_of(pair: Pair, view: str, divider: float, gain: float) -> np.ndarray:
    """(height, width, 3) float32 0..1 of one of VIEW_ITEMS. Raises ImageGSError where it needs a dropped original."""
    if view == "ELLIPSES":
        return _with_ellipses(pair)
    if view == "DECODED":
        return pair.decoded.copy()
    if pair.original is None:
        raise ImageGSError(f"{pair.map}: the original was dropped; look at Decoded or Gaussians")
    if view == "ORIGINAL":
        return pair.original
    if view == "DIFFERENCE":
        return np.clip(np.abs(pair.decoded - pair.original) * gain, 0, 1)
    picture = pair.decoded.copy()
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
    x, y = np.moveaxis(outlines(g, 1, _POINTS), 2, 0) * np.array([width, height])[:, None, None]
    if g.wrap:
        x, y = x % width, y % height
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    picture[row[inside], column[inside]] = (0.2, 0.9, 1.0)
    return picture


@bpy.app.handlers.persistent
def _forget(*_: object) -> None:
    global current, problem
    current = problem = None


def register() -> None:
    bpy.app.handlers.load_pre.append(_forget)


def unregister() -> None:
    _forget()
    bpy.app.handlers.load_pre.remove(_forget)
    if bpy.app.timers.is_registered(settle):
        bpy.app.timers.unregister(settle)
