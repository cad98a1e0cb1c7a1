"""How steps are laid out for a graphics card: what both of its devices, gpu/ and cuda/, decide alike."""

from __future__ import annotations

from collections.abc import Sequence

from .optimizer import NAMES, Optimizer
from .types import Loss, LossWeights, Rows

GROUPS = len(NAMES)
"""Kinds of numbers of a splat: each has its own rate and count of steps."""

AHEAD = 16
"""Steps that are waited for at once: the way to the card and back then costs little. Half of them is hardly slower."""

MOST_STRIDE = 4
"""Every fourth row of texels at most: a block then still has 64 of them, as many as a card's threads run side by side."""

ROOM = 1.3
"""Memory for block lists over what the splats need when it is reserved: they grow during a fit. Chosen by trial."""


def room(needed: int, most: int = 2**31 - 2) -> int:
    """Entries to reserve where so many are needed; cards count them in 32 bits."""
    return min(int(ROOM * needed) + 1024, most)


def looked_at(rows: Rows, weights: LossWeights) -> tuple[int, int]:
    """(first, stride) of the rows that a step looks at; all of them for SSIM."""
    stride = 1 if weights.ssim else min(rows.stride, MOST_STRIDE)
    return rows.first % stride, stride


def rates(optimizer: Optimizer, slow_down: float) -> list[float]:
    """Adam's rate of each of NAMES in a step; 0 for what is frozen."""
    return [0.0 if name in optimizer.frozen else optimizer.rate[name] * slow_down for name in NAMES]


def loss(totals: Sequence[float], values: int, weights: LossWeights, stride: int) -> Loss:
    """The loss from its sums (l1, l2, ssim) over every stride-th row of so many values."""
    l1, l2, ssim = (float(total) / (values / stride) for total in totals)
    return weights.loss(l1, l2, ssim if weights.ssim else None)
