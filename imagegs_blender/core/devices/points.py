"""Points drawn from a density, and the curve that texels are walked along."""

from __future__ import annotations

import numpy as np

from .. import morton


def draw(density: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) float32 texture coordinates, one in each of `count` equal shares of the density.

    The texels are walked along a Morton curve, so that equal shares are compact patches: the points repel each other as
    in stratified sampling instead of clumping as independent draws do. The position within the texel is uniform.
    """
    if count == 0:
        return np.empty((0, 2), np.float32)
    height, width = density.shape
    order = morton_order(width, height)
    cumulative = np.cumsum(density.reshape(-1)[order], dtype=np.float64)
    if cumulative[-1] <= 0:
        cumulative = np.arange(1, density.size + 1, dtype=np.float64)
    at = (np.arange(count) + rng.random(count)) * (cumulative[-1] / count)
    texel = order[np.minimum(np.searchsorted(cumulative, at, side="right"), density.size - 1)]
    return within(texel, width, height, rng)


def within(texel: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 2) float32 texture coordinates, uniform within row-major texels (n,)."""
    y, x = np.divmod(texel, width)
    position = np.stack([x, y], 1) + rng.random((len(texel), 2))
    return (position / [width, height]).astype(np.float32)


def morton_order(width: int, height: int) -> np.ndarray:
    """(width * height,) int64: row-major texel numbers in the order of a Morton curve."""
    side = max(width - 1, height - 1, 1).bit_length()
    code = morton.code(np.arange(width)[None, :], np.arange(height)[:, None]).reshape(-1)
    inverse = np.full(1 << (2 * side), -1, np.int32)
    inverse[code] = np.arange(width * height, dtype=np.int32)
    return inverse[inverse >= 0].astype(np.int64)
