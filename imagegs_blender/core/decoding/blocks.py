"""Which Gaussians the texels of a block need: a texture is divided into blocks of about 16 x 16 texels.

    reach    the Gaussians that reach a block (exact test of the ellipse)
    needs    which of them are in the exact top-K of which texel of the block, or of the ring of texels around it

A candidate is a code, see copies.py. Blocks are independent of each other, so every kernel is deterministic.

Trusts: means, conics and biases are finite, and ellipses reach no further than core/igs/limits.py allows; a texture that
repeats has its means within it (tables.build). Codes name Gaussians and copies that exist (copies.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from ..gaussians import CUTOFF, FARTHEST
from .copies import code_of, gaussian_of, shift_of

BLOCK = 16
"""Largest side of a block, texels: a row of a block and its ring fits the 32 bits of a mask."""

RING = BLOCK + 2
"""Most rows of texels of a block and its ring."""

SLACK = np.float32(1e-3)
"""By how much a bound of q, computed another way than q, may be wrong."""


class Ellipses(NamedTuple):
    """Gaussians as they lie on the texture, in texels.

    mean    (N, 2) float64; within the texture where it repeats
    conic   (N, 3) float32: a, b, c of q = a dx^2 + b dx dy + c dy^2 + bias
    bias    (N,) float32
    size    (2,) float64: width and height of the texture
    wrap    whether the texture repeats
    topk    K, 0 for all
    """

    mean: np.ndarray
    conic: np.ndarray
    bias: np.ndarray
    size: np.ndarray
    wrap: bool
    topk: int


class Blocks(NamedTuple):
    """A texture's blocks, numbered row by row: how many, and the size of each in texels."""

    columns: int
    rows: int
    step_x: float
    step_y: float


class Reach(NamedTuple):
    """The candidates codes[start[block] : start[block + 1]] (int32) reach a texel of the block or of its ring."""

    start: np.ndarray
    codes: np.ndarray


class Needs(NamedTuple):
    """The candidates that the texels of each block and its ring need.

    start   (blocks + 1,) int64, kept (blocks,) int64: a block's are start[block] up to start[block] + kept[block]
    codes   (n,) int32
    masks   (n, RING) uint32: bit s of row r is set where the candidate is in the top-K of the texel s right of and r
            below the first of the ring
    """

    start: np.ndarray
    kept: np.ndarray
    codes: np.ndarray
    masks: np.ndarray


class Window(NamedTuple):
    """Texels of columns left to right and rows top to bottom, all included."""

    left: int
    right: int
    top: int
    bottom: int


