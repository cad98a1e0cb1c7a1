"""The CPU without blocks: every texel sees every Gaussian, by the definition in reference.py. Slow, for small pictures."""

from __future__ import annotations

import numpy as np

from ..reference import Reference
from ..types import ALL_ROWS, Grid, Loss, LossWeights, Rows, Splats
from .device import Cpu


class Dense(Cpu):
    """Device: the same operations, arguments and results as Cpu."""

    def __init__(self, target: np.ndarray, grid: Grid, texel_weights: np.ndarray | None = None) -> None:
        super().__init__(target, grid, texel_weights)
        self._reference = Reference(target, grid, texel_weights)

    def render(self, splats: Splats) -> np.ndarray:
        return self._reference.render(splats)

    def gradient(self, splats: Splats, weights: LossWeights, rows: Rows = ALL_ROWS) -> tuple[Loss, Splats]:  # noqa: ARG002
        """From all rows, which is more than `rows` asks for."""
        return self._reference.gradient(splats, weights)
