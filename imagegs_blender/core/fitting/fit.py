"""fit(): the schedule. When Gaussians are added, when rates fall, when parameters are frozen to their codes, when it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..devices.choice import Place
from ..devices.interface import Device
from ..devices.optimizer import MIN_SCALE, scale_range
from ..devices.types import Grid, Loss, LossWeights, Rows, project
from ..gaussians import Gaussians
from ..settings import FitSettings
from ..textures.texture_stack import TextureStack
from . import placement, restoration
from .schedule import Plateau, decay, reversed_bits
from .solve import solve_features


@dataclass(frozen=True)
class Progress:
    """One report: phase in words, step of steps, PSNR of the unrounded planes in dB (None before it is known), seconds."""

    phase: str
    step: int
    steps: int
    psnr: float | None
    seconds: float


Report = Callable[[Progress], None]
Snap = Callable[[Gaussians], Gaussians]
"""Rounds Gaussians to what the stream can hold, in the same order."""
Count = Callable[[Gaussians, float], int]
"""How many Gaussians there should be in the end, judged by those there are and their mean squared error."""


class Observer(Protocol):
    """Watches a fit, and may raise Cancelled. What it does with the Fit must not change it."""

    def begin(self, fit: Fit) -> dict[str, np.ndarray] | None:
        """Before anything is placed. A state that Fit.state() gave earlier: the fit goes on from there."""
        ...

    def added(self, fit: Fit, first: int) -> None:
        """After Gaussians were added: those from `first` on are new."""
        ...

    def stepped(self, fit: Fit, loss: Loss) -> None:
        """After a step while Gaussians grow. Here, and only here, Fit.state() can be taken."""
        ...

    def stage_ended(self, fit: Fit, stage: int) -> None:
        """Before the next addition, and at the end of the last stage, before parameters are frozen."""
        ...


def fit(
    stack: TextureStack,
    settings: FitSettings,
    count: int,
    progress: Report | None = None,
    snap: Snap | None = None,
    recount: Count | None = None,
    observer: Observer | None = None,
    place: Place | None = None,
) -> tuple[Gaussians, int]:
    """Fit `count` Gaussians to a stack; returns them and the number of steps taken.

    place is where it runs; by default what settings.device asks for.
    With recount, the final count is asked again at each addition.

    With snap, the last settle_ratio of the steps freezes means, rotations, scales and biases to their codes, one after
    another, while the rest is refitted (features last: they are what the stream rounds at the end); with quantize instead
    every step sees snapped Gaussians. The progress callback may raise Cancelled.
    """
    return Fit(stack, settings, count, progress, snap, recount, observer, place or Place(settings)).run()


class Fit:
    """A fit under way. Public attributes are for observers to read.

    stack      what is fitted, planes raised to gamma
    step       steps taken
    steps      planned
    """

    def __init__(
        self,
        stack: TextureStack,
        settings: FitSettings,
        count: int,
        progress: Report | None,
        snap: Snap | None,
        recount: Count | None,
        observer: Observer | None,
        place: Place,
    ) -> None:
        self.original, self.settings, self.count, self.snap, self.recount = stack, settings, count, snap, recount
        self.stack = stack if settings.gamma == 1 else replace(stack, planes=stack.planes ** np.float32(settings.gamma))
        self.observer = observer
        self.progress = progress or (lambda _: None)
        self.rng = np.random.default_rng(settings.seed)
        self.started = time.perf_counter()
        self.steps = settings.max_steps
        if settings.add_steps:
            self.steps = max(self.steps, settings.add_steps * settings.add_times + settings.post_min_steps)
        self.compiled = 0.0  # seconds until the first step was done: kernels are compiled in it
        self.loss = LossWeights(settings.l1, settings.l2, settings.ssim)
        self.enough = 0.0  # mean squared error at which the fit ends
        if settings.restore:
            self.loss = LossWeights(**{settings.restore: 1.0})
            self.enough = restoration.mean_square(self.stack.planes, settings)
        grid = Grid(stack.width, stack.height, stack.wrap, settings.topk)
        self.device: Device = place.device(self.stack.planes, grid, stack.weights)
        density_scale = 0.78 * np.sqrt(stack.width * stack.height / (np.pi * count))
        low, high = scale_range(grid)
        self.scale = float(np.clip(settings.init_scale or density_scale, low, high))
        texel = self.scale if settings.relative_lr else max(stack.width, stack.height)
        rate = {
            "mean": settings.pos_lr * texel, "scale": settings.scale_lr, "rotation": settings.rot_lr,
            "bias": settings.bias_lr, "feature": settings.feat_lr,
        }  # fmt: skip
        self.optimizer = self.device.optimizer(settings.inverse_scale, rate)
        self.plateau = Plateau(settings)
        self.step = self.stage = 0
        self.error = 0.0  # mean squared error of the last step

    def run(self) -> tuple[Gaussians, int]:
        settings, observer = self.settings, self.observer
        earlier = observer.begin(self) if observer else None
        if earlier:
            self._go_on_from(earlier)
        else:
            first = max(1, round(settings.initial_ratio * self.count))
            self._place(first if self._addition_steps() else self.count)
        while self.step < self._growing():
            if self.step == _TIMED_STEPS and settings.time_budget is not None:
                self._hurry()
            due = self._addition_steps()[self.stage :]
            if due and self.step >= due[0]:
                self._end_stage()
                self._add(self._missing() // len(due))
                due = due[1:]
            loss = self._step("fitting", self._slow_down())
            ended = loss.l2 <= self.enough or not due and self.plateau.stalled(loss)
            if observer:
                observer.stepped(self, loss)
            if ended or self._late(0.85):
                break
        self._end_stage()
        if self.snap and settings.settle_ratio and not settings.quantize:
            self._settle(self.steps - self._growing())
        return self.gaussians(), self.step

    def gaussians(self) -> Gaussians:
        """The Gaussians as they are now."""
        return replace(self.optimizer.gaussians(), gamma=self.settings.gamma)

    def state(self) -> dict[str, np.ndarray]:
        """All that the rest of the fit depends on, as arrays by name."""
        numbers = {
            "step": self.step, "stage": self.stage, "steps": self.steps, "count": self.count, "error": self.error,
            "rng": self.rng.bit_generator.state, "plateau": self.plateau.state(),
        }  # fmt: skip
        return {**self.optimizer.state(), "numbers": np.array(json.dumps(numbers))}

    def _go_on_from(self, state: dict[str, np.ndarray]) -> None:
        self.optimizer.restore(state)
        numbers = json.loads(str(state["numbers"]))
        for name in ("step", "stage", "steps", "count", "error"):
            setattr(self, name, numbers[name])
        self.rng.bit_generator.state = numbers["rng"]
        self.plateau.restore(numbers["plateau"])

    def _end_stage(self) -> None:
        if self.observer:
            self.observer.stage_ended(self, self.stage)

    def _slow_down(self) -> float:
        """What the rates are multiplied by."""
        if not self.settings.lr_schedule:
            return 1.0
        if self.settings.check_decay_steps:
            return self.plateau.factor
        return decay(self.step / max(self._growing(), 1), self.settings.decay_share)

    def _growing(self) -> int:
        """Steps before parameters are frozen."""
        return self.steps - (int(self.settings.settle_ratio * self.steps) if self.snap else 0)

    def _addition_steps(self) -> list[int]:
        """The steps at which Gaussians are added."""
        settings = self.settings
        if settings.initial_ratio * self.count >= self.count:
            return []
        growing = self._growing()
        spacing = settings.add_steps or max(1, int(growing * settings.add_share) // max(settings.add_times, 1))
        return [k * spacing for k in range(1, settings.add_times + 1) if k * spacing < growing]

    def _hurry(self) -> None:
        """As many steps as the time budget allows, judged by the steps so far (the later ones have more Gaussians)."""
        assert self.settings.time_budget is not None
        elapsed = time.perf_counter() - self.started
        each = 1.35 * (elapsed - self.compiled) / (self.step - 1)
        left = int((self.settings.time_budget - elapsed) / each)
        self.steps = max(self.step + 1, min(self.steps, self.step + left))

    def _late(self, share: float) -> bool:
        budget = self.settings.time_budget
        return budget is not None and time.perf_counter() - self.started > share * budget

    def _missing(self) -> int:
        if self.recount is not None:
            self.count = self.recount(self.optimizer.gaussians(), self.error)
        return max(0, self.count - len(self.optimizer))

    def _place(self, count: int) -> None:
        """The first Gaussians."""
        density = placement.importance(self.original, self.settings)
        mean = self.device.draw(density, count, self.rng)
        if self.settings.color_init:
            feature = self._texels(self.stack.planes, mean)
        else:
            feature = self.rng.random((count, len(self.stack.planes)))
        self._new(mean, self.scale, feature)

    def _add(self, count: int) -> None:
        """Gaussians where the picture lacks most, in its colors; where they are summed plainly, in the colors it lacks."""
        settings, planes = self.settings, self.stack.planes
        error = self.device.error(self.optimizer, settings.error_power)
        mean = self.device.draw(error, count + self._prune(), self.rng)
        if settings.color_init or not settings.topk:
            lacking = planes if settings.topk else planes - self.device.render(self.optimizer.splats())
            feature = self._texels(lacking, mean)
        else:
            feature = self.rng.random((count, len(planes)))
        self.stage += 1
        self._new(mean, max(self.scale * settings.add_scale, MIN_SCALE), feature)

    def _prune(self) -> int:
        """Remove the prune_ratio of the Gaussians that the picture misses least; returns how many."""
        count = int(self.settings.prune_ratio * len(self.optimizer))
        if count:
            order = np.argsort(self.device.removal(self.optimizer), kind="stable")
            self.optimizer.keep(np.sort(order[count:]))
        return count

    def _new(self, mean: np.ndarray, scale: float, feature: np.ndarray) -> None:
        first = len(self.optimizer)
        self.optimizer.add(mean, scale, feature)
        if self.observer:
            self.observer.added(self, first)

    def _texels(self, planes: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """(N, C): planes at mean (N, 2)."""
        column = np.minimum((mean[:, 0] * self.stack.width).astype(int), self.stack.width - 1)
        row = np.minimum((mean[:, 1] * self.stack.height).astype(int), self.stack.height - 1)
        return planes[:, row, column].T

    def _step(self, phase: str, slow_down: float) -> Loss:
        if self.snap and self.settings.quantize:  # straight through: the gradient of what is rounded moves what is not
            snapped, _ = project(self.snap(self.optimizer.gaussians()))
            loss, gradient = self.device.gradient(snapped, self.loss)
            self.optimizer.step(gradient, slow_down)
        else:
            stride = self.settings.row_stride
            loss = self.device.step(
                self.optimizer, self.loss, slow_down, Rows(reversed_bits(self.step, stride), stride)
            )
        if not self.compiled:
            self.compiled = time.perf_counter() - self.started
        self.step += 1
        self.error = loss.l2
        self._report(phase, loss.psnr)
        return loss

    def _report(self, phase: str, psnr: float) -> None:
        seconds = time.perf_counter() - self.started
        self.progress(Progress(phase, self.step, max(self.step, self.steps), psnr, seconds))

    def _settle(self, steps: int) -> None:
        """Freeze one parameter after another to its code and refit the rest; features in the end, in closed form if L2."""
        assert self.snap is not None
        solvable = self.loss == LossWeights(l2=self.loss.l2) and not self.enough
        closed = min(_SOLVE_STEPS, steps) if solvable else 0
        stages = [("mean",), ("rotation", "scale"), ("bias",)]
        for stage, names in enumerate(stages):
            self.optimizer.freeze(self.snap(self.optimizer.gaussians()), names)
            first, until = ((steps - closed) * part // len(stages) for part in (stage, stage + 1))
            for k in range(first, until):
                if self._late(0.97):
                    break
                loss = self._step("settling", 0.3 * 10.0 ** -((k - first) / max(1, until - first)))
                if loss.l2 <= self.enough:
                    break
        if closed and not self._late(0.97):
            solved = solve_features(self.device, self.optimizer.splats(), closed - 3)
            self.optimizer.value["feature"] = solved
            self.step += closed
            self._report("settling", self.device.gradient(self.optimizer.splats(), self.loss)[0].psnr)


_TIMED_STEPS = 8
"""Steps after which the time of a step is known."""

_SOLVE_STEPS = 12
"""Steps' worth of work for the features in the end: 9 iterations and what they start with."""
