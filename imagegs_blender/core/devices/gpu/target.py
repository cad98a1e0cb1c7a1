"""The target in the GPU's memory, block by block, each number as deep as the maps are."""

from __future__ import annotations

import numpy as np

from ..cpu.blocks import BLOCK
from ..types import Grid, mean_one
from .machine import Machine


class Target:
    """Planes (C, H, W) and the texels' weights on the GPU.

    planes   C
    depth    bits of a number: 8 where all are multiples of 1/255, 16 where all are within 0..1, else 32
    wanted, weights   the buffers: for each block its planes, for each plane its texels; 0 in the padding
    """

    def __init__(self, machine: Machine, grid: Grid, planes: np.ndarray, texel_weights: np.ndarray | None) -> None:
        self.planes, self.depth = len(planes), _depth(planes)
        self.columns, self.rows = -(-grid.width // BLOCK), -(-grid.height // BLOCK)
        self.weights = machine.upload(by_block(mean_one(texel_weights, planes.shape[1:])[None]))
        self.wanted = machine.upload(self._packed(planes))

    @property
    def blocks(self) -> int:
        """Blocks of the grid."""
        return self.columns * self.rows

    def _packed(self, planes: np.ndarray) -> np.ndarray:
        if self.depth == 32:
            return by_block(planes.astype(np.float32))
        most, kind = (255, np.uint8) if self.depth == 8 else (65535, np.uint16)
        return by_block(np.stack([np.rint(plane * most).astype(kind) for plane in planes])).view(np.uint32)


def by_block(planes: np.ndarray) -> np.ndarray:
    """(C, H, W) as (blocks, C, BLOCK * BLOCK), zeros in the padding."""
    count, height, width = planes.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    padded = np.zeros((count, rows * BLOCK, columns * BLOCK), planes.dtype)
    padded[:, :height, :width] = planes
    blocks = padded.reshape(count, rows, BLOCK, columns, BLOCK).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(blocks).reshape(rows * columns, count, BLOCK * BLOCK)


def by_plane(blocks: np.ndarray, grid: Grid) -> np.ndarray:
    """The other way: (C, height, width)."""
    rows, columns = -(-grid.height // BLOCK), -(-grid.width // BLOCK)
    count = blocks.shape[1]
    planes = blocks.reshape(rows, columns, count, BLOCK, BLOCK).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(planes.reshape(count, rows * BLOCK, columns * BLOCK)[:, : grid.height, : grid.width])


def _depth(planes: np.ndarray) -> int:
    if any(not np.isfinite(plane).all() or plane.min() < 0 or plane.max() > 1 for plane in planes):
        return 32
    if all(np.abs(plane * 255 - np.rint(plane * 255)).max() < 1e-4 for plane in planes):
        return 8
    return 16
