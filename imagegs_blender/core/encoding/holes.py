"""Texels that count and that no Gaussian reaches: a fit cut short leaves some.

Every decoder would show black there. A few wide, weak Gaussians in the colors around them, added before the stream is
written, make every decoder right by construction: where other Gaussians are near, they weigh next to nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..devices.cpu.device import render
from ..devices.types import project
from ..gaussians import Gaussians
from ..textures.texture_stack import TextureStack

HOLE = 0.5
"""A stack is repaired where less than this share of some texel's value comes from Gaussians (the rest, of EPS, is black).
Finished fits stay above 0.8 everywhere."""

COVERED = 0.9
"""Then every texel below this share is covered."""

BIAS = 6.0
"""Of the added Gaussians: they have e^-6 = 1/400 of the weight of others at their center."""

_WEAKEST = 9.0
"""q up to which an added Gaussian is counted on: e^-9 / (e^-9 + EPS) is more than COVERED."""


def closed(gaussians: Gaussians, stack: TextureStack) -> Gaussians:
    """The Gaussians, and behind them those that cover holes; the same object where there are none, as in a plain sum.

    The picture is divided into cells that an added Gaussian's disc contains; each cell with a hole gets one at its center,
    with the mean color of its uncovered texels. They are no wider than the widest Gaussian, so the stream's grid of
    scales stays as it is.
    """
    if not gaussians.topk:
        return gaussians
    share = shares(gaussians)
    if stack.weights is not None:  # covering what counts nothing would take precision from what does
        share = np.where(stack.weights > 0, share, np.float32(1))
    if share.min() >= HOLE:
        return gaussians
    scale = min(float(gaussians.scale.max()), max(2 * float(np.median(gaussians.scale)), min(share.shape) / 16))
    side = scale * np.sqrt(2 * (_WEAKEST - BIAS)) * np.sqrt(2)
    rows, columns = (max(1, int(np.ceil(length / side))) for length in share.shape)
    y, x = np.nonzero(share < COVERED)
    cell = y * rows // share.shape[0] * columns + x * columns // share.shape[1]
    used, cell, texels = np.unique(cell, return_inverse=True, return_counts=True)
    colors = stack.planes[:, y, x].astype(np.float64) ** gaussians.gamma
    feature = np.stack([np.bincount(cell, plane, len(used)) for plane in colors], 1) / texels[:, None]
    mean = np.stack([(used % columns + 0.5) / columns, (used // columns + 0.5) / rows], 1)
    count = len(used)
    added = {
        "mean": mean,
        "scale": np.full((count, 2), scale),
        "rotation": np.zeros(count),
        "feature": feature,
        "bias": np.full(count, BIAS),
    }
    joined = {
        name: np.concatenate([getattr(gaussians, name), value.astype(np.float32)]) for name, value in added.items()
    }
    return replace(gaussians, **joined)


def shares(gaussians: Gaussians) -> np.ndarray:
    """(height, width) float32, 0..1: the share of each texel's value that comes from Gaussians."""
    splats, grid = project(gaussians)
    weight = np.ones((len(gaussians), 1), np.float32)
    return render(replace(splats, feature=weight), grid)[0]
