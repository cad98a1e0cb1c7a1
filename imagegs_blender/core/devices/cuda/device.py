"""The CUDA device: PyTorch's memory and streams, our kernels (splat.cu), a step as one CUDA graph.

Between steps the numbers of an Optimizer stay on the GPU (../resident.py). What is there beside the target is made for a
number of splats (session.py), and made anew where that changes, block lists outgrow it, or memory is short (target.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch

from .. import plan, points
from ..optimizer import MAX_BIAS, Optimizer, scale_limits
from ..plan import GROUPS
from ..resident import Resident
from ..types import ALL_ROWS, Grid, Loss, LossWeights, Rows, Splats, Step
from .driver import gpu
from .layout import SPLAT_FLOATS, Rules
from .pipeline import Machine, Pipeline
from .resident import Tensors
from .session import Exchange, Kind, Session, Steps
from .target import Target

T = TypeVar("T")


class Cuda:
    """Device: target (C, H, W) float32; texel_weights (H, W) or None, normalized to mean 1.

    name    the GPU's
    ahead   steps that are best taken at once
    notes   what was done because memory was short, in words
    Raises ImageGSError where even that does not fit.
    """

    ahead = plan.AHEAD

    def __init__(
        self, target: np.ndarray, grid: Grid, texel_weights: np.ndarray | None = None, machine: Machine | None = None
    ) -> None:
        self.machine = machine or gpu()
        self.name, self.grid = self.machine.name, grid
        self._shape, self._weights, self._values = target.shape, texel_weights, target.size
        self._target = Target(self.machine, grid, target, texel_weights)
        self.notes = self._target.notes
        self._exchange = Exchange(self.machine, self.ahead)
        self._session: Session | None = None  # before any splats are there, and after memory was short
        self._fitting(lambda: self._target.planes)

    def gradient(self, splats: Splats, weights: LossWeights, rows: Rows = ALL_ROWS) -> tuple[Loss, Splats]:
        first, stride = plan.looked_at(rows, weights)
        controls = self._exchange.controls

        def work() -> tuple[torch.Tensor, Pipeline]:
            pipeline, features = self._upload(splats)
            controls[GROUPS] = first
            pipeline.gradient(features, weights, controls[GROUPS:], stride)
            return pipeline.sums, pipeline

        sums, pipeline = self._complete(work)
        by = sums.cpu().numpy()
        bias, center, conic, feature = by[:, 0], by[:, 1:3], by[:, 3:6], by[:, 6:]
        loss = plan.loss(pipeline.totals.cpu().tolist(), self._values, weights, stride)
        return loss, Splats(center.copy(), conic.copy(), bias.copy(), feature.copy())

    def render(self, splats: Splats) -> np.ndarray:
        def work() -> tuple[torch.Tensor, Pipeline]:
            pipeline, features = self._upload(splats)
            out = torch.empty(self._target.planes.target.shape, dtype=torch.float32, device=self.machine.device)
            pipeline.render(features, out)
            return out, pipeline

        out, _ = self._complete(work)
        return out[:, : self.grid.height, : self.grid.width].cpu().numpy()

    def optimizer(self, inverse_scale: bool, rate: dict[str, float]) -> Optimizer:
        planes = self._shape[0]
        return Resident(Tensors(self.machine, planes), self.grid, planes, inverse_scale, rate)

    def steps(self, optimizer: Optimizer, weights: LossWeights, steps: Sequence[Step]) -> list[Loss]:
        losses: list[Loss] = []
        while len(losses) < len(steps):
            losses += self._take(optimizer, weights, steps[len(losses) : len(losses) + self.ahead])
        return losses

    def error(self, optimizer: Optimizer, power: float) -> torch.Tensor:
        def work() -> tuple[torch.Tensor, Pipeline]:
            pipeline, features = self._projected(optimizer)
            error = torch.empty((self.grid.height, self.grid.width), device=self.machine.device)
            pipeline.square_error(features, error)
            return error, pipeline

        density = self._complete(work)[0] ** (power / 2)
        if self._weights is None:
            return density
        return density * torch.from_numpy(self._weights.astype(np.float32)).to(density.device)

    def removal(self, optimizer: Optimizer) -> np.ndarray:
        def work() -> tuple[torch.Tensor, Pipeline]:
            pipeline, features = self._projected(optimizer)
            growth = torch.empty(len(optimizer), dtype=torch.float64, device=self.machine.device)
            pipeline.removal(features, growth)
            return growth, pipeline

        return self._complete(work)[0].cpu().numpy()

    def draw(self, density: np.ndarray | torch.Tensor, count: int, rng: np.random.Generator) -> np.ndarray:
        if count == 0:
            return np.empty((0, 2), np.float32)
        values = torch.as_tensor(density, device=self.machine.device).reshape(-1)[self._order]
        # in whole numbers, so that the order of additions does not matter
        shares = (values.double() * (2.0**31 / max(float(values.max()), 1e-30))).round().long()
        cumulative = torch.cumsum(shares, 0)
        total = int(cumulative[-1])
        if total <= 0:
            cumulative, total = torch.arange(1, len(values) + 1, device=values.device), len(values)
        at = torch.from_numpy((np.arange(count) + rng.random(count)) * (total / count)).to(values.device)
        found = torch.searchsorted(cumulative.double(), at, right=True).clamp_(max=len(values) - 1)
        return points.within(self._order[found].cpu().numpy(), self.grid.width, self.grid.height, rng)

    @cached_property
    def _order(self) -> torch.Tensor:
        """points.morton_order() on the device."""
        return torch.from_numpy(points.morton_order(self.grid.width, self.grid.height)).to(self.machine.device)

    # Steps.

    def _take(self, optimizer: Optimizer, weights: LossWeights, steps: Sequence[Step]) -> list[Loss]:
        """The losses of those that were taken: all, but where lists outgrew their memory."""
        looked_at = [plan.looked_at(step.rows, weights) for step in steps]
        stride = looked_at[0][1]
        assert all(at[1] == stride for at in looked_at)  # one graph
        rates = [plan.rates(optimizer, step.slow_down) for step in steps]

        def work() -> Pipeline:
            self._exchange.send([[*row, first] for row, (first, _) in zip(rates, looked_at, strict=True)])
            for _ in steps:
                pipeline = self._enqueue_step(optimizer, weights, stride)
            return pipeline

        pipeline = self._fitting(work)
        reports = self._exchange.read(len(steps))
        losses = []
        for *totals, needed in reports:
            if needed > pipeline.capacity:
                self._reserve(pipeline.n, int(needed))
                break
            losses.append(plan.loss(totals, self._values, weights, stride))
        return losses

    def _enqueue_step(self, optimizer: Optimizer, weights: LossWeights, stride: int) -> Pipeline:
        assert isinstance(optimizer, Resident)
        numbers, rules = optimizer.on_device(), self._rules(optimizer)
        session = self._session_of(len(optimizer), lambda pipeline: pipeline.project(numbers, rules))
        pipeline, exchange = session.pipeline, self._exchange

        def work() -> None:
            exchange.begin()
            pipeline.step(numbers, rules, exchange.controls, weights, stride)
            exchange.end(pipeline)

        kind = Kind(numbers, optimizer.inverse_scale, weights, stride)
        if session.steps is None or session.steps.kind != kind:
            session.steps = Steps(kind, work, self.machine)
        session.steps.launch()
        return pipeline

    def _rules(self, optimizer: Optimizer) -> Rules:
        grid, inverse = self.grid, optimizer.inverse_scale
        return Rules(inverse, grid.wrap, grid.width, grid.height, *scale_limits(grid, inverse), MAX_BIAS)

    # Splats in a pipeline.

    def _projected(self, optimizer: Optimizer) -> tuple[Pipeline, torch.Tensor]:
        """An optimizer's splats in a pipeline, and their features."""
        assert isinstance(optimizer, Resident)
        numbers, rules = optimizer.on_device(), self._rules(optimizer)
        pipeline = self._session_of(len(optimizer), lambda pipeline: pipeline.project(numbers, rules)).pipeline
        pipeline.project(numbers, rules)
        return pipeline, numbers.value[:, 6:]

    def _upload(self, splats: Splats) -> tuple[Pipeline, torch.Tensor]:
        """Splats of the host in a pipeline, and their features."""
        n = len(splats.center)
        table = np.zeros((n, SPLAT_FLOATS), np.float32)
        table[:, 0:2], table[:, 2:5], table[:, 5] = splats.center, splats.conic, splats.bias
        rows = torch.from_numpy(table).to(self.machine.device)
        pipeline = self._session_of(n, lambda pipeline: pipeline.splats.copy_(rows)).pipeline
        pipeline.splats.copy_(rows)
        features = torch.from_numpy(np.ascontiguousarray(splats.feature, np.float32))
        return pipeline, features.to(self.machine.device)

    # Memory.

    def _session_of(self, n: int, put_splats: Callable[[Pipeline], object]) -> Session:
        """The session, if it is of n splats; else a new one with room for the lists of the splats that are put into it."""
        if self._session is None or self._session.pipeline.n != n:
            self._session = None  # frees what the next lines need
            small = self._pipeline(n, 1)
            put_splats(small)
            small.count_entries()
            self._session = Session(self._pipeline(n, plan.room(int(small.needed.cpu()))))
        return self._session

    def _pipeline(self, n: int, capacity: int) -> Pipeline:
        count, bands = self._values, self._target.bands
        return Pipeline(self.machine, self.grid, self._target.planes, count, n, bands, capacity)

    def _reserve(self, n: int, needed: int) -> None:
        """Block lists have outgrown their memory."""
        self._session = None
        self._session = self._fitting(lambda: Session(self._pipeline(n, plan.room(needed))))

    def _complete(self, work: Callable[[], tuple[torch.Tensor, Pipeline]]) -> tuple[torch.Tensor, Pipeline]:
        """work() again until its block lists fit."""
        while True:
            result, pipeline = self._fitting(work)
            self.machine.wait()
            needed = int(pipeline.needed.cpu())
            if needed <= pipeline.capacity:
                return result, pipeline
            self._reserve(pipeline.n, needed)

    def _fitting(self, work: Callable[[], T]) -> T:
        """work(); where memory is short, again with less of it."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                self._session = None
                self.machine.release()
                self._target.save_memory()
