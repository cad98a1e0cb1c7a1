"""Decode tables: what a shader reads to decode one point of a stack with a handful of closest-texel fetches.

    Gaussian   T texels per Gaussian: (mx, my, mx + my, p0) (A, B, C, f) (f, f, f, f) ... with D = (x, y, x + y) - M in
               texels of the fitted resolution and the log-weight p = -q = A D.x^2 + B D.y^2 + C D.z^2 + p0. The sum
               coordinate turns the mixed term of the conic into a third square, so p is one dot product.
               Coordinates are counted from the centre of the texture (small numbers keep float32 exact).
               Plane 3 g + i is channel i of texel 2 + g; the planes left over sit in the alphas of texels 1, 2, 3 ...
    blocks     1 texel per block of about 16 x 16 texels: (ox, oy, nx, ny). The block is divided into nx x ny leaves;
               leaf (0, 0) is leaf (ox, oy) of the cells table
    cells      M / 4 texels per leaf: the M Gaussians that can be in the top-K of a point of the leaf, as index + 0.5

Where the texture repeats, a Gaussian near the border has a copy on the other side, so a shader never wraps a distance.
(A fit keeps the reach of a Gaussian under half the texture; beyond that, the nearest copy is chosen block by block.)
The last Gaussian is null (p0 = -1e4) and fills unused slots. Row 0 is the top row of the texture and, as images of
Blender begin with the bottom row, v = 0 of the table: tables are indexed by (x, y down) as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from .errors import ImageGSError
from .gaussians import CUTOFF, EPS, MAX_PLANES, Gaussians

BLOCK = 16
NULL_LOG_WEIGHT = -1e4
MAX_TEXELS = 1 << 21
"""Texels of the Gaussian table: beyond, index / row length is no longer exact enough in float32."""


@dataclass(frozen=True)
class Tables:
    """Tables of one stack.

    gaussians   (h, w, 4) float32, w a multiple of `texels`
    blocks      (h, w, 4) float32
    cells       (h, w, 4) float32, w a multiple of M / 4
    width, height    the fitted resolution, texels
    planes      C
    texels      T, texels per Gaussian
    candidates  M, a multiple of 4
    topk        K, 0 for the plain sum
    spread      a typical 1 / sqrt(det conic), texels^2: twice the product of the scales (coarse LODs weigh by area)
    missed      share of the texels whose exact top-K is not among the candidates
    """

    gaussians: np.ndarray
    blocks: np.ndarray
    cells: np.ndarray
    width: int
    height: int
    planes: int
    texels: int
    candidates: int
    topk: int
    spread: float
    missed: float

    @property
    def nbytes(self) -> int:
        """Resident bytes of the three tables."""
        return self.gaussians.nbytes + self.blocks.nbytes + self.cells.nbytes

    def slot(self, plane: int) -> tuple[int, int]:
        """(texel, channel) of a plane within the texels of its Gaussian."""
        return _slot(plane, self.texels)


def build(gaussians: Gaussians, max_candidates: int | None = None) -> Tables:
    """The tables of a stack. max_candidates is M, the slots per leaf, rounded up to 4; by default chosen from K.

    Deterministic. Raises ImageGSError where there are no Gaussians or more than the tables can address.
    """
    count, planes = gaussians.feature.shape
    if count == 0:
        raise ImageGSError("decode tables: the stack has no Gaussians; fit it again")
    if not 1 <= planes <= MAX_PLANES:
        raise ImageGSError(f"decode tables: {planes} planes; a stack has 1 to {MAX_PLANES}")
    if max_candidates is None:
        choices = _CANDIDATES[gaussians.topk]
    else:
        choices = (4 * max(1, -(-max_candidates // 4)),)

    size = np.array([gaussians.width, gaussians.height], np.float64)
    mean = gaussians.mean.astype(np.float64)
    if gaussians.wrap:
        mean -= np.floor(mean)
    mean *= size
    conic = gaussians.conic()
    bias = gaussians.bias.astype(np.float32)
    grid = tuple(max(-(-int(n) // BLOCK), min(int(n), 8)) for n in size)

    start, entries = _bin(mean, conic, bias, size, grid, gaussians.wrap)
    masks, kept = _select(start, entries, mean, conic, bias, size, grid, gaussians.topk)
    for candidates in choices:
        split = _split(start, masks, kept, size, grid, candidates)
        origin, leaves = _pack(split, candidates // 4)
        codes = np.full((leaves[1], leaves[0], candidates), -1, np.int32)
        missed = _fill(start, entries, masks, kept, size, grid, split, origin, codes)
        if missed.sum() <= 1e-3 * size.prod():
            break

    used = np.zeros(9 * count + 1, bool)
    used[codes] = True
    used[4:-1:9] = True  # shift (0, 0): the Gaussians themselves, in their order
    used[-1] = True  # code -1: the null Gaussian, last
    shifted = used.copy()
    shifted[4:-1:9] = False
    shifted[-1] = False
    copies = np.flatnonzero(shifted)
    index = np.zeros(9 * count + 1, np.float32)
    index[4:-1:9] = np.arange(count) + 0.5
    index[copies] = count + np.arange(len(copies)) + 0.5
    index[-1] = count + len(copies) + 0.5

    table, texels = _gaussian_table(gaussians, mean, conic, size, copies)
    blocks = np.concatenate([origin, split], axis=2).astype(np.float32)
    cells = index[codes].reshape(leaves[1], leaves[0] * (candidates // 4), 4)
    spread = float(1 / np.median(np.sqrt(np.maximum(_determinant(conic), 1e-30))))
    return Tables(table, blocks, cells, gaussians.width, gaussians.height, planes, texels, candidates, gaussians.topk,
                  spread, float(missed.sum() / size.prod()))


def lookup(tables: Tables, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Decode points from the tables alone, in float32, step by step as the shader does.

    x, y   (...) texture coordinates, y down, 0 <= x, y < 1
    Returns (..., C) float32.
    """
    x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
    out = np.zeros((x.size, tables.planes), np.float32)
    slots = np.array([tables.slot(p) for p in range(tables.planes)], np.int64)
    size = np.float32(tables.width), np.float32(tables.height)
    _lookup(tables.gaussians.reshape(-1, 4), tables.blocks, tables.cells, *size, tables.texels,
            tables.candidates, tables.topk, slots, x.ravel(), y.ravel(), out)
    return out.reshape(*x.shape, tables.planes)


