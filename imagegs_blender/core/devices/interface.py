"""What every device does for a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from .optimizer import Optimizer
from .types import ALL_ROWS, Grid, Loss, LossWeights, Rows, Splats, Step


class Device(Protocol):
    """One target, many steps.

    ahead   steps that are best taken at once: as many as a fit can be without news of
    """

    grid: Grid
    ahead: int

    def gradient(self, splats: Splats, weights: LossWeights, rows: Rows = ALL_ROWS) -> tuple[Loss, Splats]:
        """The loss of splats against the target, and its gradient; estimated from these rows, or from more."""
        ...

    def render(self, splats: Splats) -> np.ndarray:
        """(C, height, width) float32."""
        ...

    def optimizer(self, inverse_scale: bool, rate: dict[str, float]) -> Optimizer:
        """An empty Optimizer whose numbers this device can step."""
        ...

    def steps(self, optimizer: Optimizer, weights: LossWeights, steps: Sequence[Step]) -> list[Loss]:
        """Steps of an optimizer of this device by gradient(), and for each the loss before it."""
        ...

    def error(self, optimizer: Optimizer, power: float) -> Any:
        """The density |error|^power of the texels, weighted: for draw()."""
        ...

    def removal(self, optimizer: Optimizer) -> np.ndarray:
        """(N,) float64: how much the squared error, weighted and summed, would grow without each Gaussian."""
        ...

    def draw(self, density: Any, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, 2) float32 texture coordinates, as points.draw() has them; density (H, W) or what error() gave."""
        ...
