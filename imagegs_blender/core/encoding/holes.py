"""Texels that count and that no Gaussian reaches: a fit cut short leaves some.

Every decoder would show black there. A few weak Gaussians in the colors around them, added before the stream is
written, make every decoder right by construction: where other Gaussians are near, they weigh next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..decoding import reached
from ..devices.cpu.device import render
from ..devices.types import project
from ..gaussians import Gaussians
from ..textures.texture_stack import TextureStack

HOLE = 0.5
"""A texel of which less than this share of its value comes from Gaussians (the rest, of EPS, is black) is covered."""

_RIM = 3
"""Texels around it that are covered with it, where they are below reached.COVERED."""

BIAS = 6.0
"""Of the added Gaussians: they have e^-6 = 1/400 of the weight of others at their center."""

_WEAKEST = 9.0
"""q up to which an added Gaussian is counted on: e^-9 / (e^-9 + EPS) is more than 0.9."""

_SIDE = 2 * (_WEAKEST - BIAS) ** 0.5
"""Side of the square cell that the disc of an added Gaussian contains, in its standard deviations."""

_FILLED = 0.25
"""Share of holes from which a cell gets one Gaussian; the texels of others are left to cells of half the side."""

_SMALLEST = 4
"""Texels of the side of the smallest cells."""


def closed(gaussians: Gaussians, stack: TextureStack) -> Gaussians:
    """The Gaussians, and behind them those that cover holes; the same object where there are none, as in a plain sum.

    An added Gaussian is as wide as its hole: in the tails of others, where a picture has few Gaussians, a wide one would
    be seen. None is wider than the widest that is there, so the stream's grid of scales stays as it is.
    """
    if not gaussians.topk:
        return gaussians
    share = shares(gaussians)
    if stack.weights is not None:  # covering what counts nothing would take precision from what does
        share = np.where(stack.weights > 0, share, np.float32(1))
    hole = share < HOLE
    if not hole.any():
        return gaussians
    for axis in (0, 1):
        hole = np.any([np.roll(hole, shift, axis) for shift in range(-_RIM, _RIM + 1)], axis=0)
    y, x = np.nonzero(hole & (share < reached.COVERED))
    colors = stack.planes[:, y, x].astype(np.float64) ** gaussians.gamma
    widest = float(gaussians.scale.max())
    added = [_cover(y, x, colors, side, hole.shape, widest) for y, x, colors, side in _cells(y, x, colors, widest)]
    joined = {
        name: np.concatenate([getattr(gaussians, name), *(part[name].astype(np.float32) for part in added)])
        for name in ("mean", "scale", "rotation", "feature", "bias")
    }
    return replace(gaussians, **joined)


def _cells(
    y: np.ndarray, x: np.ndarray, colors: np.ndarray, widest: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
    """Texels (N,) by row and column, with colors (C, N), by the side of the cells that are to cover them, the largest first."""
    side = max(_SMALLEST, int(_SIDE * widest))
    while len(y):
        _, cell, texels = np.unique(np.stack([y, x]) // side, axis=1, return_inverse=True, return_counts=True)
        here = (texels >= _FILLED * side * side)[cell.ravel()] | (side < 2 * _SMALLEST)
        if here.any():
            yield y[here], x[here], colors[:, here], side
        y, x, colors = y[~here], x[~here], colors[:, ~here]
        side //= 2


def _cover(
    y: np.ndarray, x: np.ndarray, colors: np.ndarray, side: int, shape: tuple[int, ...], widest: float
) -> dict[str, np.ndarray]:
    """A Gaussian at the center of each cell with texels, in their mean color: arrays of Gaussians by name."""
    cells, cell, texels = np.unique(np.stack([y, x]) // side, axis=1, return_inverse=True, return_counts=True)
    count = len(texels)
    feature = np.stack([np.bincount(cell.ravel(), plane, count) for plane in colors], 1) / texels[:, None]
    center = np.minimum((cells.T + 0.5) * side / shape, 1 - 0.5 / np.array(shape))
    return {
        "mean": center[:, ::-1],
        "scale": np.full((count, 2), min(side / _SIDE, widest)),
        "rotation": np.zeros(count),
        "feature": feature,
        "bias": np.full(count, BIAS),
    }


def shares(gaussians: Gaussians) -> np.ndarray:
    """(height, width) float32, 0..1: the share of each texel's value that comes from Gaussians."""
    splats, grid = project(gaussians)
    weight = np.ones((len(gaussians), 1), np.float32)
    return render(replace(splats, feature=weight), grid)[0]
