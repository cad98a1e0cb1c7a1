"""The numbers of an Optimizer in the GPU's memory, as buffers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..plan import GROUPS
from .machine import Buffer, Machine
from .source import Variant


@dataclass(frozen=True, eq=False)
class Numbers:
    """The free numbers of N splats (N, width), Adam's moments of the same shape, and steps (N, 5)."""

    value: Buffer
    first: Buffer
    second: Buffer
    steps: Buffer


class Buffers:
    """Store: rows of quads, two of them for the geometry."""

    feature = 8

    def __init__(self, machine: Machine, variant: Variant) -> None:
        self._machine = machine
        self.width = self.feature + 4 * variant.quads

    def allocated(self, n: int) -> Numbers:
        value, first, second = (self._machine.buffer(n, self.width) for _ in range(3))
        return Numbers(value, first, second, self._machine.buffer(n, GROUPS))

    def send(self, numbers: Numbers, tables: list[np.ndarray], steps: np.ndarray) -> None:
        for buffer, table in zip((numbers.value, numbers.first, numbers.second), tables, strict=True):
            self._machine.upload(table, buffer)
        self._machine.upload(steps.astype(np.uint32), numbers.steps)

    def bring(self, numbers: Numbers, n: int) -> tuple[list[np.ndarray], np.ndarray]:
        shape = (n, self.width)
        tables = [self._machine.download(buffer, shape) for buffer in (numbers.value, numbers.first, numbers.second)]
        return tables, self._machine.download(numbers.steps, (n, GROUPS), np.uint32).astype(np.int32)
