"""Where Gaussians are placed: drawn texel by texel from an importance map."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..errors import ImageGSError
from ..settings import FitSettings
from ..textures.texture_stack import TextureStack
from . import saliency

_ROWS = 64
"""Of texels, that a thread takes at a time: they stay in the processor's cache."""


def gradient_magnitude(planes: np.ndarray, wrap: bool) -> np.ndarray:
    """(H, W) float32: length of the central-difference gradient over all planes (C, H, W), periodic where wrap."""
    height = planes.shape[1]
    length = np.empty(planes.shape[1:], np.float32)

    def measure(first: int) -> None:
        rows = np.arange(first - 1, min(first + _ROWS, height) + 1)
        rows = rows % height if wrap else rows.clip(0, height - 1)
        total = np.zeros((len(rows) - 2, planes.shape[2]), np.float32)
        for plane in planes:
            padded = np.pad(plane[rows], [(0, 0), (1, 1)], mode="wrap" if wrap else "edge")
            dx = padded[1:-1, 2:] - padded[1:-1, :-2]
            dy = padded[2:, 1:-1] - padded[:-2, 1:-1]
            total += dx * dx + dy * dy
        length[first : first + _ROWS] = 0.5 * np.sqrt(total)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(measure, range(0, height, _ROWS)))
    return length


def importance(stack: TextureStack, settings: FitSettings) -> np.ndarray:
    """(H, W) float64, sum 1: the density of the first Gaussians. init_random_ratio of it is uniform over texels with weight."""
    texels = stack.weights
    uniform = np.ones((stack.height, stack.width)) if texels is None else (texels > 0).astype(np.float64)
    uniform /= uniform.sum()
    if settings.init_mode == "random":
        return uniform
    if settings.init_mode == "gradient":
        density = gradient_magnitude(stack.planes, stack.wrap).astype(np.float64)
    else:
        density = importance_map(stack, settings).astype(np.float64)
    if texels is not None:
        density *= texels
    if density.sum() <= 0:
        return uniform
    ratio = settings.init_random_ratio
    return (1 - ratio) * density / density.sum() + ratio * uniform


def importance_map(stack: TextureStack, settings: FitSettings) -> np.ndarray:
    """(H, W) float32, 0..1: the stack's own, or the saliency of its planes.

    Raises ImageGSError where init_mode "mask" has no map.
    """
    if stack.importance is not None:
        return stack.importance
    if settings.init_mode == "mask":
        raise ImageGSError("init-mode mask: no importance map; name one with --mask FILE")
    return saliency.spectral_residual(stack.planes, settings.smap_filter_size)
