"""Which parts of a texture count, in some hundred bytes: a grid of cells, as text.

    text = base85(side, deflate(bits))

The grid has side x side cells over the whole texture, row by row from the top, eight to a byte, the first in the highest
bit. It is as fine as MOST_BYTES allow.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np

SIDES = (64, 48, 32, 24)
"""Cells across and down, the finest first."""

MOST_BYTES = 80
"""Of the side and the deflated bits; the coarsest grid always has fewer."""


def to_text(mask: np.ndarray) -> str:
    """The cells of which any texel of mask (height, width) is above 0, as at most 100 printable characters."""
    for side in SIDES:
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        bits = np.packbits(_cells(mask > 0, side)).tobytes()
        data = bytes([side]) + packer.compress(bits) + packer.flush()
        if len(data) <= MOST_BYTES:
            break
    return base64.b85encode(data).decode()


def from_text(text: str) -> np.ndarray:
    """(side, side) bool. Raises ValueError for anything that to_text() did not write."""
    try:
        side, *_ = data = base64.b85decode(text)
        bits = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[1:], side * side // 8 + 1)
    except (ValueError, zlib.error):
        side, bits = 0, b""
    if side not in SIDES or len(bits) != side * side // 8:
        raise ValueError(f"{text!r} is no grid of cells")
    return np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(side, side).astype(bool)


def _cells(mask: np.ndarray, side: int) -> np.ndarray:
    """(side, side) bool: whether any texel of mask (height, width) bool lies in a cell, or touches it from inside."""
    for axis in (0, 1):
        length = mask.shape[axis]
        first = np.arange(side) * length // side
        end = -(-np.arange(1, side + 1) * length // side)
        total = np.insert(np.cumsum(mask, axis, dtype=np.int64), 0, 0, axis)
        mask = np.take(total, end, axis) > np.take(total, first, axis)
    return mask
