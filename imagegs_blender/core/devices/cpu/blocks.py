"""Which Gaussians reach which block: exact ellipse-block intersection, one list per block, deterministic.

Trusts: centers, conics and biases are finite (core/igs/limits.py for streams, the optimizer's limits in a fit), and as many
as each other (types.Splats). An ellipse that is not one is listed nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from ...gaussians import CUTOFF, FARTHEST
from ..types import Grid, Splats

BLOCK = 16
"""Texels a side of a block: a row of it is a row of lanes (simd.py)."""


@dataclass(frozen=True)
class BlockLists:
    """Entries (Gaussian, copy) sorted by block, then by Gaussian.

    start      (blocks + 1,) int64: entries of block t are start[t] .. start[t + 1]; blocks row by row
    gaussian   (entries,) int32
    copy       (entries,) int8: 3 * (v + 1) + (u + 1) for the copy of the Gaussian shifted by (u width, v height)
    by_gaussian  (N + 1,) int64 and slot (entries,) int64: Gaussian i's entries are slot[by_gaussian[i] : by_gaussian[i + 1]]
    """

    start: np.ndarray
    gaussian: np.ndarray
    copy: np.ndarray
    by_gaussian: np.ndarray
    slot: np.ndarray


def block_lists(splats: Splats, grid: Grid) -> BlockLists:
    """Lists for all blocks of the grid."""
    columns, rows = -(-grid.width // BLOCK), -(-grid.height // BLOCK)
    size = (grid.width, grid.height, grid.wrap)
    per_gaussian = _count(splats.center, splats.conic, splats.bias, *size)
    by_gaussian = np.zeros(len(per_gaussian) + 1, np.int64)
    np.cumsum(per_gaussian, out=by_gaussian[1:])
    block, copy = _list(splats.center, splats.conic, splats.bias, *size, by_gaussian)
    return BlockLists(*_sort_by_block(block, copy, by_gaussian, columns * rows))


ORDER = np.array([int(f"{row:04b}"[::-1], 2) for row in range(BLOCK)])
"""The place of each row of a block in tiled(): every second row, or fourth, ... is one run."""


def tiled(planes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Planes (C, H, W) and the texels' weights (H, W), block by block, for kernels to read from beginning to end.

    Flat float32, of the shape (blocks, 16 rows in the order of ORDER, C + 1, 16); the weights come last, and are 0 in the
    padding. Row by row, whole planes lie a power of two apart, as their rows do: a block's then share one set of a cache.
    """
    count, height, width = planes.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    tiles = np.zeros((rows, columns, BLOCK, count + 1, BLOCK), np.float32)
    for p, plane in enumerate((*planes, weights)):
        whole = np.zeros((rows * BLOCK, columns * BLOCK), np.float32)
        whole[:height, :width] = plane
        tiles[:, :, ORDER, p] = whole.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3)
    return tiles.ravel()


@njit(inline="always")
def tile_row(block, place, planes):
    """Where a row of a block begins in tiled()."""
    return ((block * BLOCK + place) * (planes + 1)) * BLOCK


@njit(cache=True)
def _extent(conic, bias):
    """Half width, half height of the ellipse q = CUTOFF, texels; (-1, -1) if it is empty."""
    a, b, c = conic[0], conic[1], conic[2]
    room = np.float32(CUTOFF) - bias
    determinant = a * c - np.float32(0.25) * b * b
    if not (room > 0 and determinant > 0):
        return np.float32(-1), np.float32(-1)
    farthest = np.float32(FARTHEST)
    return min(np.sqrt(room * c / determinant), farthest), min(np.sqrt(room * a / determinant), farthest)


