"""The CUDA device: PyTorch's memory and streams, our kernels (splat.cu), a step as one CUDA graph.

Between steps the numbers of an Optimizer stay on the GPU; they come back when somebody reads them on the host. Where memory is
short, blocks are worked on in batches, then the target is held as 16-bit floats; notes says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from ...errors import ImageGSError
from .. import points
from ..cpu.blocks import BLOCK
from ..optimizer import MAX_BIAS, NAMES, Optimizer, scale_range
from ..types import ALL_ROWS, Grid, Loss, LossWeights, Rows, Splats
from .driver import gpu
from .layout import GROUPS, SPLAT_FLOATS, Rules
from .pipeline import MOST_STRIDE, Machine, Numbers, Pipeline, Planes

T = TypeVar("T")

ROOM = 1.3
"""Memory for block lists over what the splats need when it is reserved: they grow during a fit."""

_COLUMNS: dict[str, Any] = {
    "mean": slice(0, 2),
    "scale": slice(2, 4),
    "rotation": 4,
    "bias": 5,
    "feature": slice(6, None),
}


class Cuda:
    """Device: target (C, H, W) float32; texel_weights (H, W) or None, normalized to mean 1.

    name    the GPU's
    notes   what was done because memory was short, in words
    Raises ImageGSError where even that does not fit.
    """

    def __init__(
        self, target: np.ndarray, grid: Grid, texel_weights: np.ndarray | None = None, machine: Machine | None = None
    ) -> None:
        self.machine = machine or gpu()
        self.name, self.notes = self.machine.name, list[str]()
        self.grid, self._shape = grid, target.shape
        self._bands, self._rows = 1, -(-grid.height // BLOCK)
        texels = np.ones(target.shape[1:], np.float32) if texel_weights is None else texel_weights.astype(np.float32)
        texels = (texels / texels.mean(dtype=np.float64)).astype(np.float32)
        self._planes: Planes | None = None
        self._half = False
        self._host = target, texels
        self._weights = None if texel_weights is None else torch.from_numpy(texel_weights.astype(np.float32))
        self._pipeline: Pipeline | None = None
        self._numbers: Numbers | None = None
        self._controls = self.machine.pinned(GROUPS + 1, dtype=torch.float32)
        self._report = self.machine.pinned(4, dtype=torch.float64)
        self._device_controls = torch.zeros(GROUPS + 1, dtype=torch.float32, device=self.machine.device)
        self._warm: tuple[LossWeights, int] | None = None  # the kind of step that has run in this pipeline
        self._replay: Callable[[], None] | None = None
        self._order: torch.Tensor | None = None
        self._fitting(self._load_planes)

    def gradient(self, splats: Splats, weights: LossWeights, rows: Rows = ALL_ROWS) -> tuple[Loss, Splats]:
        first, stride = _looked_at(rows, weights)
        controls = self._device_controls

        def work() -> tuple[torch.Tensor, Pipeline]:
            pipeline, features = self._upload(splats)
            controls[GROUPS] = first
            pipeline.gradient(features, weights, controls[GROUPS:], stride)
            return pipeline.sums, pipeline

        sums, pipeline = self._complete(work)
        by = sums.cpu().numpy()
        totals = pipeline.totals.cpu().tolist()
        return self._loss(totals, weights, stride), Splats(
            by[:, 1:3].copy(), by[:, 3:6].copy(), by[:, 0].copy(), by[:, 6:].copy()
        )

    def render(self, splats: Splats) -> np.ndarray:
        def work() -> tuple[torch.Tensor, Pipeline]:
            pipeline, features = self._upload(splats)
            out = torch.empty(self._loaded().target.shape, dtype=torch.float32, device=self.machine.device)
            pipeline.render(features, out)
            return out, pipeline

        out, _ = self._complete(work)
        return out[:, : self.grid.height, : self.grid.width].cpu().numpy()

    def optimizer(self, inverse_scale: bool, rate: dict[str, float]) -> Optimizer:
        return Resident(self, inverse_scale, rate)

    def step(self, optimizer: Optimizer, weights: LossWeights, slow_down: float, rows: Rows = ALL_ROWS) -> Loss:
        assert isinstance(optimizer, Resident) and optimizer.owner is self
        first, stride = _looked_at(rows, weights)
        controls = self._controls.numpy()
        controls[GROUPS] = first
        for group, name in enumerate(NAMES):
            controls[group] = 0.0 if name in optimizer.frozen else optimizer.rate[name] * slow_down
        rules = self._rules(optimizer)
        while True:
            pipeline = self._fitting(lambda: self._enqueue(optimizer, rules, weights, stride))
            self.machine.wait()
            *totals, needed = self._report.tolist()
            if needed <= pipeline.capacity:
                return self._loss(totals, weights, stride)
            self._reserve(int(needed))

    def error(self, optimizer: Optimizer, power: float) -> torch.Tensor:
        def work() -> tuple[torch.Tensor, Pipeline]:
            assert isinstance(optimizer, Resident)
            pipeline = self._ready(optimizer)
            assert self._numbers is not None
            error = torch.empty((self.grid.height, self.grid.width), device=self.machine.device)
            pipeline.project(self._numbers, self._rules(optimizer))
            pipeline.square_error(self._numbers.value[:, 6:], error)
            return error, pipeline

        density = self._complete(work)[0] ** (power / 2)
        return density if self._weights is None else density * self._weights.to(density.device)

    def removal(self, optimizer: Optimizer) -> np.ndarray:
        def work() -> tuple[torch.Tensor, Pipeline]:
            assert isinstance(optimizer, Resident)
            pipeline = self._ready(optimizer)
            assert self._numbers is not None
            growth = torch.empty(len(optimizer), dtype=torch.float64, device=self.machine.device)
            pipeline.project(self._numbers, self._rules(optimizer))
            pipeline.removal(self._numbers.value[:, 6:], growth)
            return growth, pipeline

        return self._complete(work)[0].cpu().numpy()

    def draw(self, density: np.ndarray | torch.Tensor, count: int, rng: np.random.Generator) -> np.ndarray:
        if count == 0:
            return np.empty((0, 2), np.float32)
        if self._order is None:
            self._order = torch.from_numpy(points.morton_order(self.grid.width, self.grid.height)).to(
                self.machine.device
            )
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

    # The numbers of an optimizer on the device.

    def push(self, optimizer: Resident) -> None:
        """Host -> device, into the memory that is there if the number of Gaussians is the same."""
        assert self._numbers is not None
        names, moments = NAMES, optimizer.moments
        for tensor, arrays in (
            (self._numbers.value, [optimizer.value[name] for name in names]),
            (self._numbers.first, [moments[name][0] for name in names]),
            (self._numbers.second, [moments[name][1] for name in names]),
        ):
            tensor.copy_(torch.from_numpy(np.concatenate([a.reshape(len(optimizer), -1) for a in arrays], 1)))
        self._numbers.steps.copy_(torch.from_numpy(np.stack([moments[name][2] for name in names], 1)))

    def pull(self, optimizer: Resident) -> None:
        """Device -> host."""
        assert self._numbers is not None
        tables = [tensor.cpu().numpy() for tensor in (self._numbers.value, self._numbers.first, self._numbers.second)]
        steps = self._numbers.steps.cpu().numpy()
        for group, name in enumerate(NAMES):
            value, first, second = (np.ascontiguousarray(table[:, _COLUMNS[name]]) for table in tables)
            optimizer.value[name] = value
            optimizer.moments[name] = (first, second, np.ascontiguousarray(steps[:, group]))

    def _ready(self, optimizer: Resident) -> Pipeline:
        """The numbers on the device, and a pipeline for so many."""
        n = len(optimizer)
        if self._numbers is None or len(self._numbers.value) != n:
            optimizer.to_host()
            self._forget()
            self._numbers = None
            shape, device = (n, 6 + self._shape[0]), self.machine.device
            value, first, second = (torch.empty(shape, device=device) for _ in range(3))
            self._numbers = Numbers(value, first, second, torch.empty((n, GROUPS), dtype=torch.int32, device=device))
        optimizer.to_device()
        if self._pipeline is None or self._pipeline.n != n:
            self._forget()
            pipeline = self._made(n, 1)
            pipeline.project(self._numbers, self._rules(optimizer))
            self._pipeline = self._sized(pipeline)
        return self._pipeline

    def _upload(self, splats: Splats) -> tuple[Pipeline, torch.Tensor]:
        """The splats in a pipeline, and their features."""
        n = len(splats.center)
        table = np.zeros((n, SPLAT_FLOATS), np.float32)
        table[:, 0:2], table[:, 2:5], table[:, 5] = splats.center, splats.conic, splats.bias
        rows = torch.from_numpy(table).to(self.machine.device)
        if self._pipeline is None or self._pipeline.n != n:
            self._forget()
            pipeline = self._made(n, 1)
            pipeline.splats.copy_(rows)
            self._pipeline = self._sized(pipeline)
        self._pipeline.splats.copy_(rows)
        return self._pipeline, torch.from_numpy(np.ascontiguousarray(splats.feature, np.float32)).to(
            self.machine.device
        )

    # Memory.

    def _made(self, n: int, capacity: int) -> Pipeline:
        return Pipeline(self.machine, self.grid, self._loaded(), int(np.prod(self._shape)), n, self._bands, capacity)

    def _sized(self, small: Pipeline) -> Pipeline:
        """A pipeline with room for the lists of the splats that a small one holds."""
        small.count_entries()
        pipeline = self._made(small.n, _room(int(small.needed.cpu())))
        pipeline.splats.copy_(small.splats)
        return pipeline

    def _reserve(self, needed: int) -> None:
        """Block lists have outgrown their memory."""
        assert self._pipeline is not None
        n = self._pipeline.n
        self._forget()
        self._pipeline = self._fitting(lambda: self._made(n, _room(needed)))

    def _complete(self, work: Callable[[], tuple[torch.Tensor, Pipeline]]) -> tuple[torch.Tensor, Pipeline]:
        """work() again until its block lists fit."""
        while True:
            result, pipeline = self._fitting(work)
            self.machine.wait()
            needed = int(pipeline.needed.cpu())
            if needed <= pipeline.capacity:
                return result, pipeline
            self._reserve(needed)

    def _fitting(self, work: Callable[[], T]) -> T:
        """work(); where memory is short, again with more batches of blocks, then with a target of 16-bit floats."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                self._forget()
                self.machine.release()
                self._save_memory()

    def _forget(self) -> None:
        """The pipeline, and the graph that holds its addresses."""
        self._pipeline = self._warm = self._replay = None

    def _save_memory(self) -> None:
        if self._planes is not None and 2 * self._bands <= min(self._rows, 16):
            self._bands *= 2
            self.notes.append(f"GPU memory was short: blocks in {self._bands} batches")
        elif not self._half:
            self._half, self._planes = True, None
            self.notes.append("GPU memory was short: target held as 16-bit floats")
        else:
            free, total = self.machine.memory()
            raise ImageGSError(
                f"GPU memory is too small for {self._shape[2]} x {self._shape[1]} x {self._shape[0]} planes "
                f"({free / 2**20:.0f} of {total / 2**20:.0f} MB free): close other programs, or use device cpu"
            )

    def _load_planes(self) -> None:
        target, texels = self._host
        width = -(-self.grid.width // BLOCK) * BLOCK
        padded = self._rows * BLOCK, width
        kind = torch.float16 if self._half else torch.float32
        planes = torch.zeros((len(target), *padded), dtype=kind, device=self.machine.device)
        for plane, rows in zip(planes, target, strict=True):
            plane[: self.grid.height, : self.grid.width] = torch.from_numpy(np.ascontiguousarray(rows, np.float32)).to(
                kind
            )
        weights = torch.zeros(padded, dtype=torch.float32, device=self.machine.device)
        weights[: self.grid.height, : self.grid.width] = torch.from_numpy(texels)
        self._planes = Planes(planes, weights)

    def _loaded(self) -> Planes:
        if self._planes is None:
            self._load_planes()
            assert self._planes is not None
        return self._planes

    # A step.

    def _enqueue(self, optimizer: Resident, rules: Rules, weights: LossWeights, stride: int) -> Pipeline:
        pipeline = self._ready(optimizer)
        self._run_step(pipeline, rules, weights, stride)
        return pipeline

    def _run_step(self, pipeline: Pipeline, rules: Rules, weights: LossWeights, stride: int) -> None:
        """The first step of a pipeline runs as it is, and finds out whether memory suffices; later ones are one graph."""
        numbers = self._numbers
        assert numbers is not None

        def work() -> None:
            self._device_controls.copy_(self._controls, non_blocking=True)
            pipeline.step(numbers, rules, self._device_controls, weights, stride)
            pipeline.report[3:].copy_(pipeline.needed)
            self._report.copy_(pipeline.report, non_blocking=True)

        if self._warm != (weights, stride):
            self._warm, self._replay = (weights, stride), None
            return work()
        if self._replay is None:
            self._replay = self.machine.captured(work)
        self._replay()

    def _rules(self, optimizer: Optimizer) -> Rules:
        low, high = scale_range(self.grid)
        lowest, highest = (1 / high, 1 / low) if optimizer.inverse_scale else (np.log(low), np.log(high))
        return Rules(
            optimizer.inverse_scale, self.grid.wrap, self.grid.width, self.grid.height, lowest, highest, MAX_BIAS
        )

    def _loss(self, totals: list[float], weights: LossWeights, stride: int) -> Loss:
        l1, l2, ssim = (total / (int(np.prod(self._shape)) / stride) for total in totals)
        total = weights.l1 * l1 + weights.l2 * l2 + (weights.ssim * (1 - ssim) if weights.ssim else 0.0)
        return Loss(total, l1, l2, ssim if weights.ssim else None)


class Resident(Optimizer):
    """An Optimizer whose numbers live on the GPU between steps: reading value or moments brings them back to the host."""

    def __init__(self, owner: Cuda, inverse_scale: bool, rate: dict[str, float]) -> None:
        self.owner, self._away = owner, False
        super().__init__(owner.grid, owner._shape[0], inverse_scale, rate)

    def to_device(self) -> None:
        if not self._away:
            self.owner.push(self)
            self._away = True

    def to_host(self) -> None:
        if self._away:
            self._away = False
            self.owner.pull(self)

    @property
    def value(self) -> dict[str, np.ndarray]:
        """The free numbers. The first reading after a step waits for the GPU and copies all numbers from it."""
        self.to_host()
        return self._value

    @value.setter
    def value(self, value: dict[str, np.ndarray]) -> None:
        self.to_host()
        self._value = value

    @property
    def moments(self) -> dict[str, tuple[np.ndarray, ...]]:
        """Adam's moments. The first reading after a step waits for the GPU and copies all numbers from it."""
        self.to_host()
        return self._moments

    @moments.setter
    def moments(self, moments: dict[str, tuple[np.ndarray, ...]]) -> None:
        self.to_host()
        self._moments = moments


def _room(needed: int) -> int:
    return min(int(ROOM * needed) + 1024, 2**31 - 2)


def _looked_at(rows: Rows, weights: LossWeights) -> tuple[int, int]:
    """(first, stride) of the rows that a step looks at; all of them for SSIM."""
    stride = 1 if weights.ssim else min(rows.stride, MOST_STRIDE)
    return rows.first % stride, stride
