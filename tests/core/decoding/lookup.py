"""Decodes points from decode tables alone, in float32, as every shader does."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from imagegs_blender.core.decoding.tables import Tables, candidates, rows
from imagegs_blender.core.gaussians import CUTOFF, EPS


def lookup(tables: Tables, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The planes at points.

    x, y   (...) texture coordinates, y down, 0 <= x, y < 1
    Returns (..., C) float32.
    """
    x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
    out = np.zeros((x.size, tables.layout.plane_count), np.float32)
    size = np.float32(tables.width), np.float32(tables.height)
    _lookup(rows(tables), tables.blocks, candidates(tables), *size, tables.layout.topk, x.ravel(), y.ravel(), out)
    return out.reshape(*x.shape, tables.layout.plane_count)


@njit(cache=True, parallel=True)
def _lookup(rows, blocks, candidates, width, height, topk, x, y, out):
    """out[i] (C,) for the points x[i], y[i], reading only the tables."""
    one, half = np.float32(1), np.float32(0.5)
    count = candidates.shape[2]
    for i in prange(len(x)):
        bx, by = x[i] * np.float32(blocks.shape[1]), y[i] * np.float32(blocks.shape[0])
        block = blocks[min(int(by), blocks.shape[0] - 1), min(int(bx), blocks.shape[1] - 1)]
        column, row = np.floor((bx - np.floor(bx)) * block[2]), np.floor((by - np.floor(by)) * block[3])
        leaf = candidates[int(block[1]), int(block[0] + row * block[2] + column)]
        px, py = (x[i] - half) * width, (y[i] - half) * height
        p = np.empty(count, np.float32)
        for m in range(count):
            g = rows[leaf[m]]
            dx, dy = px - g[0], py - g[1]
            p[m] = g[5] - (g[2] * (dx * dx) + g[3] * (dx * dy) + g[4] * (dy * dy))
        threshold = np.float32(-CUTOFF)
        if 0 < topk < count:
            threshold = max(threshold, np.sort(p)[count - topk])
        total = np.float32(EPS)
        for m in range(count):
            if p[m] >= threshold:
                w = np.exp(p[m])
                total += w
                for c in range(out.shape[1]):
                    out[i, c] += w * rows[leaf[m], 6 + c]
        if topk > 0:
            out[i] *= one / total
