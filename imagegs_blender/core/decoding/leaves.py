"""Leaves: every block is divided evenly into as few as hold the candidates of their texels in M slots each.

    split    -> how many leaves, nx x ny, each block has
    pack     -> where the leaves of each block are in one table
    fill     -> the candidates of each leaf

A leaf should also hold what the texels just around it need: a magnified texture is sampled between texel centers, and
near the border of a leaf those of the next one count.

Trusts: needs, windows and blocks are those that blocks.py made of the same ellipses; M is even and at least 2
(tables.build).
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .blocks import BLOCK, Window, around, ring, smallest

BORDER = 1e-3
"""Texels by which a shader, in float32, may take a point for one of the leaf beside its own."""

OWNED = 1000
"""A texel of the leaf itself counts this much more than one around it: where M >= K none of them is ever missed."""


@njit(cache=True, parallel=True)
def split(needs, blocks, candidates, most):
    """(rows, columns, 2) int32 (nx, ny) per block: the fewest leaves whose own texels need at most `candidates` each.

    Some more, up to `most` times as many, where then the texels around each leaf need no others either.
    """
    parts = np.ones((blocks.rows, blocks.columns, 2), np.int32)
    most_x, most_y = min(BLOCK, int(np.ceil(blocks.step_x))), min(BLOCK, int(np.ceil(blocks.step_y)))
    for block in prange(blocks.rows * blocks.columns):
        first = needs.start[block]
        masks = needs.masks[first : first + needs.kept[block]]
        nx, ny = _fewest(masks, blocks, block, most_x, most_y, candidates, False, most_x * most_y)
        wide_x, wide_y = _fewest(masks, blocks, block, most_x, most_y, candidates, True, int(most * nx * ny))
        if wide_x > 0:
            nx, ny = wide_x, wide_y
        elif nx == 0:
            nx, ny = most_x, most_y
        row, column = block // blocks.columns, block % blocks.columns
        parts[row, column, 0], parts[row, column, 1] = nx, ny
    return parts


def pack(split: np.ndarray, texels: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Place every block's nx x ny leaves as a strip in one row of the cells table, row by row; the longest strips first.

    The table is about square, for what GPUs take, where a leaf has that many texels.
    Returns the origins (rows, columns, 2) and the (width, height) of the table in leaves.
    """
    length = split.reshape(-1, 2).prod(1, dtype=np.int64)
    width = max(int(length.max()), round(float(length.sum() / texels) ** 0.5))
    origin = np.zeros((len(length), 2), np.int64)
    left = top = 0
    for block in np.argsort(-length, kind="stable"):
        if left + length[block] > width:
            left, top = 0, top + 1
        origin[block] = left, top
        left += length[block]
    return origin.reshape(split.shape), (width, top + 1)


@njit(cache=True, parallel=True)
def fill(needs, blocks, split, origin, leaves):
    """Write the codes of the candidates of every leaf to leaves (height, width, M), which holds NONE.

    Returns per block how many texels have a candidate in their top-K that did not fit.
    """
    missed = np.zeros(blocks.rows * blocks.columns, np.int64)
    for block in prange(blocks.rows * blocks.columns):
        row, column = block // blocks.columns, block % blocks.columns
        first, last = needs.start[block], needs.start[block] + needs.kept[block]
        codes, masks = needs.codes[first:last], needs.masks[first:last]
        nx, ny = split[row, column]
        left, top = origin[row, column]
        worth = np.empty(len(codes), np.int64)
        for part in range(nx * ny):
            own = _window(blocks, block, nx, ny, part, False)
            wide = _window(blocks, block, nx, ny, part, True)
            wanted = _weigh(masks, own, wide, worth)
            slots = leaves[top, left + part]
            _choose(codes, worth, wanted, slots)
            if wanted > len(slots):
                missed[block] += _lost(masks, worth, own)
    return missed


