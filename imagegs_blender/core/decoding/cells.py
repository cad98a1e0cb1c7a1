"""Cells: which Gaussians a decoder that blends all of a few can do with, everywhere on a texture.

    blocks   of about 16 x 16 texels are divided into n x n cells each, n of SIZES
    cells    hold M candidates each, and a decoder blends them all

The definition blends the K largest weights of a point. So a candidate that no texel of a cell blends is no loss; of the
others, those are left out whose loss changes the picture least. If a texel blends the share s of a feature f into its value
v, then leaving it out moves the value by s (f - v) / (1 - s). Where the definition does not blend it, blending it moves the
value by s (f - v). The squares of the first, over the planes and the texels of a cell, less those of the second are what a
candidate is worth there, and what is left out of all cells about the squared error of the picture. So the blocks that gain
most are divided further, until there are as many cells as may be.

Trusts: found and blocks are those that blocks.py made of the same ellipses; there is a feature for each of these; M is at
least 1 (node_tables.build).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from ..gaussians import CUTOFF, EPS
from .blocks import Blocks, Ellipses, Reach, distances, exchange, near, ring
from .copies import NONE, gaussian_of

SIZES = np.array([1, 2, 4, 8, 16])
"""Cells along a side of a block: powers of two, so that blocks of one size fill rows without gaps."""

NEARLY = 0.1
"""Added to the share of all others, where a candidate has nearly all of it."""

FAINT = 3.5
"""Candidates whose weight is e^-FAINT of the last that a texel blends do no harm there."""

FEW = 2
"""Up to this K, what candidates would do where the definition does not blend them is not counted: all that a texel blends
has to be there."""

ALIKE = 1e-2
"""Squared distance that a feature is taken to have from all others at least."""

SEEN = 1 / 16
"""What a texel next to a cell counts, beside one inside of it: points between texel centers lie between the two."""

DENSE = 24
"""With fewer cells for a block than this, none is divided into the largest of SIZES."""

SAMPLE = 1500
"""Blocks, about, that stand for all when the price of a cell is found."""

BATCH = 1024
"""Blocks whose cells are chosen at a time: little memory."""


class Chosen(NamedTuple):
    """The cells of a texture.

    sizes    (blocks,) int64: n, of n x n cells
    codes    for each of SIZES (blocks of it, n, n, M) int32, see copies.py: the block's cells, row by row
    blocks   for each of SIZES the numbers of these blocks, in their order
    missed   the share of what all candidates are worth that has no place
    """

    sizes: np.ndarray
    codes: list[np.ndarray]
    blocks: list[np.ndarray]
    missed: float


def choose(found: Reach, ellipses: Ellipses, feature: np.ndarray, blocks: Blocks, slots: int, most: int) -> Chosen:
    """Cells with `slots` candidates each, not many more than `most` of them (a block has one at least).

    feature   (N, C) float32
    """
    total = blocks.columns * blocks.rows
    every = np.arange(total)
    sample = every[:: max(1, total // SAMPLE)]
    count = len(SIZES) if most > DENSE * total else len(SIZES) - 1
    errors, missed = np.zeros((len(sample), count)), np.zeros((len(sample), 2))
    none = np.zeros((0, 0, 0), np.int32)
    _choose(
        found, ellipses, feature, blocks, sample, slots, -1.0, np.zeros(len(sample), np.int64), errors, none, missed
    )
    price = _price(errors, most * len(sample) / total)

    sizes, lost = np.empty(total, np.int64), np.zeros(2)
    parts: list[list[np.ndarray]] = [[] for _ in SIZES]
    for first in range(0, total, BATCH):
        some = every[first : first + BATCH]
        picked, errors, missed = np.zeros(len(some), np.int64), np.zeros((len(some), count)), np.zeros((len(some), 2))
        codes = np.empty((len(some), SIZES[count - 1] ** 2, slots), np.int32)
        _choose(found, ellipses, feature, blocks, some, slots, price, picked, errors, codes, missed)
        sizes[some] = SIZES[picked]
        lost += missed.sum(0)
        for size, n in enumerate(SIZES):
            parts[size].append(codes[picked == size, : n * n].reshape(-1, n, n, slots))
    gathered = [np.concatenate(part) for part in parts]
    return Chosen(
        sizes, gathered, [np.flatnonzero(sizes == n) for n in SIZES], float(lost[0] / lost[1]) if lost[1] else 0.0
    )


def _price(errors: np.ndarray, most: float) -> float:
    """The error that one more cell must take away, so that there are at most so many; errors by block and size."""
    cells = (SIZES[: errors.shape[1]] ** 2).astype(np.float64)

    def used(price: float) -> float:
        return float(cells[np.argmin(errors + price * cells, axis=1)].sum())

    low, high = 0.0, float(np.ptp(errors)) + 1e-12
    if used(low) <= most:
        return low
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if used(middle) > most else (low, middle)
    return high


@njit(cache=True, parallel=True)
def _choose(found, ellipses, feature, blocks, numbers, slots, price, picked, errors, codes, missed):
    """The error of every size of some blocks; and where price >= 0, the size that is worth it, and its cells.

    picked   (blocks,) int64: index into SIZES
    errors   (blocks, sizes) float64, of the first few of SIZES, but for what is the same for all
    codes    (blocks, cells, M) int32, of which the first n x n are written
    missed   (blocks, 2) float64: what candidates are worth that have no place, and what all are
    """
    count = errors.shape[1]
    for b in prange(len(numbers)):
        block = numbers[b]
        given = found.codes[found.start[block] : found.start[block + 1]]
        window = ring(blocks, block)
        used, who, where, worth = _worth(given, ellipses, feature, window)
        across, down = _spots(blocks, block, window)
        sums = np.zeros((count, 1 << 2 * (count - 1), len(used)), np.float32)
        _gather(who, where, worth, across, down, 1 << (count - 1), blocks, sums[-1])
        for size in range(count - 1, -1, -1):
            if size < count - 1:
                _join(sums[size + 1], 1 << size, sums[size])
            errors[b, size] = -_kept(sums[size], 1 << 2 * size, slots)
        if price >= 0.0:
            best = 0
            for size in range(1, count):
                if errors[b, size] + price * 4.0**size < errors[b, best] + price * 4.0**best:
                    best = size
            picked[b] = best
            for cell in range(1 << 2 * best):
                _take(sums[best, cell], used, codes[b, cell])
            missed[b] = _missed(who, where, worth, across, down, 1 << best, sums[best])


@njit(cache=True)
def _worth(codes, ellipses, feature, window):
    """What candidates are worth in the texels of a window: below 0 where the definition does not blend them.

    Returns the codes of those that any texel blends (n,) int32; and for every time that one does: which of these (m,)
    int32, in which texel (m,) int32, and what it is worth there (m,) float32.
    """
    index, corner = near(codes, ellipses, window)
    columns, rows = window.right - window.left + 1, window.bottom - window.top + 1
    texels, planes, topk = rows * columns, feature.shape[1], ellipses.topk
    across, down = np.empty(texels, np.float32), np.empty(texels, np.float32)
    for t in range(texels):
        across[t], down[t] = t % columns, t // columns
    q = np.empty((len(index), texels), np.float32)
    best = np.full((max(topk, 1), texels), np.float32(CUTOFF), np.float32)
    rest = np.empty(texels, np.float32)
    for n in range(len(index)):
        e = index[n]
        i = gaussian_of(codes[e])
        form = (ellipses.conic[i, 0], ellipses.conic[i, 1], ellipses.conic[i, 2])
        distances(form, ellipses.bias[i], (corner[e, 0], corner[e, 1]), across, down, q[n], rest)
        for k in range(topk):
            exchange(best[k], rest)
    limit = best[-1]

    weight, total = np.empty((len(index), texels), np.float32), np.full(texels, np.float32(EPS if topk else 1.0))
    value, off = np.zeros((planes, texels), np.float32), np.empty(texels, np.float32)
    for n in range(len(index)):
        _weigh(q[n], limit, weight[n], rest)
        f = feature[gaussian_of(codes[index[n]])]
        if topk:
            _add(np.float32(1.0), rest, total)
            for c in range(planes):
                _add(f[c], rest, value[c])
    for c in range(planes):
        _divide(value[c], total)

    room = texels * len(index)
    who, where, worth = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float32)
    used = np.empty(len(index), np.int32)
    count = kept = 0
    for n in range(len(index)):
        first, some = count, False
        f = feature[gaussian_of(codes[index[n]])]
        off[:] = 0.0
        for c in range(planes):
            _square(f[c], value[c], off)
        _rate(q[n], limit, weight[n], total, off, topk, rest)
        for t in range(texels):
            if rest[t] != 0.0:
                who[count], where[count], worth[count] = kept, t, rest[t]
                count += 1
                some = some or rest[t] > 0.0
        if some:
            used[kept] = codes[index[n]]
            kept += 1
        else:
            count = first
    return used[:kept], who[:count], where[:count], worth[:count]


@njit(cache=True)
def _weigh(q, limit, weight, inside):
    """weight = e^-q, to a percent for all that counts; inside: of what the definition blends, else 0."""
    for t in range(len(q)):
        w = np.float32(1.0) - np.float32(1 / 1024) * min(q[t], np.float32(2 * CUTOFF))
        for _ in range(10):
            w *= w
        weight[t] = w
        inside[t] = w if q[t] <= limit[t] else np.float32(0.0)


@njit(cache=True)
def _add(factor, values, sums):
    for t in range(len(sums)):
        sums[t] += factor * values[t]


@njit(cache=True)
def _divide(values, by):
    for t in range(len(values)):
        values[t] /= by[t]


@njit(cache=True)
def _square(number, values, sums):
    """sums += (number - values)^2"""
    for t in range(len(values)):
        d = number - values[t]
        sums[t] += d * d


@njit(cache=True)
def _rate(q, limit, weight, total, off, topk, worth):
    """What one candidate is worth in every texel; off: the squared distance of its feature from the texel's value."""
    nearly, alike = np.float32(1.0 + NEARLY), np.float32(ALIKE)
    harms = np.float32(-1.0 if topk > FEW else 0.0)
    faint = np.float32(FAINT)
    for t in range(len(q)):
        share = weight[t] / total[t]
        others = nearly - share if topk else np.float32(1.0)
        gain = share * share * (off[t] / (others * others) + alike)
        share = weight[t] / (total[t] + weight[t])
        loss = harms * share * share * off[t] if q[t] <= limit[t] + faint and q[t] <= CUTOFF else np.float32(0.0)
        worth[t] = gain if q[t] <= limit[t] else loss