_CANDIDATES = {
    0: (16, 24, 32, 48, 64, 96, 128),
    **dict.fromkeys((1, 2), (8,)),
    **dict.fromkeys((3, 4, 5), (12,)),
    **dict.fromkeys((6, 7), (16,)),
    **dict.fromkeys((8, 9, 10), (20,)),
    **dict.fromkeys((11, 12, 13), (24,)),
    **dict.fromkeys((14, 15, 16), (28,)),
}
"""M by K, measured: fewer slots make many more leaves, more slots a slower shader. The first that covers all is taken."""


def _slot(plane: int, texels: int) -> tuple[int, int]:
    colors = 3 * (texels - 2)
    return (2 + plane // 3, plane % 3) if plane < colors else (1 + plane - colors, 3)


def _determinant(conic: np.ndarray) -> np.ndarray:
    a, b, c = conic.astype(np.float64).T
    return a * c - b * b / 4


def _gaussian_table(gaussians: Gaussians, mean: np.ndarray, conic: np.ndarray, size: np.ndarray, copies: np.ndarray):
    """((h, w, 4) table, T): the Gaussians, their copies across the border, the null Gaussian."""
    count, planes = gaussians.feature.shape
    texels = -(-(7 + planes) // 4)
    total = count + len(copies) + 1
    if total * texels > MAX_TEXELS:
        limit = MAX_TEXELS // texels
        raise ImageGSError(f"decode tables: {count} Gaussians of {planes} planes are too many; use at most {limit}")
    per_row = max(1, round((total / texels) ** 0.5))
    rows = -(-total // per_row)
    source = np.concatenate([np.arange(count), copies // 9])
    shift = np.concatenate([np.full(count, 4), copies % 9])

    table = np.zeros((rows * per_row, texels, 4), np.float32)
    table[:, 0, 3] = NULL_LOG_WEIGHT
    rows_used = table[: len(source)]
    offset = np.stack([shift // 3 - 1, shift % 3 - 1], axis=1) * size
    centre = (mean[source] + offset - size / 2).astype(np.float32)
    a, b, c = conic[source].T
    rows_used[:, 0, :2] = centre
    rows_used[:, 0, 2] = centre[:, 0] + centre[:, 1]
    rows_used[:, 0, 3] = -gaussians.bias[source]
    rows_used[:, 1, 0] = b / 2 - a
    rows_used[:, 1, 1] = b / 2 - c
    rows_used[:, 1, 2] = -b / 2
    for plane in range(planes):
        texel, channel = _slot(plane, texels)
        rows_used[:, texel, channel] = gaussians.feature[source, plane]
    return table.reshape(rows, per_row * texels, 4), texels


def _pack(split: np.ndarray, texels: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Place every block's nx x ny leaves as a rectangle of the cells table: shelves of equal height, widest first.

    Sides are powers of two and the table's width a multiple of the largest, so no rectangle crosses the right edge.
    Returns the origins (rows, columns, 2) and the (width, height) of the table in leaves.
    """
    nx, ny = split.reshape(-1, 2).T.astype(np.int64)
    width = BLOCK * max(1, round((np.sum(nx * ny) / texels) ** 0.5 / BLOCK))
    origin = np.zeros((len(nx), 2), np.int64)
    top = 0
    for height in np.unique(ny):
        shelf = np.flatnonzero(ny == height)
        shelf = shelf[np.argsort(-nx[shelf], kind="stable")]
        start = np.cumsum(nx[shelf]) - nx[shelf]
        origin[shelf, 0] = start % width
        origin[shelf, 1] = top + start // width * height
        top += int((start[-1] // width + 1) * height)
    return origin.reshape(split.shape), (width, top)


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
def _bin(mean, conic, bias, size, grid, wrap):
    """(start (blocks + 1,), entries): for each block the Gaussians that reach its samples, as 9 index + 3 sx + sy + 4.

    (sx, sy) in -1..1 is the period by which the mean is shifted to be nearest to the block.
    """
    columns, rows = grid
    step_x, step_y = size[0] / columns, size[1] / rows
    start = np.zeros(columns * rows + 1, np.int64)
    entries = np.empty(0, np.int32)
    for filling in (False, True):
        if filling:
            start[1:] = np.cumsum(start[1:])
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
                    if _least(a, b, c, block_x * step_x - x - 1.0, (block_x + 1) * step_x - x + 1.0,
                              block_y * step_y - y - 1.0, (block_y + 1) * step_y - y + 1.0) > reach:
                        continue
                    block = (block_y + sy * rows) * columns + block_x + sx * columns
                    if filling:
                        entries[cursor[block]] = 9 * i + 3 * sx + sy + 4
                        cursor[block] += 1
                    else:
                        start[block + 1] += 1
    return start, entries


@njit(cache=True)
def _window(origin, step, part, parts):
    """First and last index of the texels whose centres enclose the given part of a block: its own and one around."""
    low = origin + step * part / parts
    return int(np.floor(low - 0.5)), int(np.ceil(low + step / parts - 0.5))


@njit(cache=True)
def _owned(origin, step, part, parts):
    """First and last index of the texels whose centres lie in the given part of a block."""
    low = origin + step * part / parts
    return int(np.ceil(low - 0.5)), int(np.ceil(low + step / parts - 0.5)) - 1


@njit(cache=True)
def _distances(a, b, c, bias, left, top, across, down, q, rest):
    """q = rest = a dx^2 + b dx dy + c dy^2 + bias at dx = left + across, dy = top + down."""
    for s in range(len(q)):
        dx, dy = left + across[s], top + down[s]
        value = (a * dx + b * dy) * dx + c * (dy * dy) + bias
        q[s] = value
        rest[s] = value


@njit(cache=True)
def _where(q, limit, bit, out):
    """out = bit where q <= limit, else 0."""
    for s in range(len(q)):
        out[s] = bit[s] if q[s] <= limit[s] else np.uint32(0)


@njit(cache=True)
def _exchange(low, high):
    """Elementwise, the smaller goes to low and the larger to high."""
    for s in range(len(low)):
        a, b = low[s], high[s]
        low[s] = min(a, b)
        high[s] = max(a, b)


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
        bound = min(bound, np.partition(most, topk - 1)[topk - 1])
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
def _bits(first, last):
    """Bits first..last set."""
    return np.uint32((1 << (last + 1)) - (1 << first))


@njit(cache=True)
def _fits(masks, x, y, step_x, step_y, nx, ny, x0, y0, candidates):
    """Whether each of the nx x ny leaves of the block at (x, y) has at most that many candidates."""
    for part_y in range(ny):
        low, high = _window(y, step_y, part_y, ny)
        for part_x in range(nx):
            left, right = _window(x, step_x, part_x, nx)
            bits = _bits(left - x0, right - x0)
            seen = 0
            for n in range(len(masks)):
                for r in range(low - y0, high - y0 + 1):
                    if masks[n, r] & bits:
                        seen += 1
                        break
            if seen > candidates:
                return False
    return True


@njit(cache=True, parallel=True)
def _select(start, entries, mean, conic, bias, size, grid, topk):
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
def _split(start, masks, kept, size, grid, candidates):
    """(rows, columns, 2) int32 (nx, ny) per block: the fewest leaves with at most `candidates` each."""
    columns, rows = grid
    step_x, step_y = size[0] / columns, size[1] / rows
    split = np.ones((rows, columns, 2), np.int32)
    for block in prange(rows * columns):
        row, column = block // columns, block % columns
        x0, y0 = _window(column * step_x, step_x, 0, 1)[0], _window(row * step_y, step_y, 0, 1)[0]
        own = masks[start[block]:start[block] + kept[block]]
        nx, ny = BLOCK, BLOCK
        leaves = 1
        while leaves < BLOCK * BLOCK and nx * ny == BLOCK * BLOCK:
            along = leaves
            while along >= 1:
                if along <= BLOCK and leaves // along <= BLOCK and _fits(
                        own, column * step_x, row * step_y, step_x, step_y, along, leaves // along, x0, y0, candidates):
                    nx, ny = along, leaves // along
                    break
                along //= 2
            leaves *= 2
        split[row, column, 0], split[row, column, 1] = nx, ny
    return split


@njit(cache=True, parallel=True)
def _fill(start, entries, masks, kept, size, grid, split, origin, codes):
    """Write the candidates of every leaf to codes; returns per block the texels whose exact top-K did not fit."""
    columns, rows = grid
    step_x, step_y = size[0] / columns, size[1] / rows
    candidates = codes.shape[2]
    missed = np.zeros(rows * columns, np.int64)
    for block in prange(rows * columns):
        row, column = block // columns, block % columns
        x, y = column * step_x, row * step_y
        x0, y0 = _window(x, step_x, 0, 1)[0], _window(y, step_y, 0, 1)[0]
        found = entries[start[block]:start[block] + kept[block]]
        own = masks[start[block]:start[block] + kept[block]]
        nx, ny = split[row, column]
        count = np.empty(len(found), np.int64)
        for part_y in range(ny):
            low, high = _window(y, step_y, part_y, ny)
            for part_x in range(nx):
                left, right = _window(x, step_x, part_x, nx)
                bits = _bits(left - x0, right - x0)
                seen = 0
                for n in range(len(found)):
                    count[n] = 0
                    for r in range(low - y0, high - y0 + 1):
                        inside = own[n, r] & bits
                        while inside:
                            inside &= inside - np.uint32(1)
                            count[n] += 1
                    seen += count[n] > 0
                leaf = codes[origin[row, column, 1] + part_y, origin[row, column, 0] + part_x]
                least = np.int64(1)
                if seen > candidates:
                    least = -np.partition(-count, candidates - 1)[candidates - 1]
                used = 0
                for passing in range(2):
                    for n in range(len(found)):
                        wanted = count[n] > least if passing == 0 else count[n] == least
                        if wanted and used < candidates:
                            leaf[used] = found[n]
                            used += 1
                            count[n] = 0
                if seen > candidates:
                    left, right = _owned(x, step_x, part_x, nx)
                    low, high = _owned(y, step_y, part_y, ny)
                    for r in range(low - y0, high - y0 + 1):
                        lost = np.uint32(0)
                        for n in range(len(found)):
                            if count[n]:
                                lost |= own[n, r]
                        for s in range(left - x0, right - x0 + 1):
                            missed[block] += (lost >> np.uint32(s)) & np.uint32(1)
    return missed


@njit(cache=True, parallel=True)
def _lookup(gaussians, blocks, cells, width, height, texels, candidates, topk, slots, x, y, out):
    """out[i] (C,) for the points x[i], y[i], reading only the tables."""
    one, half = np.float32(1), np.float32(0.5)
    for i in prange(len(x)):
        bx, by = x[i] * np.float32(blocks.shape[1]), y[i] * np.float32(blocks.shape[0])
        block = blocks[min(int(by), blocks.shape[0] - 1), min(int(bx), blocks.shape[1] - 1)]
        leaf_x = int(block[0] + np.floor((bx - np.floor(bx)) * block[2]))
        leaf_y = int(block[1] + np.floor((by - np.floor(by)) * block[3]))
        px, py = (x[i] - half) * width, (y[i] - half) * height
        pz = px + py
        first = np.empty(candidates, np.int64)
        p = np.empty(candidates, np.float32)
        for m in range(candidates):
            first[m] = texels * int(cells[leaf_y, leaf_x * (candidates // 4) + m // 4, m % 4])
            g, h = gaussians[first[m]], gaussians[first[m] + 1]
            dx, dy, dz = px - g[0], py - g[1], pz - g[2]
            p[m] = h[0] * (dx * dx) + h[1] * (dy * dy) + h[2] * (dz * dz) + g[3]
        threshold = np.float32(-CUTOFF)
        if 0 < topk < candidates:
            threshold = max(threshold, np.sort(p)[candidates - topk])
        total = np.float32(EPS)
        for m in range(candidates):
            if p[m] >= threshold:
                w = np.exp(p[m])
                total += w
                for c in range(len(slots)):
                    out[i, c] += w * gaussians[first[m] + slots[c, 0], slots[c, 1]]
        if topk > 0:
            out[i] *= one / total
