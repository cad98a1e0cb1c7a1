"""The target in the GPU's memory, block by block, each number as deep as the maps are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cpu.blocks import BLOCK
from ..types import Grid, mean_one
from .frame import Frame
from .machine import Buffer, Machine
from .source import ROW_THREADS


@dataclass(frozen=True)
class Target:
    """Planes (C, H, W) and the texels' weights on the GPU.

    planes   C
    depth    bits of a number: 8 where all are multiples of 1/255, 16 where all are within 0..1, else 32
    wanted, weights   the buffers: for each block its planes, for each plane its texels; 0 in the padding. None where splats
             are only decoded
    """

    grid: Grid
    planes: int
    depth: int = 32
    wanted: Buffer = None
    weights: Buffer = None

    @property
    def columns(self) -> int:
        """Blocks in a row."""
        return -(-self.grid.width // BLOCK)

    @property
    def rows(self) -> int:
        """Block rows."""
        return -(-self.grid.height // BLOCK)

    @property
    def blocks(self) -> int:
        """Blocks of the grid."""
        return self.columns * self.rows

    @property
    def frame(self) -> Frame:
        """A frame of the whole grid."""
        width, height = self.grid.width, self.grid.height
        return Frame(
            width=width, height=height, columns=self.columns, wrap=self.grid.wrap, blocks=self.blocks,
            to_block=self.blocks, items=width * height,
        )  # fmt: skip

    @classmethod
    def of(cls, machine: Machine, grid: Grid, planes: np.ndarray, texel_weights: np.ndarray | None) -> Target:
        """That of planes (C, H, W); texel_weights (H, W) or None, normalized to mean 1."""
        packer = _Packer(machine, grid)
        depth = packer.depth(planes)
        weights = packer.packed([mean_one(texel_weights, planes.shape[1:])], 32)
        return cls(grid, len(planes), depth, packer.packed(planes, depth), weights)


class _Packer:
    """Brings planes to the GPU, one at a time, where pack.wgsl looks at them and puts them where they belong."""

    def __init__(self, machine: Machine, grid: Grid) -> None:
        self._machine, self._target = machine, Target(grid, 1)
        self._plane, self._found = machine.buffer(grid.height, grid.width), machine.buffer(4)
        self._nothing = machine.buffer(4)

    def depth(self, planes: Sequence[np.ndarray] | np.ndarray) -> int:
        """Target.depth."""
        self._machine.clear(self._found)
        for plane in planes:
            self._run("inspect", 1, 32, plane, self._nothing, 0, plane.size)
        no_bytes, outside = self._machine.download(self._found, (2,), np.uint32)
        return 8 if not no_bytes else 32 if outside else 16

    def packed(self, planes: Sequence[np.ndarray] | np.ndarray, depth: int) -> Buffer:
        """Target.wanted, or Target.weights."""
        words = BLOCK * BLOCK * depth // 32
        buffer = self._machine.buffer(self._target.blocks * len(planes), words)
        for index, plane in enumerate(planes):
            self._run("pack", len(planes), depth, plane, buffer, index, self._target.blocks * words)
        return buffer

    def _run(
        self, name: str, planes: int, depth: int, plane: np.ndarray, words: Buffer, index: int, items: int
    ) -> None:
        """A kernel of pack.wgsl on one plane; waits for it, since the next one goes the same way."""
        machine = self._machine
        kernel = machine.kernel(name, machine.variant(planes, 0, depth))
        machine.upload(plane.astype(np.float32, copy=False), self._plane)
        group = machine.group(kernel, (self._plane, words, self._found))
        machine.launch(kernel, group, self._target.frame.but(plane=index), -(-items // ROW_THREADS))
        machine.finish()
