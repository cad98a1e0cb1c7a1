"""A number of splats at work on the GPU: their pipeline, with room for their block lists."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import plan
from ..types import LossWeights, Splats
from .machine import Buffer, Machine, OutOfMemory
from .pipeline import Pipeline
from .target import Target

MOST_BANDS = 64
"""Batches of block rows beyond which more save nothing worth their time."""


class Session:
    """Makes pipelines for a target, for as many splats and entries as are asked for.

    pipeline   the last one; None before there are any splats, and after memory was short
    notes      what was done because memory was short, in words
    reports    see Pipeline; where splats are only decoded, none are needed
    """

    def __init__(self, machine: Machine, target: Target, reports: Buffer | None = None) -> None:
        self.pipeline: Pipeline | None = None
        self.notes: list[str] = []
        self._machine, self._target = machine, target
        self._is_fitting = reports is not None
        self._reports = machine.buffer(4) if reports is None else reports
        self._bands = 1

    def of(self, splats: Splats) -> Pipeline:
        """A pipeline with these splats."""

        def put(pipeline: Pipeline) -> None:
            table = np.zeros((pipeline.n, pipeline.numbers_per_row), np.float32)
            table[:, 0:2], table[:, 2:4], table[:, 4] = splats.center, splats.conic[:, :2], splats.conic[:, 2]
            table[:, 5], table[:, 6] = splats.bias, np.arange(pipeline.n, dtype=np.uint32).view(np.float32)
            table[:, 8 : 8 + splats.feature.shape[1]] = splats.feature
            self._machine.upload(table, pipeline.splats)

        return self.holding(len(splats.center), put)

    def holding(self, n: int, put: Callable[[Pipeline], None]) -> Pipeline:
        """A pipeline of n splats that are put into it, and of room for their lists."""
        if self.pipeline is None or self.pipeline.n != n:
            self.pipeline = None  # frees what the next line needs
            self.pipeline = self._made(n, 1)
        put(self.pipeline)
        needed = self.pipeline.needed()
        if needed > self.pipeline.capacity:
            self.pipeline = self.reserve(n, needed)
            put(self.pipeline)
        return self.pipeline

    def reserve(self, n: int, needed: int) -> Pipeline:
        """A new pipeline, for lists that have outgrown their memory; in more batches where that is short."""
        bands = self._bands
        while True:
            self.pipeline = None
            try:
                made = self.pipeline = self._made(n, plan.room(needed * bands // self._bands))
            except OutOfMemory:
                if 2 * self._bands > min(self._target.rows, MOST_BANDS):
                    raise
                self._bands *= 2
                self.notes.append(f"GPU memory was short: blocks in {self._bands} batches")
            else:
                return made

    def _made(self, n: int, capacity: int) -> Pipeline:
        made = Pipeline(self._machine, self._target, self._reports, n, self._bands, capacity)
        if self._is_fitting:
            made.prepare(LossWeights(l2=1.0))
        return made
