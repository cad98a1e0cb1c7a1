"""A density of texels that stays on the GPU, and points drawn from it: points.draw() in two steps.

Blocks are chosen on the host, texels within them on the GPU. Both follow the Morton curve, so that it is one walk.
"""

from __future__ import annotations

import numpy as np

from ... import morton
from .. import points
from ..cpu.blocks import BLOCK
from .frame import Frame
from .machine import Buffer, Machine
from .source import ROW_THREADS
from .target import Target


class Density:
    """texels: for each block its numbers along a Morton curve; sums: (blocks,)."""

    def __init__(self, machine: Machine, target: Target, texels: Buffer, sums: Buffer) -> None:
        self._machine, self._target, self._texels, self._sums = machine, target, texels, sums

    @classmethod
    def of(cls, machine: Machine, target: Target, density: np.ndarray) -> Density:
        """That of an array (H, W)."""
        texels, sums = machine.buffer(target.blocks, BLOCK * BLOCK), machine.buffer(target.blocks)
        kernel = machine.kernel("gather", machine.variant(1, 0, 32))
        group = machine.group(kernel, (machine.upload(density.astype(np.float32)), texels, sums))
        machine.launch(kernel, group, target.frame, target.blocks)
        return cls(machine, target, texels, sums)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, 2) float32 texture coordinates, as points.draw() has them."""
        machine, target, grid = self._machine, self._target, self._target.frame
        sums = machine.download(self._sums, (target.blocks,)).astype(np.float64)
        if not count or not sums.sum() > 0:
            return points.draw(np.ones((grid.height, grid.width), np.float32), count, rng)
        order = points.morton_order(target.columns, target.rows)
        cumulative = np.cumsum(sums[order])
        at = (np.arange(count) + rng.random(count)) * (cumulative[-1] / count)
        found = np.minimum(np.searchsorted(cumulative, at, side="right"), target.blocks - 1)
        block = order[found]
        passed = (at - cumulative[found] + sums[block]).astype(np.float32)
        column, row = morton.cell(self._picked(block, passed))
        texel = (block // target.columns * BLOCK + row) * grid.width + block % target.columns * BLOCK + column
        return points.within(texel, grid.width, grid.height, rng)

    def _picked(self, block: np.ndarray, passed: np.ndarray) -> np.ndarray:
        """(count,) places along the curve within blocks, of which `passed` of their sum lies before."""
        machine, count = self._machine, len(block)
        draws = machine.upload(np.stack([block.astype(np.uint32), passed.view(np.uint32)], 1))
        texels = machine.buffer(count)
        kernel = machine.kernel("pick", machine.variant(1, 0, 32))
        group = machine.group(kernel, (self._texels, draws, texels))
        machine.launch(kernel, group, Frame(items=count), -(-count // ROW_THREADS))
        return machine.download(texels, (count,), np.uint32)
