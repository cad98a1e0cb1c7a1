"""The Morton curve (Morton 1966): a walk over a grid that visits neighbors near each other, by interleaving bits."""

from __future__ import annotations

import numpy as np

_STEPS = ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555))
"""Shift and mask that spread the bits of a 16-bit number: halves, nibbles, pairs, single bits."""


def code(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """int64, the place of cells (x, y) on the curve: bits of y and x in turn, y first; both 0 .. 2^16 - 1, broadcast."""
    return _spread(x) | _spread(y) << 1


def cell(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of code(): x and y, int64."""
    return _gather(code), _gather(code >> 1)


def _spread(v: np.ndarray) -> np.ndarray:
    """A zero bit above every bit of 16-bit numbers."""
    v = v.astype(np.int64)
    for shift, mask in _STEPS:
        v = (v | (v << shift)) & mask
    return v


def _gather(v: np.ndarray) -> np.ndarray:
    """Inverse of _spread(); odd bits are ignored."""
    v = v & 0x55555555
    for shift, mask in ((1, 0x33333333), (2, 0x0F0F0F0F), (4, 0x00FF00FF), (8, 0x0000FFFF)):
        v = (v | (v >> shift)) & mask
    return v