@njit(cache=True)
def _span(conic, bias, y0, y1, extent_x, extent_y):
    """Leftmost and rightmost dx of the ellipse q <= CUTOFF between dy = y0 and dy = y1; empty if left > right.

    The right edge x(y) is concave with its peak at dy = -b extent_x / (2 c), the left edge is its mirror image.
    """
    a, b, c = conic[0], conic[1], conic[2]
    low, high = max(y0, -extent_y), min(y1, extent_y)
    if low > high:
        return np.float32(1), np.float32(-1)
    peak = -b * extent_x / (2 * c)
    right_y = min(max(peak, low), high)
    left_y = min(max(-peak, low), high)
    room = np.float32(CUTOFF) - bias
    slope = -b / (2 * a)
    spread_right = (room - c * right_y * right_y) / a + slope * slope * right_y * right_y
    spread_left = (room - c * left_y * left_y) / a + slope * slope * left_y * left_y
    right = slope * right_y + np.sqrt(max(spread_right, np.float32(0)))
    left = slope * left_y - np.sqrt(max(spread_left, np.float32(0)))
    return left, right


@njit(cache=True)
def _visit(center, conic, bias, width, height, wrap, block, copy, at):
    """Walk the blocks that one Gaussian reaches; write them to block and copy from `at` on unless block is empty.

    Blocks are tested by their texel centers: a block is reached where some of its centers' hull meets the ellipse.
    """
    columns, rows = -(-width // BLOCK), -(-height // BLOCK)
    extent_x, extent_y = _extent(conic, bias)
    found = 0
    if extent_x < 0:
        return found
    reach = 1 if wrap else 0
    for v in range(-reach, reach + 1):
        cy = center[1] + v * height
        if cy + extent_y < 0.5 or cy - extent_y > height - 0.5:
            continue
        first_row = max(0, int(np.floor((cy - extent_y - np.float32(0.5)) / BLOCK)))
        last_row = min(rows - 1, int(np.floor((cy + extent_y) / BLOCK)))
        for u in range(-reach, reach + 1):
            cx = center[0] + u * width
            if cx + extent_x < 0.5 or cx - extent_x > width - 0.5:
                continue
            for row in range(first_row, last_row + 1):
                y0 = np.float32(row * BLOCK + 0.5) - cy
                left, right = _span(conic, bias, y0, y0 + np.float32(BLOCK - 1), extent_x, extent_y)
                if left > right or cx + right < 0.5 or cx + left > width - 0.5:
                    continue
                # the first block whose last center is at or right of the left edge; float noise is given 1/100 texel
                first = max(0, int(np.ceil((cx + left - np.float32(BLOCK - 0.5) - np.float32(0.01)) / BLOCK)))
                final = min(columns - 1, int(np.floor((cx + right - np.float32(0.5) + np.float32(0.01)) / BLOCK)))
                for column in range(first, final + 1):
                    if len(block) > 0:
                        block[at + found] = row * columns + column
                        copy[at + found] = 3 * (v + 1) + (u + 1)
                    found += 1
    return found


@njit(parallel=True, cache=True)
def _count(center, conic, bias, width, height, wrap):
    count = np.empty(len(center), np.int64)
    block, copy = np.empty(0, np.int32), np.empty(0, np.int8)
    for i in prange(len(center)):
        count[i] = _visit(center[i], conic[i], bias[i], width, height, wrap, block, copy, 0)
    return count


@njit(parallel=True, cache=True)
def _list(center, conic, bias, width, height, wrap, by_gaussian):
    block, copy = np.empty(by_gaussian[-1], np.int32), np.empty(by_gaussian[-1], np.int8)
    for i in prange(len(center)):
        _visit(center[i], conic[i], bias[i], width, height, wrap, block, copy, by_gaussian[i])
    return block, copy


@njit(cache=True)
def _sort_by_block(block, copy, by_gaussian, blocks):
    """Counting sort: stable, so the Gaussians of a block stay in order."""
    start = np.zeros(blocks + 1, np.int64)
    for t in block:
        start[t + 1] += 1
    for t in range(blocks):
        start[t + 1] += start[t]
    following = start[:-1].copy()
    gaussian, sorted_copy = np.empty(len(block), np.int32), np.empty(len(block), np.int8)
    slot = np.empty(len(block), np.int64)
    for i in range(len(by_gaussian) - 1):
        for k in range(by_gaussian[i], by_gaussian[i + 1]):
            at = following[block[k]]
            following[block[k]] = at + 1
            gaussian[at], sorted_copy[at], slot[k] = i, copy[k], at
    return start, gaussian, sorted_copy, by_gaussian, slot
