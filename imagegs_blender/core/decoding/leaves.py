"""Which Gaussians a point can need: blocks of texels, divided into leaves of few candidates.

    bin      Gaussians -> the blocks that they reach (exact ellipse test)
    select   -> which of them are in the exact top-K of which texel centre of the block, or of the ring around it
    split    -> the fewest leaves, nx x ny, that hold at most M candidates each
    pack     -> where the leaves of each block are in one table
    fill     -> the candidates of each leaf

A candidate is a code: 9 index + 3 sx + sy + 4, (sx, sy) in -1..1 the period by which its mean is shifted (wrap-around).
Arguments are shared: mean (N, 2) float64 texels, conic (N, 3) and bias (N,) float32, size (width, height) float64,
grid (columns, rows) of blocks. Every kernel is deterministic: blocks are independent of each other.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..gaussians import CUTOFF

BLOCK = 16
"""Largest side of a block, texels; rows of block and ring fit the 32 bits of a mask."""

BORDER = 1e-3
"""Texels by which a shader, in float32, may take a point for one of the leaf beside its own."""

OWNED = 1000
"""A texel of the leaf itself counts this much more than one around it: where M >= K none of them is ever missed."""


@njit(cache=True)
def bin(mean, conic, bias, size, grid, wrap):
    """(start (blocks + 1,), entries): for each block the Gaussians that reach its samples, as 9 index + 3 sx + sy + 4.

    (sx, sy) in -1..1 is the period by which the mean is shifted to be nearest to the block.
    """
    columns, rows = grid
    step_x, step_y = size[0] / columns, size[1] / rows
    start = np.zeros(columns * rows + 1, np.int64)
    entries = np.empty(0, np.int32)
    for filling in (False, True):
        if filling:
            for block in range(columns * rows):
                start[block + 1] += start[block]
            entries = np.empty(start[-1], np.int32)
            cursor = start[:-1].copy()
        for i in range(len(mean)):
            reach = CUTOFF - bias[i]
            if not reach > 0.0:
                continue
            a, b, c = conic[i]
            determinant = max(a * c - b * b / 4.0, 1e-30)
            half_x, half_y = (reach * c / determinant) ** 0.5 + 0.5, (reach * a / determinant) ** 0.5 + 0.5
            x, y = mean[i]
            left, right = int(np.floor((x - half_x) / step_x)), int(np.floor((x + half_x) / step_x))
            top, bottom = int(np.floor((y - half_y) / step_y)), int(np.floor((y + half_y) / step_y))
            if wrap:
                first_x = int(np.ceil(x / step_x - columns / 2 - 0.5))
                first_y = int(np.ceil(y / step_y - rows / 2 - 0.5))
                left, right = max(left, first_x), min(right, first_x + columns - 1)
                top, bottom = max(top, first_y), min(bottom, first_y + rows - 1)
            else:
                left, right, top, bottom = max(left, 0), min(right, columns - 1), max(top, 0), min(bottom, rows - 1)
            for block_y in range(top, bottom + 1):
                sy = -(block_y // rows)
                for block_x in range(left, right + 1):
                    sx = -(block_x // columns)
                    if (
                        _least(
                            a,
                            b,
                            c,
                            block_x * step_x - x - 1.0,
                            (block_x + 1) * step_x - x + 1.0,
                            block_y * step_y - y - 1.0,
                            (block_y + 1) * step_y - y + 1.0,
                        )
                        > reach
                    ):
                        continue
                    block = (block_y + sy * rows) * columns + block_x + sx * columns
                    if filling:
                        entries[cursor[block]] = 9 * i + 3 * sx + sy + 4
                        cursor[block] += 1
                    else:
                        start[block + 1] += 1
    return start, entries


@njit(cache=True, parallel=True)
def select(start, entries, mean, conic, bias, size, grid, topk):
    """_masks of every block: (masks (entries, BLOCK + 2) uint32, how many entries each block keeps)."""
    columns, rows = grid
    step_x, step_y = size[0] / columns, size[1] / rows
    masks = np.empty((len(entries), BLOCK + 2), np.uint32)
    kept = np.empty(rows * columns, np.int64)
    for block in prange(rows * columns):
        x0, x1 = _window(block % columns * step_x, step_x, 0, 1)
        y0, y1 = _window(block // columns * step_y, step_y, 0, 1)
        first, last = start[block], start[block + 1]
        kept[block] = _masks(entries[first:last], masks[first:last], mean, conic, bias, size, x0, x1, y0, y1, topk)
    return masks, kept


@njit(cache=True, parallel=True)
def split(start, masks, kept, size, grid, candidates, most):
    """(rows, columns, 2) int32 (nx, ny) per block: the fewest leaves whose own texels need at most `candidates` each.

    Some more, up to `most` times as many, where then the texels around each leaf need no others either.
    """
    columns, rows = grid
    step_x, step_y = size[0] / columns, size[1] / rows
    split = np.ones((rows, columns, 2), np.int32)
    for block in prange(rows * columns):
        row, column = block // columns, block % columns
        x, y = column * step_x, row * step_y
        own = masks[start[block] : start[block] + kept[block]]
        most_x, most_y = min(BLOCK, int(np.ceil(step_x))), min(BLOCK, int(np.ceil(step_y)))
        nx, ny = _fewest(own, x, y, step_x, step_y, most_x, most_y, candidates, False, most_x * most_y)
        wide_x, wide_y = _fewest(own, x, y, step_x, step_y, most_x, most_y, candidates, True, int(most * nx * ny))
        if wide_x > 0:
            nx, ny = wide_x, wide_y
        elif nx == 0:
            nx, ny = most_x, most_y
        split[row, column, 0], split[row, column, 1] = nx, ny
    return split


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
def fill(start, entries, masks, kept, size, grid, split, origin, codes):
    """Write the candidates of every leaf to codes; returns per block the texels whose exact top-K did not fit.

    What the leaf's own texels need goes first, then what the ring of texels around it needs.
    """
    columns, rows = grid
    step_x, step_y = size[0] / columns, size[1] / rows
    candidates = codes.shape[2]
    missed = np.zeros(rows * columns, np.int64)
    for block in prange(rows * columns):
        row, column = block // columns, block % columns
        x, y = column * step_x, row * step_y
        x0, y0 = _window(x, step_x, 0, 1)[0], _window(y, step_y, 0, 1)[0]
        found = entries[start[block] : start[block] + kept[block]]
        own = masks[start[block] : start[block] + kept[block]]
        nx, ny = split[row, column]
        count = np.empty(len(found), np.int64)
        for part_y in range(ny):
            low, high = _window(y, step_y, part_y, ny)
            own_low, own_high = _owned(y, step_y, part_y, ny)
            for part_x in range(nx):
                left, right = _window(x, step_x, part_x, nx)
                own_left, own_right = _owned(x, step_x, part_x, nx)
                bits, own_bits = _bits(left - x0, right - x0), _bits(own_left - x0, own_right - x0)
                seen = 0
                for n in range(len(found)):
                    count[n] = 0
                    for r in range(low - y0, high - y0 + 1):
                        count[n] += _ones(own[n, r] & bits)
                        if own_low - y0 <= r <= own_high - y0:
                            count[n] += OWNED * _ones(own[n, r] & own_bits)
                    seen += count[n] > 0
                leaf = codes[origin[row, column, 1], origin[row, column, 0] + part_y * nx + part_x]
                least = np.int64(1)
                if seen > candidates:
                    least = -_smallest(-count, candidates)
                used = 0
                for passing in range(2):
                    for n in range(len(found)):
                        wanted = count[n] > least if passing == 0 else count[n] == least
                        if wanted and used < candidates:
                            leaf[used] = found[n]
                            used += 1
                            count[n] = 0
                if seen > candidates:
                    for r in range(own_low - y0, own_high - y0 + 1):
                        lost = np.uint32(0)
                        for n in range(len(found)):
                            if count[n]:
                                lost |= own[n, r]
                        missed[block] += _ones(lost & own_bits)
    return missed


@njit(cache=True)
def _least(a, b, c, x0, x1, y0, y1):
    """Least a dx^2 + b dx dy + c dy^2 over the rectangle x0..x1, y0..y1 (relative to the mean)."""
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
def _window(origin, step, part, parts):
    """First and last index of the texels whose centres enclose the given part of a block: its own and one around."""
    low = origin + step * part / parts
    return int(np.floor(low - 0.5)), int(np.ceil(low + step / parts - 0.5))


@njit(cache=True)
def _owned(origin, step, part, parts):
    """First and last index of the texels whose centres lie in the given part of a block, or as good as on its border."""
    low = origin + step * part / parts
    return int(np.ceil(low - 0.5 - BORDER)), int(np.ceil(low + step / parts - 0.5 + BORDER)) - 1


@njit(cache=True)
def _masks(entries, masks, mean, conic, bias, size, x0, x1, y0, y1, topk):
    """Which entries are in the exact top-K of which texel centres x0..x1, y0..y1.

    Entries that are in none are dropped, in place; bit i of masks[entry, row] stands for texel x0 + i. Returns how many
    are left.
    """
    total = len(entries)
    columns, rows = x1 - x0 + 1, y1 - y0 + 1
    least, most = np.empty(total, np.float32), np.empty(total, np.float32)
    place = np.empty((total, 2), np.float32)
    for e in range(total):
        i, shift = entries[e] // 9, entries[e] % 9
        left = x0 + 0.5 - (mean[i, 0] + (shift // 3 - 1) * size[0])
        top = y0 + 0.5 - (mean[i, 1] + (shift % 3 - 1) * size[1])
        right, bottom = left + columns - 1, top + rows - 1
        place[e, 0], place[e, 1] = left, top
        a, b, c = conic[i]
        least[e] = _least(a, b, c, left, right, top, bottom) + bias[i]
        corner = max((a * left + b * top) * left + c * top * top, (a * right + b * top) * right + c * top * top)
        corner = max(corner, (a * left + b * bottom) * left + c * bottom * bottom)
        most[e] = max(corner, (a * right + b * bottom) * right + c * bottom * bottom) + bias[i]
    bound = np.float32(CUTOFF)
    if 0 < topk < total:
        bound = min(bound, _smallest(most, topk))
    kept = np.flatnonzero(least <= bound + np.float32(1e-3))

    samples = rows * columns
    across, down, bit = np.empty(samples, np.float32), np.empty(samples, np.float32), np.empty(samples, np.uint32)
    for r in range(rows):
        for s in range(columns):
            across[r * columns + s], down[r * columns + s], bit[r * columns + s] = s, r, 1 << s
    q = np.empty((len(kept), samples), np.float32)
    rest = np.empty(samples, np.float32)
    best = np.full((max(topk, 1), samples), np.float32(CUTOFF), np.float32)
    for n in range(len(kept)):
        i = entries[kept[n]] // 9
        a, b, c = conic[i]
        _distances(a, b, c, bias[i], place[kept[n], 0], place[kept[n], 1], across, down, q[n], rest)
        for k in range(topk):
            _exchange(best[k], rest)

    inside = np.empty(samples, np.uint32)
    found = 0
    for n in range(len(kept)):
        _where(q[n], best[-1], bit, inside)
        some = np.uint32(0)
        for r in range(rows):
            bits = np.uint32(0)
            for s in range(columns):
                bits |= inside[r * columns + s]
            masks[found, r] = bits
            some |= bits
        if some:
            entries[found] = entries[kept[n]]
            found += 1
    return found


@njit(cache=True)
def _smallest(values, k):
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
def _distances(a, b, c, bias, left, top, across, down, q, rest):
    """q = rest = a dx^2 + b dx dy + c dy^2 + bias at dx = left + across, dy = top + down."""
    for s in range(len(q)):
        dx, dy = left + across[s], top + down[s]
        value = (a * dx + b * dy) * dx + c * (dy * dy) + bias
        q[s] = value
        rest[s] = value


@njit(cache=True)
def _exchange(low, high):
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


@njit(cache=True)
def _fewest(masks, x, y, step_x, step_y, most_x, most_y, candidates, around, limit):
    """(nx, ny) with the fewest leaves, at most `limit`, that _fits(); (0, 0) where there is none."""
    best_x, best_y, least = 0, 0, limit + 1
    for nx in range(1, most_x + 1):
        for ny in range(1, most_y + 1):
            if nx * ny < least and _fits(masks, x, y, step_x, step_y, nx, ny, candidates, around):
                best_x, best_y, least = nx, ny, nx * ny
    return best_x, best_y


@njit(cache=True)
def _fits(masks, x, y, step_x, step_y, nx, ny, candidates, around):
    """Whether each of the nx x ny leaves of the block at (x, y) needs at most that many candidates.

    around   counts what the ring of texels around a leaf needs as well
    """
    x0, y0 = _window(x, step_x, 0, 1)[0], _window(y, step_y, 0, 1)[0]
    for part_y in range(ny):
        low, high = _window(y, step_y, part_y, ny) if around else _owned(y, step_y, part_y, ny)
        for part_x in range(nx):
            left, right = _window(x, step_x, part_x, nx) if around else _owned(x, step_x, part_x, nx)
            bits = _bits(left - x0, right - x0)
            needed = 0
            for n in range(len(masks)):
                seen = np.uint32(0)
                for r in range(low - y0, high - y0 + 1):
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
