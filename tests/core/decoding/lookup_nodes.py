"""What nodes give at points, computed from node tables as nodes do it."""

from __future__ import annotations

import numpy as np

from imagegs_blender.core.decoding.node_tables import NodeTables, slabs
from imagegs_blender.core.decoding.places import unpack
from imagegs_blender.core.gaussians import CUTOFF, EPS


def lookup(tables: NodeTables, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(..., C) float32 at texture coordinates x, y (y down) of any shape."""
    w, number = _weights(tables, x, y)
    sheets = [sheet.reshape(-1, 4) for sheet in tables.features]
    feature = unpack(sheets, tables.conics.reshape(-1, 4)[:, 3], tables.layout.deep, tables.scale)[number]
    found = (w[..., None] * feature).sum(1)
    if tables.layout.topk:
        found /= w.sum(1)[:, None] + np.float32(EPS)
    return found.reshape(*x.shape, -1).astype(np.float32)


def covered(tables: NodeTables, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The share of Gaussians in the value at points."""
    total = _weights(tables, x, y)[0].sum(1).reshape(x.shape)
    return total / (total + np.float32(EPS))


def _weights(tables: NodeTables, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(points, M): the weights of all candidates of a point's cell, and their numbers."""
    layout, f = tables.layout, np.float32
    u, v = x.astype(f).ravel(), f(1) - y.astype(f).ravel()
    rows, columns = tables.blocks.shape[:2]
    block = tables.blocks[
        np.minimum((v * f(rows)).astype(int), rows - 1), np.minimum((u * f(columns)).astype(int), columns - 1)
    ]
    across, down = slabs(layout)
    height, width = (side // n for side, n in zip(tables.cells.shape[:2], (down, across), strict=True))
    cell_x = ((u * block[:, 3] + block[:, 0]) * f(width)).astype(int)
    cell_y = ((v * block[:, 3] + block[:, 1]) * f(height)).astype(int)
    numbers = []
    table_height, table_width = tables.means.shape[:2]
    for part in range(across * down):
        texel = tables.cells[cell_y + part // across * height, cell_x + part % across * width].astype(int)
        if layout.per_texel == 1:
            numbers.append(texel[:, 0] * 65536 + texel[:, 1] * 256 + texel[:, 2])
        else:
            for i in (0, 2):
                column = np.minimum(texel[:, i] * table_width // 255, table_width - 1)
                row = np.minimum(texel[:, i + 1] * table_height // 255, table_height - 1)
                numbers.append(row * table_width + column)
    number = np.stack(numbers, 1)
    mean, conic = tables.means.reshape(-1, 4)[number], tables.conics.reshape(-1, 4)[number]
    d = np.stack([v, -u, u + v], 1)[:, None] * f(tables.units) - mean[..., :3]
    p = (conic[..., :3] * (d * d + mean[..., 3:])).sum(2)
    w = np.exp(np.maximum(p, -80)) * (p > -CUTOFF if layout.holes or layout.topk == 0 else 1)
    return w, number
