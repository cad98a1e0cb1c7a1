"""The smallest file of a requested PSNR, by a few fits with different numbers of Gaussians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .packing import Packed
from .rate import DECIBELS_PER_DOUBLING

TARGET_MARGIN = 0.2
"""dB above a requested PSNR that a search aims at; the surplus is given back by rounding features coarser."""

_WASTE = 0.8
"""dB above the target that rounding can give back well; beyond, fewer Gaussians are better."""

_ATTEMPTS = 4
"""Fits at most."""

_SLOWEST, _FASTEST = 0.5, 6.0
"""dB for twice the Gaussians: a slope between two fits is believed within these."""

_DOUBLINGS = 4.0
"""The next count differs from the nearest one tried by a factor of at most 2^4."""


@dataclass(frozen=True)
class Attempt:
    """One fit of a search.

    count    Gaussians in the fit
    psnr     dB of the fit, rounded as finely as its error suggests
    packed   the file: where psnr reaches the target, with features rounded as coarsely as the target allows
    """

    count: int
    psnr: float
    packed: Packed


def smallest(
    target: float,
    first_count: int,
    attempt: Callable[[int], Attempt | None],
    within_budget: Callable[[int], int],
    time_for_another: Callable[[int], bool],
) -> Attempt:
    """The attempt of smallest file that reaches the target (dB), else the one that comes nearest.

    The next count is interpolated between fits (extrapolated by the usual gain of a doubling). The search ends with an
    attempt that is just above the target, at a count that was tried last, after _ATTEMPTS, or where time is short.

    attempt            one with this count; None, but never the first time, where there is no time for it
    within_budget      a count limited to those allowed
    time_for_another   whether there is time for one more attempt after so many
    """
    tried: list[Attempt] = []
    count = first_count
    while True:
        one = attempt(count)
        if one is None:
            return _best(tried, target)
        tried.append(one)
        good_enough = target <= tried[-1].psnr <= target + _WASTE
        following = within_budget(_next_count(tried, target))
        if good_enough or following == count or len(tried) == _ATTEMPTS or not time_for_another(len(tried)):
            return _best(tried, target)
        count = following


def _best(tried: Sequence[Attempt], target: float) -> Attempt:
    """The first of the smallest files that reach the target; the first of the nearest where none does."""
    reaching = [attempt for attempt in tried if attempt.psnr >= target]
    if reaching:
        return min(reaching, key=lambda attempt: len(attempt.packed))
    return max(tried, key=lambda attempt: attempt.psnr)


def _next_count(tried: Sequence[Attempt], target: float) -> int:
    """The count at which the line through the two fits nearest to the target meets it, a little above."""
    nearest, *others = sorted(tried, key=lambda attempt: abs(attempt.psnr - target))
    slope = DECIBELS_PER_DOUBLING
    if others and others[0].count != nearest.count:
        doublings = np.log2(nearest.count / others[0].count)
        slope = float(np.clip((nearest.psnr - others[0].psnr) / doublings, _SLOWEST, _FASTEST))
    doublings = float(np.clip((target + TARGET_MARGIN - nearest.psnr) / slope, -_DOUBLINGS, _DOUBLINGS))
    return max(1, int(nearest.count * 2**doublings))