def blocks_of(width: int, height: int) -> Blocks:
    """Blocks of at most BLOCK x BLOCK texels; eight a side also of a small texture, whose leaves are then smaller."""
    columns, rows = (max(-(-side // BLOCK), min(side, 8)) for side in (width, height))
    return Blocks(columns, rows, width / columns, height / rows)


@njit(cache=True)
def reach(ellipses, blocks):
    """The Reach of Gaussians. Of the copies of one, that nearest to a block is meant."""
    mean, conic, bias = ellipses.mean, ellipses.conic, ellipses.bias
    columns, rows = blocks.columns, blocks.rows
    start = np.zeros(columns * rows + 1, np.int64)
    codes = np.empty(0, np.int32)
    for filling in (False, True):  # first all are counted
        if filling:
            start = np.cumsum(start)
            codes = np.empty(start[-1], np.int32)
            end = start[:-1].copy()
        for i in range(len(mean)):
            room = CUTOFF - bias[i]
            if not room > 0.0:
                continue
            center, form = (mean[i, 0], mean[i, 1]), (conic[i, 0], conic[i, 1], conic[i, 2])
            box = _box(center, form, room, blocks, ellipses.wrap)
            for block_y in range(box.top, box.bottom + 1):
                sy = -(block_y // rows)
                for block_x in range(box.left, box.right + 1):
                    sx = -(block_x // columns)
                    if not _touches(center, form, room, blocks, block_x, block_y):
                        continue
                    block = (block_y + sy * rows) * columns + block_x + sx * columns
                    if filling:
                        codes[end[block]] = code_of(i, sx, sy)
                        end[block] += 1
                    else:
                        start[block + 1] += 1
    return Reach(start, codes)


@njit(cache=True, parallel=True)
def needs(found, ellipses, blocks):
    """The Needs among what reaches the blocks; `found`, a Reach, is used up: its codes are those of the result."""
    start, codes = found.start, found.codes
    total = blocks.columns * blocks.rows
    masks = np.empty((len(codes), RING), np.uint32)
    kept = np.empty(total, np.int64)
    for block in prange(total):
        first, last = start[block], start[block + 1]
        kept[block] = _needed(codes[first:last], masks[first:last], ellipses, ring(blocks, block))
    return Needs(start, kept, codes, masks)


@njit(cache=True)
def ring(blocks, block):
    """The Window of the texels of a block and of those around it."""
    left, right = around(block % blocks.columns * blocks.step_x, blocks.step_x)
    top, bottom = around(block // blocks.columns * blocks.step_y, blocks.step_y)
    return Window(left, right, top, bottom)


@njit(cache=True)
def around(low, length):
    """First and last of the texels whose centers enclose a stretch: those inside of it, and one at each end."""
    return int(np.floor(low - 0.5)), int(np.ceil(low + length - 0.5))


@njit(cache=True)
def smallest(values, k):
    """The k-th smallest value, k from 1 and small. (Numba's np.partition takes eight seconds to compile.)"""
    low = np.empty(k, values.dtype)
    used = 0
    for value in values:
        if used < k:
            at = used
            used += 1
        elif value < low[k - 1]:
            at = k - 1
        else:
            continue
        while at > 0 and low[at - 1] > value:
            low[at] = low[at - 1]
            at -= 1
        low[at] = value
    return low[k - 1]


@njit(cache=True)
def _box(center, form, room, blocks, wrap):
    """The Window of blocks that the box around an ellipse q <= CUTOFF touches.

    Beyond 0..columns, 0..rows where the texture repeats, but never further than half a texture from the mean.
    """
    a, b, c = form
    x, y = center
    determinant = max(a * c - b * b / 4.0, 1e-30)
    half_x = min((room * c / determinant) ** 0.5, FARTHEST) + 0.5
    half_y = min((room * a / determinant) ** 0.5, FARTHEST) + 0.5
    left, right = int(np.floor((x - half_x) / blocks.step_x)), int(np.floor((x + half_x) / blocks.step_x))
    top, bottom = int(np.floor((y - half_y) / blocks.step_y)), int(np.floor((y + half_y) / blocks.step_y))
    first_x, first_y = 0, 0
    if wrap:
        first_x = int(np.ceil(x / blocks.step_x - blocks.columns / 2 - 0.5))
        first_y = int(np.ceil(y / blocks.step_y - blocks.rows / 2 - 0.5))
    left, right = max(left, first_x), min(right, first_x + blocks.columns - 1)
    top, bottom = max(top, first_y), min(bottom, first_y + blocks.rows - 1)
    return Window(left, right, top, bottom)


@njit(cache=True)
def _touches(center, form, room, blocks, block_x, block_y):
    """Whether an ellipse q <= CUTOFF touches a block, or the texel around it."""
    x, y = center
    left, right = block_x * blocks.step_x - x - 1.0, (block_x + 1) * blocks.step_x - x + 1.0
    top, bottom = block_y * blocks.step_y - y - 1.0, (block_y + 1) * blocks.step_y - y + 1.0
    return _least(form, left, right, top, bottom) <= room


@njit(cache=True)
def _needed(codes, masks, ellipses, window):
    """Keep the candidates that a texel of a window needs, in front and in their order; returns how many there are.

    Writes their masks, see Needs.
    """
    columns, rows = window.right - window.left + 1, window.bottom - window.top + 1
    index, corner = near(codes, ellipses, window)
    texels = rows * columns
    across, down, bit = np.empty(texels, np.float32), np.empty(texels, np.float32), np.empty(texels, np.uint32)
    for r in range(rows):
        for s in range(columns):
            across[r * columns + s], down[r * columns + s], bit[r * columns + s] = s, r, 1 << s

    q = np.empty((len(index), texels), np.float32)
    best = np.full((max(ellipses.topk, 1), texels), np.float32(CUTOFF), np.float32)  # the K least, sorted
    rest = np.empty(texels, np.float32)
    for n in range(len(index)):
        e = index[n]
        i = gaussian_of(codes[e])
        form = (ellipses.conic[i, 0], ellipses.conic[i, 1], ellipses.conic[i, 2])
        distances(form, ellipses.bias[i], (corner[e, 0], corner[e, 1]), across, down, q[n], rest)
        for k in range(ellipses.topk):
            exchange(best[k], rest)

    inside = np.empty(texels, np.uint32)
    kept = 0
    for n in range(len(index)):
        _where(q[n], best[-1], bit, inside)
        some = np.uint32(0)
        for r in range(rows):
            bits = np.uint32(0)
            for s in range(columns):
                bits |= inside[r * columns + s]
            masks[kept, r] = bits
            some |= bits
        if some:
            codes[kept] = codes[index[n]]
            kept += 1
    return kept


@njit(cache=True)
def near(codes, ellipses, window):
    """Indices of the candidates that can be in the top-K of a texel of a window: no K others are nearer everywhere.

    And for all (n, 2) float32: the center of the window's first texel, seen from the mean.
    """
    total = len(codes)
    across, down = window.right - window.left, window.bottom - window.top
    least, most = np.empty(total, np.float32), np.empty(total, np.float32)
    corner = np.empty((total, 2), np.float32)
    for e in range(total):
        i = gaussian_of(codes[e])
        sx, sy = shift_of(codes[e])
        left = window.left + 0.5 - (ellipses.mean[i, 0] + sx * ellipses.size[0])
        top = window.top + 0.5 - (ellipses.mean[i, 1] + sy * ellipses.size[1])
        corner[e, 0], corner[e, 1] = left, top
        form, bias = (ellipses.conic[i, 0], ellipses.conic[i, 1], ellipses.conic[i, 2]), ellipses.bias[i]
        least[e] = _least(form, left, left + across, top, top + down) + bias
        most[e] = _most(form, left, left + across, top, top + down) + bias
    bound = np.float32(CUTOFF)
    if 0 < ellipses.topk < total:
        bound = min(bound, smallest(most, ellipses.topk))
    return np.flatnonzero(least <= bound + SLACK), corner


@njit(cache=True)
def _least(form, x0, x1, y0, y1):
    """Least a dx^2 + b dx dy + c dy^2 over the rectangle x0..x1, y0..y1 (relative to the mean); form = (a, b, c)."""
    a, b, c = form
    if x0 <= 0.0 <= x1 and y0 <= 0.0 <= y1:
        return 0.0
    least = np.inf
    for dx in (x0, x1):
        dy = min(max(-b * dx / (2.0 * c), y0), y1)
        least = min(least, (a * dx + b * dy) * dx + c * dy * dy)
    for dy in (y0, y1):
        dx = min(max(-b * dy / (2.0 * a), x0), x1)
        least = min(least, (a * dx + b * dy) * dx + c * dy * dy)
    return least


@njit(cache=True)
def _most(form, x0, x1, y0, y1):
    """Most of it: at a corner."""
    a, b, c = form
    most = -np.inf
    for dx in (x0, x1):
        for dy in (y0, y1):
            most = max(most, (a * dx + b * dy) * dx + c * dy * dy)
    return most


@njit(cache=True)
def distances(form, bias, corner, across, down, q, rest):
    """q = rest = a dx^2 + b dx dy + c dy^2 + bias at (dx, dy) = corner + (across, down)."""
    a, b, c = form
    left, top = corner
    for s in range(len(q)):
        dx, dy = left + across[s], top + down[s]
        value = (a * dx + b * dy) * dx + c * (dy * dy) + bias
        q[s] = value
        rest[s] = value


@njit(cache=True)
def exchange(low, high):
    """Elementwise, the smaller goes to low and the larger to high."""
    for s in range(len(low)):
        a, b = low[s], high[s]
        low[s] = min(a, b)
        high[s] = max(a, b)


@njit(cache=True)
def _where(q, limit, bit, out):
    """out = bit where q <= limit, else 0."""
    for s in range(len(q)):
        out[s] = bit[s] if q[s] <= limit[s] else np.uint32(0)
