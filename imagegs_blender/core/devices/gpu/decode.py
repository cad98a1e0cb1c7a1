"""Pictures of splats from a graphics card, without a target: render_rows() of cpu/device.py there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..types import Grid, Splats
from .machine import Machine
from .session import Session
from .target import Target


def render_rows(
    machine: Machine, splats: Splats, grid: Grid, ranges: Iterable[tuple[int, int]]
) -> Iterator[np.ndarray]:
    """(C, end - first, width) float32 for each (first, end) of rows of texels. Raises DeviceFailed."""
    pipeline = Session(machine, Target(grid, splats.feature.shape[1])).of(splats)
    for first, end in ranges:
        yield pipeline.render(first, end)
