"""A Gaussian's codes guessed from Gaussians that come earlier in the stream, in integers only.

Trusts: neighbors are those of nearest_earlier(), which come before the Gaussian that they are of; a gain is within
0 .. GAIN_ONE (columns.py). Sums of a stranger's codes may overflow; what comes out is checked as any number is.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

NEIGHBORS = 3
"""Gaussians that a guess is the mean of."""

LOOK_BACK = 48
"""Gaussians before one, in the stream, among which these are found."""

GAIN_ONE = 64
"""The gain of a column that takes the guess as it is; 0 takes none of it. The format fixes all three."""


@njit(parallel=True, cache=True)
def nearest_earlier(mean: np.ndarray) -> np.ndarray:
    """(N, NEIGHBORS) int32: the nearest of the LOOK_BACK Gaussians before each one, nearest first; -1 where there is none."""
    found = np.full((len(mean), NEIGHBORS), -1, np.int32)
    for i in prange(len(mean)):
        best = np.full(NEIGHBORS, np.int64(1) << 62)
        for j in range(i - 1, max(-1, i - 1 - LOOK_BACK), -1):
            dx, dy = np.int64(mean[i, 0] - mean[j, 0]), np.int64(mean[i, 1] - mean[j, 1])
            distance = dx * dx + dy * dy
            at = j
            for k in range(NEIGHBORS):
                if distance < best[k]:
                    best[k], distance = distance, best[k]
                    at, found[i, k] = found[i, k], at
    return found


@njit(cache=True)
def _guess(values, neighbor, gain):
    """floor(gain * mean of the neighbors' values / GAIN_ONE); the nearest counts twice."""
    total, weight = 0, 0
    for k in range(len(neighbor)):
        if neighbor[k] >= 0:
            share = 2 if k == 0 else 1
            total += share * values[neighbor[k]]
            weight += share
    return (gain * total) // (GAIN_ONE * weight) if weight else 0


@njit(cache=True)
def residuals(values: np.ndarray, neighbor: np.ndarray, gain: int) -> np.ndarray:
    """(N,) int32: values minus their guesses."""
    left = np.empty(len(values), np.int32)
    for i in range(len(values)):
        left[i] = values[i] - _guess(values, neighbor[i], gain)
    return left


@njit(cache=True)
def restore(left: np.ndarray, neighbor: np.ndarray, gain: int) -> np.ndarray:
    """Inverse of residuals."""
    values = np.empty(len(left), np.int32)
    for i in range(len(left)):
        values[i] = left[i] + _guess(values, neighbor[i], gain)
    return values


def best_gain(values: np.ndarray, neighbor: np.ndarray) -> int:
    """0 .. GAIN_ONE: the gain of smallest mean absolute residual, in steps of 1/16."""
    gains = range(0, GAIN_ONE + 1, GAIN_ONE // 16)
    return min(gains, key=lambda gain: int(np.abs(residuals(values, neighbor, gain)).sum()))
