"""Pictures that a few hundred Gaussians can follow, and what decodes them: shared by tests of fits and commands."""

from __future__ import annotations

import numpy as np

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap, TextureStack

QUICK = ["--preset", "fast", "--num-gaussians", "120", "--max-steps", "30"]
"""Options of a fit that takes a second."""


def picture(side: int) -> np.ndarray:
    """(side, side, 3) uint8: shading, a sharp disc and a thin line."""
    y, x = np.mgrid[0:side, 0:side] / side
    shade = np.stack([x, 0.5 + 0.5 * np.sin(3 * x + 4 * y), 1 - y], 2)
    shade[(x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05] = [0.9, 0.2, 0.1]
    shade[np.abs(x - 0.3 * y - 0.2) < 0.015] = 0
    return (shade * 255).astype(np.uint8)


def color(pixels: np.ndarray, name: str = "color") -> SourceMap:
    """A color map of pixels (h, w, 3) uint8."""
    return SourceMap(name, Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", pixels)


def picture_stack(side: int = 64) -> TextureStack:
    """The picture as a stack."""
    return texture_stack.build([color(picture(side))])


def shown(gaussians: Gaussians) -> np.ndarray:
    """(h, w, 3) uint8: Gaussians of three planes, decoded."""
    return np.rint(np.clip(np.moveaxis(decode.planes(gaussians), 0, 2), 0, 1) * 255).astype(np.uint8)
