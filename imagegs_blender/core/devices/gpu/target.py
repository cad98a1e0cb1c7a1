"""The target in the GPU's memory, block by block, each number as deep as the maps are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cpu.blocks import BLOCK
from ..types import Grid, mean_one
from .frame import Frame
from .machine import Buffer, Machine
from .source import ROW_THREADS


class Target:
    """Planes (C, H, W) and the texels' weights on the GPU.

    planes   C
    depth    bits of a number: 8 where all are multiples of 1/255, 16 where all are within 0..1, else 32
    wanted, weights   the buffers: for each block its planes, for each plane its texels; 0 in the padding
    """

    def __init__(self, machine: Machine, grid: Grid, planes: np.ndarray, texel_weights: np.ndarray | None) -> None:
        self.planes = len(planes)
        self.columns, self.rows = -(-grid.width // BLOCK), -(-grid.height // BLOCK)
        self._machine = machine
        self.frame = Frame(
            width=grid.width, height=grid.height, columns=self.columns, wrap=grid.wrap, blocks=self.blocks,
            items=grid.width * grid.height,
        )  # fmt: skip
        self._upload = machine.buffer(grid.width * grid.height)
        self.depth = self._found_depth(planes)
        self.wanted = self._packed(planes, self.depth)
        self.weights = self._packed([mean_one(texel_weights, planes.shape[1:])], 32)
        del self._upload

    @property
    def blocks(self) -> int:
        """Blocks of the grid."""
        return self.columns * self.rows

    def _found_depth(self, planes: np.ndarray) -> int:
        found = self._machine.buffer(4)
        for plane in planes:
            self._run("inspect", 1, 32, plane, self._machine.buffer(1), found, 0, self.frame.items)
        no_bytes, outside = self._machine.download(found, (2,), np.uint32)
        return 8 if not no_bytes else 32 if outside else 16

    def _packed(self, planes: Sequence[np.ndarray] | np.ndarray, depth: int) -> Buffer:
        words = BLOCK * BLOCK * depth // 32
        buffer = self._machine.buffer(self.blocks * len(planes), words)
        for index, plane in enumerate(planes):
            self._run("pack", len(planes), depth, plane, buffer, self._machine.buffer(1), index, self.blocks * words)
        return buffer

    def _run(
        self,
        name: str,
        planes: int,
        depth: int,
        plane: np.ndarray,
        words: Buffer,
        found: Buffer,
        index: int,
        items: int,
    ) -> None:
        """A kernel of pack.wgsl on one plane; waits for it, since the next one goes the same way."""
        machine = self._machine
        kernel = machine.kernel(name, machine.variant(planes, 0, depth))
        machine.upload(plane.astype(np.float32, copy=False), self._upload)
        group = machine.group(kernel, (self._upload, words, found))
        machine.launch(kernel, group, self.frame.but(plane=index), -(-items // ROW_THREADS))
        machine.finish()
