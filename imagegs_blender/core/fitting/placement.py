"""Where Gaussians are placed: drawn texel by texel from an importance map."""

from __future__ import annotations

import numpy as np

from ..errors import ImageGSError
from ..settings import FitSettings
from ..textures.texture_stack import TextureStack
from . import saliency


def gradient_magnitude(planes: np.ndarray, wrap: bool) -> np.ndarray:
    """(H, W) float32: length of the central-difference gradient over all planes (C, H, W), periodic where wrap."""
    total = np.zeros(planes.shape[1:], np.float32)
    for plane in planes:
        padded = np.pad(plane, 1, mode="wrap" if wrap else "edge")
        dx = padded[1:-1, 2:] - padded[1:-1, :-2]
        dy = padded[2:, 1:-1] - padded[:-2, 1:-1]
        total += dx * dx + dy * dy
    return 0.5 * np.sqrt(total)


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