@njit(cache=True)
def _window(blocks, block, nx, ny, part, wide):
    """The texels of a leaf, one of nx x ny of a block, as a Window that counts from the first texel of the block's ring.

    wide    with the texels around it
    """
    whole = ring(blocks, block)
    x = block % blocks.columns * blocks.step_x + blocks.step_x * (part % nx) / nx
    y = block // blocks.columns * blocks.step_y + blocks.step_y * (part // nx) / ny
    if wide:
        left, right = around(x, blocks.step_x / nx)
        top, bottom = around(y, blocks.step_y / ny)
    else:
        left, right = _inside(x, blocks.step_x / nx)
        top, bottom = _inside(y, blocks.step_y / ny)
    return Window(left - whole.left, right - whole.left, top - whole.top, bottom - whole.top)


@njit(cache=True)
def _inside(low, length):
    """First and last of the texels whose centers lie in a stretch, or as good as on its ends."""
    return int(np.ceil(low - 0.5 - BORDER)), int(np.ceil(low + length - 0.5 + BORDER)) - 1


@njit(cache=True)
def _weigh(masks, own, wide, worth):
    """Write to worth[n] how many texels need candidate n, see OWNED. Returns how many candidates are needed."""
    own_bits, wide_bits = _bits(own.left, own.right), _bits(wide.left, wide.right)
    wanted = 0
    for n in range(len(worth)):
        total = 0
        for r in range(wide.top, wide.bottom + 1):
            total += _ones(masks[n, r] & wide_bits)
            if own.top <= r <= own.bottom:
                total += OWNED * _ones(masks[n, r] & own_bits)
        worth[n] = total
        wanted += total > 0
    return wanted


@njit(cache=True)
def _choose(codes, worth, wanted, slots):
    """Put the candidates of most worth into slots, and set the worth of these to 0.

    First come those worth more than the least that has a place (or than 1, where all have), then those worth as much:
    among these, the first.
    """
    least = np.int64(1)
    if wanted > len(slots):
        least = -smallest(-worth, len(slots))
    used = 0
    for more in (True, False):
        for n in range(len(codes)):
            chosen = worth[n] > least if more else worth[n] == least
            if chosen and used < len(slots):
                slots[used] = codes[n]
                used += 1
                worth[n] = 0


@njit(cache=True)
def _lost(masks, worth, own):
    """How many texels of a leaf need a candidate that was not chosen: its worth is not 0."""
    bits = _bits(own.left, own.right)
    texels = 0
    for r in range(own.top, own.bottom + 1):
        lost = np.uint32(0)
        for n in range(len(worth)):
            if worth[n]:
                lost |= masks[n, r]
        texels += _ones(lost & bits)
    return texels


@njit(cache=True)
def _fewest(masks, blocks, block, most_x, most_y, candidates, wide, limit):
    """(nx, ny) with the fewest leaves, at most `limit`, that _fits(); (0, 0) where there is none."""
    best_x, best_y, least = 0, 0, limit + 1
    for nx in range(1, most_x + 1):
        for ny in range(1, most_y + 1):
            if nx * ny < least and _fits(masks, blocks, block, nx, ny, candidates, wide):
                best_x, best_y, least = nx, ny, nx * ny
    return best_x, best_y


@njit(cache=True)
def _fits(masks, blocks, block, nx, ny, candidates, wide):
    """Whether each of the nx x ny leaves of a block needs at most that many candidates.

    wide     counts what the texels around a leaf need as well
    """
    for part in range(nx * ny):
        window = _window(blocks, block, nx, ny, part, wide)
        bits = _bits(window.left, window.right)
        needed = 0
        for n in range(len(masks)):
            seen = np.uint32(0)
            for r in range(window.top, window.bottom + 1):
                seen |= masks[n, r]
            needed += (seen & bits) != 0
        if needed > candidates:
            return False
    return True


@njit(cache=True)
def _bits(first, last):
    """Bits first..last set."""
    return np.uint32((1 << (last + 1)) - (1 << first))


@njit(cache=True)
def _ones(bits):
    """How many bits are set."""
    count = 0
    while bits:
        bits &= bits - np.uint32(1)
        count += 1
    return count
