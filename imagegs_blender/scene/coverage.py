"""Which texels of a stack any mesh shows, and how much each counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..blend import border
from ..core.errors import ImageGSError
from ..core.textures import rasterize
from ..core.textures.resample import resize
from .material_stack import StackPlan
from .uses import Drawn, Uses, draw, drawing, painted

MARGIN = 4
"""Texels around what a mesh shows that count as shown: what filtering and coarser levels reach."""

LEAST = 0.1
"""Weight of a black part of an importance mask, where white is 1: less detail, but no holes."""

_WORTHWHILE = 0.98
"""Above this share of texels in use, leaving out the rest is not worth it."""


@dataclass(frozen=True)
class Importance:
    """What decides how much a texel counts.

    ignore_unused   texels that no mesh uses count nothing
    image           a gray image in the layout of the textures: its name in the open file, or the path of a file
    attribute       name of a color attribute of the meshes
    """

    ignore_unused: bool = True
    image: str | None = None
    attribute: str | None = None

    @classmethod
    def of(cls, ignore_unused: bool, image: str | None = None, attribute: str | None = None) -> Importance:
        """What a person asked for. Raises ImageGSError where image or attribute is an empty name, or the image is missing."""
        if image == "":
            raise ImageGSError("Importance is set to Image, but no image is chosen: choose one, or set it to None")
        if attribute == "":
            raise ImageGSError(
                "Importance is set to Vertex Paint, but no color attribute is named: name it, or set None"
            )
        if image is not None and image not in bpy.data.images and not Path(image).is_file():
            raise ImageGSError(f"{image}: no image of the file has this name, and it is no path of one; correct it")
        return cls(ignore_unused, image, attribute)


def weights(stack: StackPlan, importance: Importance) -> np.ndarray | None:
    """(height, width) float32 0..1 of the stack's largest map, row 0 at the top; None where all texels count the same.

    All texels are in use where it can't be known which are: see drawing(). Raises ImageGSError where the importance image
    or attribute is missing.
    """
    return prepare(stack, importance)()


def prepare(stack: StackPlan, importance: Importance) -> Callable[[], np.ndarray | None]:
    """weights() in two parts: what needs Blender now, and the rest in what is returned, which may run in a thread."""
    if stack.tiles:
        if importance.image is not None or importance.attribute is not None:
            raise ImageGSError(f"{stack.name}: importance can't be set for UDIM tiles; set Importance to None")
        return lambda: None
    size = (stack.largest.height, stack.largest.width)
    uses = Uses.of(stack)
    used = drawing(uses) if importance.ignore_unused else None
    gray = None if importance.image is None else _gray(importance.image)
    colors = None if importance.attribute is None else painted(uses, importance.attribute)

    def drawn() -> np.ndarray | None:
        result: np.ndarray | None = None
        if used is not None:
            mask = _grown(used, size)
            result = None if mask.mean() > _WORTHWHILE else mask
        if gray is not None:
            result = _times(result, _graded(resize(gray, size[1], size[0], stack.wrap)))
        if colors is not None:
            result = _times(result, _graded(_grown(colors, size)))
        if result is not None and not result.any():
            return None  # no mesh shows any of it: all texels are as good as any other
        return result

    return drawn


def is_outgrown(uses: Uses, shown: np.ndarray) -> bool:
    """Whether meshes show more of textures now than these cells, (side, side) bool (core/textures/cells.py)."""
    drawn = drawing(uses, now=True)
    return drawn is None or bool((draw(drawn, (len(shown), len(shown))) > shown).any())


def _grown(drawing: list[Drawn], size: tuple[int, int]) -> np.ndarray:
    return rasterize.grow(draw(drawing, size), MARGIN, any(drawn.extension == "REPEAT" for drawn in drawing))


def _gray(name: str) -> np.ndarray:
    """(height, width) float32 of an image of the file, or of a file, row 0 at the top."""
    image = bpy.data.images.get((name, None)) or bpy.data.images.get(name)
    loaded = None
    if image is None:
        if not Path(name).is_file():
            raise ImageGSError(f"{name}: the importance image was removed or renamed meanwhile; compress again")
        image = loaded = bpy.data.images.load(str(Path(name).absolute()), check_existing=False)
    try:
        width, height = image.size
        if not (width and height):
            raise ImageGSError(f"{name}: the importance image can't be read; relink it or choose another")
        pixels = np.empty(width * height * image.channels, np.float32)
        border.texels(image, pixels)
        channels = image.channels
    finally:
        if loaded is not None:
            bpy.data.images.remove(loaded)
    colors = pixels.reshape(height, width, channels)[::-1, :, : min(channels, 3)]
    return np.ascontiguousarray(colors.mean(axis=2))


def _graded(mask: np.ndarray) -> np.ndarray:
    return LEAST + (1 - LEAST) * np.clip(mask, 0, 1)


def _times(first: np.ndarray | None, second: np.ndarray) -> np.ndarray:
    return (second if first is None else first * second).astype(np.float32)
