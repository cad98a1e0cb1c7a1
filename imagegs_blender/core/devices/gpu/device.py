"""The device of every graphics card: between steps all numbers stay on the GPU, and many steps are one submission."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import plan
from ..optimizer import MAX_BIAS, NAMES, Optimizer, scale_limits
from ..resident import Resident
from ..types import ALL_ROWS, Grid, Loss, LossWeights, Rows, Splats, Step
from .density import Density
from .frame import Frame
from .machine import Machine
from .memory import Buffers
from .pipeline import Pipeline
from .session import Session
from .target import Target

_RATES = [f"rate_{name}" for name in NAMES]


class Gpu:
    """Device: target (C, H, W) float32; texel_weights (H, W) or None, normalized to mean 1; a card's Machine to run on.

    name    the GPU's
    ahead   steps that are best taken at once
    notes   what was done because memory was short, in words
    Raises ImageGSError where the GPU or its memory can't be had.
    """

    ahead = plan.AHEAD

    def __init__(self, target: np.ndarray, grid: Grid, texel_weights: np.ndarray | None, on: Machine) -> None:
        self.machine = on
        self.name, self.grid = self.machine.name, grid
        self._count = target.size
        self._target = Target.of(self.machine, grid, target, texel_weights)
        self._reports = self.machine.buffer(self.ahead, 4)
        self._session = Session(self.machine, self._target, self._reports)
        self.notes = self._session.notes

    def gradient(self, splats: Splats, weights: LossWeights, rows: Rows = ALL_ROWS) -> tuple[Loss, Splats]:
        first, stride = plan.looked_at(rows, weights)
        pipeline = self._session.of(splats)
        pipeline.prepare(weights)
        pipeline.gradient(weights, self._rules(False).but(first_row=first), stride)
        sums = self.machine.download(pipeline.sums, (pipeline.n, pipeline.numbers_per_row))
        report = self.machine.download(self._reports, (1, 4))[0]
        a, b, c = splats.conic.T
        by_center = np.stack([-(2 * a * sums[:, 1] + b * sums[:, 2]), -(b * sums[:, 1] + 2 * c * sums[:, 2])], 1)
        feature = sums[:, 8 : 8 + splats.feature.shape[1]]
        return plan.loss(report[:3], self._count, weights, stride), Splats(
            by_center, sums[:, 4:7].copy(), sums[:, 0].copy(), feature.copy()
        )

    def render(self, splats: Splats) -> np.ndarray:
        return self._session.of(splats).render()

    def optimizer(self, inverse_scale: bool, rate: dict[str, float]) -> Optimizer:
        variant = self.machine.variant(self._target.planes, self.grid.topk, self._target.depth)
        return Resident(Buffers(self.machine, variant), self.grid, self._target.planes, inverse_scale, rate)

    def steps(self, optimizer: Optimizer, weights: LossWeights, steps: Sequence[Step]) -> list[Loss]:
        losses: list[Loss] = []
        while len(losses) < len(steps):
            losses += self._take(optimizer, weights, steps[len(losses) : len(losses) + self.ahead])
        return losses

    def error(self, optimizer: Optimizer, power: float) -> Density:
        pipeline = self._of(optimizer)
        return Density(self.machine, self._target, *pipeline.density(power))

    def removal(self, optimizer: Optimizer) -> np.ndarray:
        pipeline = self._of(optimizer)
        pipeline.removal()
        return self.machine.download(pipeline.sums, (pipeline.n, pipeline.numbers_per_row))[:, 0].astype(np.float64)

    def draw(self, density: np.ndarray | Density, count: int, rng: np.random.Generator) -> np.ndarray:
        if isinstance(density, np.ndarray):
            density = Density.of(self.machine, self._target, density)
        return density.draw(count, rng)

    # Steps.

    def _take(self, optimizer: Optimizer, weights: LossWeights, steps: Sequence[Step]) -> list[Loss]:
        """The losses of those that were taken: all, but where lists outgrew their memory."""
        assert isinstance(optimizer, Resident)
        pipeline = self._of(optimizer, prepared=True)
        pipeline.prepare(weights)
        numbers = optimizer.on_device()
        strides = []
        for slot, step in enumerate(steps):
            first, stride = plan.looked_at(step.rows, weights)
            rates = dict(zip(_RATES, plan.rates(optimizer, step.slow_down), strict=True))
            rules = self._rules(optimizer.inverse_scale).but(first_row=first, slot=slot, **rates)
            pipeline.project(numbers.value, rules)
            pipeline.gradient(weights, rules, stride)
            pipeline.adam(numbers.value, numbers.first, numbers.second, numbers.steps, rules)
            self.machine.submit()  # the GPU works on this step while the next is launched
            strides.append(stride)
        reports = self.machine.download(self._reports, (len(steps), 4))
        taken = len(steps)
        needed = reports[:, 3].copy().view(np.uint32)
        if (needed > pipeline.capacity).any():
            taken = int(np.argmax(needed > pipeline.capacity))
            self._session.reserve(pipeline.n, int(needed[taken]))
        return [
            plan.loss(report[:3], self._count, weights, stride)
            for report, stride in zip(reports[:taken], strides, strict=False)
        ]

    def _rules(self, inverse_scale: bool) -> Frame:
        low, high = scale_limits(self.grid, inverse_scale)
        return Frame(
            width=self.grid.width, height=self.grid.height, wrap=self.grid.wrap, lowest_scale=low, highest_scale=high,
            most_bias=MAX_BIAS, inverse_scale=inverse_scale,
        )  # fmt: skip

    def _of(self, optimizer: Optimizer, prepared: bool = False) -> Pipeline:
        """A pipeline with room for an optimizer's splats; with them in it. Prepared for steps, it may lack room at times."""
        assert isinstance(optimizer, Resident)
        numbers, rules = optimizer.on_device(), self._rules(optimizer.inverse_scale)
        current = self._session.pipeline
        if prepared and current is not None and current.n == len(optimizer):
            return current
        return self._session.holding(len(optimizer), lambda pipeline: pipeline.project(numbers.value, rules))
