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

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit, prange

from . import leaves, lod
from .errors import ImageGSError
from .gaussians import CUTOFF, EPS, MAX_PLANES, Gaussians
from .stack import MapInfo

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
    tail        the coarse levels of detail
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
    tail: lod.Tail
    missed: float

    @property
    def nbytes(self) -> int:
        """Resident bytes of all tables."""
        return sum(table.nbytes for table in self.arrays().values())

    def arrays(self) -> dict[str, np.ndarray]:
        """Every table by its name, (h, w, 4) float32 or uint8."""
        sheets = {f"texels {i}": sheet for i, sheet in enumerate(self.tail.sheets)}
        levels = self.tail.levels[None]
        return {"gaussians": self.gaussians, "blocks": self.blocks, "cells": self.cells, "levels": levels, **sheets}

    def slot(self, plane: int) -> tuple[int, int]:
        """(texel, channel) of a plane within the texels of its Gaussian."""
        return _slot(plane, self.texels)


def build(
    gaussians: Gaussians, maps: Sequence[MapInfo] = (), max_candidates: int | None = None, detail: int = 0
) -> Tables:
    """The tables of a stack.

    maps            what the planes are for: coarse levels of maps of more than 8 bits are kept as floats
    max_candidates  M, the slots per leaf, rounded up to 4; by default chosen from K
    detail          the finest level of detail that is shown, see limited()

    Deterministic. Raises ImageGSError where there are no Gaussians or more than the tables can address.
    """
    count, planes = gaussians.feature.shape
    if count == 0:
        raise ImageGSError("decode tables: the stack has no Gaussians; fit it again")
    if gaussians.gamma != 1:
        raise ImageGSError(f"decode tables: fitted with gamma {gaussians.gamma:g}, which shaders do not undo; fit without")
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
    grid = tuple(max(-(-int(n) // leaves.BLOCK), min(int(n), 8)) for n in size)

    start, entries = leaves.bin(mean, conic, bias, size, grid, gaussians.wrap)
    masks, kept = leaves.select(start, entries, mean, conic, bias, size, grid, gaussians.topk)
    for candidates in choices:
        split = leaves.split(start, masks, kept, size, grid, candidates)
        origin, extent = leaves.pack(split, candidates // 4)
        codes = np.full((extent[1], extent[0], candidates), -1, np.int32)
        missed = leaves.fill(start, entries, masks, kept, size, grid, split, origin, codes)
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
    cells = index[codes].reshape(extent[1], extent[0] * (candidates // 4), 4)
    tail = lod.build(gaussians, maps, table.nbytes + blocks.nbytes + cells.nbytes)
    built = Tables(table, blocks, cells, gaussians.width, gaussians.height, planes, texels, candidates, gaussians.topk,
                   tail, float(missed.sum() / size.prod()))
    return limited(built, detail) if detail else built


def limited(tables: Tables, detail: int) -> Tables:
    """Tables that show no level of detail finer than `detail`, in the same layout: with plain texels alone where these
    begin at that level or before."""
    tail = lod.limited(tables.tail, detail)
    if tail.detail >= tail.first:
        tables = constant(lod.average(tail), tables.width, tables.height, tables.candidates, tables.topk, tail.first)
    return replace(tables, tail=tail)


def constant(
    average: np.ndarray, width: int, height: int, candidates: int, topk: int, first: int
) -> Tables:
    """Tables of the same layout as a stack's that give one value per plane everywhere, at every LOD.

    average      (C,) float32, 0..1
    first        Tail.first
    The others are those of Tables.
    """
    planes = len(average)
    texels = _texels(planes)
    table = np.zeros((1, 2 * texels, 4), np.float32)
    table[0, texels, 3] = NULL_LOG_WEIGHT
    for plane, value in enumerate(average):
        texel, channel = _slot(plane, texels)
        table[0, texel, channel] = value
    cells = np.full((1, candidates // 4, 4), 1.5, np.float32)
    cells[0, 0, 0] = 0.5
    blocks = np.array([[[0, 0, 1, 1]]], np.float32)
    tail = lod.constant(average, width, height, first)
    return Tables(table, blocks, cells, width, height, planes, texels, candidates, topk, tail, 0.0)


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


def rows(tables: Tables) -> np.ndarray:
    """(n, 6 + C) float32: the Gaussians as candidates() numbers them, the null Gaussian among them.

    x, y from the centre of the texture and a, b, c, p0 in texels: p = p0 - (a dx^2 + b dx dy + c dy^2); then the features.
    """
    table = tables.gaussians.reshape(-1, tables.texels, 4)
    mixed = -2 * table[:, 1, 2]
    geometry = [table[:, 0, 0], table[:, 0, 1], mixed / 2 - table[:, 1, 0], mixed, mixed / 2 - table[:, 1, 1], table[:, 0, 3]]
    return np.stack([*geometry, *(table[:, t, channel] for t, channel in map(tables.slot, range(tables.planes)))], axis=1)


def candidates(tables: Tables) -> np.ndarray:
    """(h, w, M) int32: for every leaf the rows of its candidates; blocks tell which leaf is whose."""
    height = len(tables.cells)
    return tables.cells.astype(np.int32).reshape(height, -1, tables.candidates)


_CANDIDATES = {
    0: (16, 24, 32, 48, 64, 96, 128),
    **dict.fromkeys((1, 2), (8,)),
    **dict.fromkeys((3, 4, 5), (12,)),
    **dict.fromkeys((6, 7), (16,)),
    **dict.fromkeys((8, 9, 10), (20,)),
    **dict.fromkeys((11, 12, 13), (24,)),
    **dict.fromkeys((14, 15, 16), (28,)),
}
"""M by K, measured: fewer slots make many more leaves, more slots a slower shader. The first that covers is taken."""


def _texels(planes: int) -> int:
    return -(-(7 + planes) // 4)


def _slot(plane: int, texels: int) -> tuple[int, int]:
    colors = 3 * (texels - 2)
    return (2 + plane // 3, plane % 3) if plane < colors else (1 + plane - colors, 3)


def _gaussian_table(
    gaussians: Gaussians, mean: np.ndarray, conic: np.ndarray, size: np.ndarray, copies: np.ndarray
) -> tuple[np.ndarray, int]:
    """((h, w, 4) table, T): the Gaussians, their copies across the border, the null Gaussian."""
    count, planes = gaussians.feature.shape
    texels = _texels(planes)
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
