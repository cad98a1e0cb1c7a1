"""The target in the GPU's memory, and what is done where that is short."""

from __future__ import annotations

import numpy as np
import torch

from ...errors import DeviceFailed
from ..cpu.blocks import BLOCK
from ..types import Grid, mean_one
from .pipeline import Machine, Planes

MOST_BANDS = 16
"""Batches of block rows beyond which more save nothing worth their time."""


class Target:
    """What the splats are compared with, on the device, and how carefully its memory is used.

    bands   in how many batches of block rows the kernels work
    notes   what was done because memory was short, in words
    """

    def __init__(self, machine: Machine, grid: Grid, planes: np.ndarray, texel_weights: np.ndarray | None) -> None:
        self.bands, self.notes = 1, list[str]()
        self._machine, self._grid = machine, grid
        self._host = planes, mean_one(texel_weights, planes.shape[1:])
        self._kind = torch.float32
        self._loaded: Planes | None = None

    @property
    def planes(self) -> Planes:
        """The planes on the device: brought there when they are first asked for."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def save_memory(self) -> None:
        """Use less from now on: first more batches, then 16-bit floats. Raises DeviceFailed where nothing is left to do."""
        rows = -(-self._grid.height // BLOCK)
        if self._loaded is not None and 2 * self.bands <= min(rows, MOST_BANDS):
            self.bands *= 2
            self.notes.append(f"GPU memory was short: blocks in {self.bands} batches")
        elif self._kind is torch.float32:
            self._kind, self._loaded = torch.float16, None
            self.notes.append("GPU memory was short: target held as 16-bit floats")
        else:
            free, total = self._machine.memory()
            planes, height, width = self._host[0].shape
            raise DeviceFailed(
                f"GPU memory is too small for {width} x {height} x {planes} planes "
                f"({free / 2**20:.0f} of {total / 2**20:.0f} MB free): close other programs, or choose device cpu"
            )

    def _load(self) -> Planes:
        target, texels = self._host
        height, width = texels.shape
        padded = (-(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK)
        planes = torch.zeros((len(target), *padded), dtype=self._kind, device=self._machine.device)
        for plane, rows in zip(planes, target, strict=True):
            plane[:height, :width] = torch.from_numpy(np.ascontiguousarray(rows, np.float32)).to(self._kind)
        weights = torch.zeros(padded, dtype=torch.float32, device=self._machine.device)
        weights[:height, :width] = torch.from_numpy(texels)
        return Planes(planes, weights)