@njit(cache=True)
def _spots(blocks, block, window):
    """Where the columns and the rows of texels of a window are in their block, 0..1 inside."""
    x, y = block % blocks.columns * blocks.step_x, block // blocks.columns * blocks.step_y
    across = (window.left + 0.5 + np.arange(window.right - window.left + 1) - x) / blocks.step_x
    down = (window.top + 0.5 + np.arange(window.bottom - window.top + 1) - y) / blocks.step_y
    return across, down


@njit(cache=True)
def _gather(who, where, worth, across, down, n, blocks, sums):
    """What each candidate is worth in each of n x n cells, added to sums (cells, candidates)."""
    columns = len(across)
    left, x, right = _reached(across, n, 1.0 / blocks.step_x)
    top, y, bottom = _reached(down, n, 1.0 / blocks.step_y)
    for m in range(len(who)):
        r, s = where[m] // columns, where[m] % columns
        seen = np.float32(SEEN) * worth[m]
        for cell_y in range(top[r], bottom[r] + 1):
            for cell_x in range(left[s], right[s] + 1):
                inside = cell_x == x[s] and cell_y == y[r]
                sums[cell_y * n + cell_x, who[m]] += worth[m] if inside else seen


@njit(cache=True)
def _join(finer, n, sums):
    """The same of n x n cells, each from the four that it is divided into, into the first rows of sums."""
    for cell in range(n * n):
        y, x = cell // n, cell % n
        for e in range(sums.shape[1]):
            upper = finer[4 * y * n + 2 * x, e] + finer[4 * y * n + 2 * x + 1, e]
            lower = finer[(4 * y + 2) * n + 2 * x, e] + finer[(4 * y + 2) * n + 2 * x + 1, e]
            sums[cell, e] = upper + lower


@njit(cache=True)
def _reached(spots, n, step):
    """Of n cells in a row, for each texel: the first that it is in or next to, the one that it is in, and the last."""
    first, own, last = np.empty(len(spots), np.int64), np.empty(len(spots), np.int64), np.empty(len(spots), np.int64)
    for s in range(len(spots)):
        own[s] = int(np.floor(spots[s] * n))
        first[s] = max(0, int(np.floor((spots[s] - step) * n)))
        last[s] = min(n - 1, int(np.floor((spots[s] + step) * n)))
    return first, own, last


@njit(cache=True)
def _kept(sums, cells, slots):
    """What the first `slots` candidates of each cell are worth; sums (cells, candidates)."""
    kept = 0.0
    top = np.empty(slots, np.float32)
    for cell in range(cells):
        top[:] = 0.0
        for e in range(sums.shape[1]):
            w = sums[cell, e]
            if w > top[-1]:
                at = slots - 1
                while at > 0 and top[at - 1] < w:
                    top[at] = top[at - 1]
                    at -= 1
                top[at] = w
        for w in top:
            kept += w
    return kept


@njit(cache=True)
def _missed(who, where, worth, across, down, n, sums):
    """What candidates are worth whose sums _take() has not set to 0, and what all are, in the texels of n x n cells."""
    left = whole = 0.0
    for m in range(len(who)):
        x, y = across[where[m] % len(across)], down[where[m] // len(across)]
        if worth[m] > 0.0 and 0.0 <= x < 1.0 and 0.0 <= y < 1.0:
            whole += worth[m]
            if sums[int(y * n) * n + int(x * n), who[m]] > 0.0:
                left += worth[m]
    return left, whole


@njit(cache=True)
def _take(sums, used, out):
    """Write the codes of the candidates of most worth to out, which is filled with NONE."""
    for k in range(len(out)):
        best, most = -1, np.float32(0.0)
        for e in range(len(sums)):
            if sums[e] > most:
                best, most = e, sums[e]
        out[k] = NONE
        if best >= 0:
            out[k] = used[best]
            sums[best] = 0.0
