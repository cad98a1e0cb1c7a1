"""fit(): the schedule. When Gaussians are added, when rates fall, when parameters are frozen to their codes, when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import sampling
from .devices import Device, Grid, Loss, LossWeights
from .devices.cpu import Cpu
from .gaussians import Gaussians
from .optimizer import MIN_SCALE, scale_range
from .settings import FitSettings
from .solve import solve_features
from .stack import TextureStack


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
Count = Callable[[Gaussians], int]
"""How many Gaussians there should be in the end, judged by those there are."""


def fit(
    stack: TextureStack,
    settings: FitSettings,
    count: int,
    progress: Report | None = None,
    snap: Snap | None = None,
    recount: Count | None = None,
) -> tuple[Gaussians, int]:
    """Fit `count` Gaussians to a stack; returns them and the number of steps taken.

    With recount, the final count is asked again at each addition.

    With snap, the last settle_ratio of the steps freezes means, rotations, scales and biases to their codes, one after
    another, while the rest is refitted (features last: they are what the stream rounds at the end). The progress callback
    may raise Cancelled.
    """
    return _Fit(stack, settings, count, progress, snap, recount).run()


class _Fit:
    def __init__(
        self,
        stack: TextureStack,
        settings: FitSettings,
        count: int,
        progress: Report | None,
        snap: Snap | None,
        recount: Count | None,
    ) -> None:
        self.stack, self.settings, self.count, self.snap, self.recount = stack, settings, count, snap, recount
        self.progress = progress or (lambda _: None)
        self.rng = np.random.default_rng(settings.seed)
        self.started = time.perf_counter()
        self.steps = settings.max_steps
        self.compiled = 0.0  # seconds until the first step was done: kernels are compiled in it
        self.loss = LossWeights(settings.l1, settings.l2, settings.ssim)
        grid = Grid(stack.width, stack.height, stack.wrap, settings.topk)
        self.device: Device = Cpu(stack.planes, grid, stack.weights)
        density_scale = 0.78 * np.sqrt(stack.width * stack.height / (np.pi * count))
        low, high = scale_range(grid)
        self.scale = float(np.clip(settings.init_scale or density_scale, low, high))
        texel = self.scale if settings.relative_lr else max(stack.width, stack.height)
        rate = {
            "mean": settings.pos_lr * texel, "scale": settings.scale_lr, "rotation": settings.rot_lr,
            "bias": settings.bias_lr, "feature": settings.feat_lr,
        }  # fmt: skip
        self.optimizer = self.device.optimizer(settings.inverse_scale, rate)

    def run(self) -> tuple[Gaussians, int]:
        settings = self.settings
        plateau = _Plateau(settings.plateau_steps)
        first = max(1, round(settings.initial_ratio * self.count)) if self._addition_steps() else self.count
        self._add(first, None, 0)
        step = added = 0
        while step < self._growing():
            if step == _TIMED_STEPS and settings.time_budget is not None:
                self._hurry(step)
            due = self._addition_steps()[added:]
            if due and step >= due[0]:
                self._add(self._missing() // len(due), self.device.error(self.optimizer, settings.error_power), added + 1)
                added += 1
            slow_down = plateau.factor if settings.plateau_steps else self._decay(step, self._growing())
            loss = self._step(step, "fitting", slow_down)
            step += 1
            if settings.plateau_steps and len(due) <= 1 and plateau.stalled(loss) or self._late(0.85):
                break
        if self.snap and settings.settle_ratio:
            step = self._settle(step, self.steps - self._growing())
        return self.optimizer.gaussians(), step

    def _growing(self) -> int:
        """Steps before parameters are frozen."""
        return self.steps - (int(self.settings.settle_ratio * self.steps) if self.snap else 0)

    def _addition_steps(self) -> list[int]:
        """The steps at which Gaussians are added."""
        settings = self.settings
        if settings.initial_ratio * self.count >= self.count:
            return []
        growing = self._growing()
        spacing = settings.add_steps or max(1, growing // (2 * max(settings.add_times, 1)))
        return [k * spacing for k in range(1, settings.add_times + 1) if k * spacing < growing]

    def _hurry(self, step: int) -> None:
        """As many steps as the time budget allows, judged by the steps so far (the later ones have more Gaussians)."""
        assert self.settings.time_budget is not None
        elapsed = time.perf_counter() - self.started
        each = 1.35 * (elapsed - self.compiled) / (step - 1)
        self.steps = max(step + 1, min(self.steps, step + int((self.settings.time_budget - elapsed) / each)))

    def _late(self, share: float) -> bool:
        budget = self.settings.time_budget
        return budget is not None and time.perf_counter() - self.started > share * budget

    def _missing(self) -> int:
        if self.recount is not None:
            self.count = self.recount(self.optimizer.gaussians())
        return max(0, self.count - len(self.optimizer))

    def _add(self, count: int, error: Any, level: int) -> None:
        settings, stack = self.settings, self.stack
        if error is None:
            scale = self.scale
            density = sampling.importance(
                stack.planes, settings.init_mode, settings.init_random_ratio, stack.wrap, stack.weights
            )
        else:
            scale, density = max(self.scale * settings.add_scale, MIN_SCALE), error
        mean = self.device.draw(density, count, self.rng)
        if settings.color_init:
            column = np.minimum((mean[:, 0] * stack.width).astype(int), stack.width - 1)
            row = np.minimum((mean[:, 1] * stack.height).astype(int), stack.height - 1)
            feature = stack.planes[:, row, column].T
        else:
            feature = self.rng.random((count, len(stack.planes)))
        self.optimizer.add(mean, scale, feature, min(level, 255))

    def _step(self, step: int, phase: str, slow_down: float) -> Loss:
        loss = self.device.step(self.optimizer, self.loss, slow_down)
        if step == 0:
            self.compiled = time.perf_counter() - self.started
        self._report(phase, step + 1, loss.psnr)
        return loss

    def _report(self, phase: str, step: int, psnr: float) -> None:
        self.progress(Progress(phase, step, max(step, self.steps), psnr, time.perf_counter() - self.started))

    def _decay(self, step: int, steps: int) -> float:
        """1, then over the last decay_ratio of the steps geometrically down to 1/30."""
        ratio = self.settings.decay_ratio
        along = (step / max(steps, 1) - (1 - ratio)) / ratio if ratio else 0.0
        return float(30.0 ** -max(0.0, along))

    def _settle(self, step: int, steps: int) -> int:
        """Freeze one parameter after another to its code and refit the rest; features in the end, in closed form if L2."""
        assert self.snap is not None
        closed = min(_SOLVE_STEPS, steps) if self.loss == LossWeights(l2=self.loss.l2) else 0
        stages = [("mean",), ("rotation", "scale"), ("bias",)]
        for stage, names in enumerate(stages):
            self.optimizer.freeze(self.snap(self.optimizer.gaussians()), names)
            first, until = ((steps - closed) * part // len(stages) for part in (stage, stage + 1))
            for k in range(first, until):
                if self._late(0.97):
                    break
                self._step(step, "settling", 0.3 * 10.0 ** -((k - first) / max(1, until - first)))
                step += 1
        if closed and not self._late(0.97):
            solved = solve_features(self.device, self.optimizer.splats(), closed - 3)
            self.optimizer.value["feature"] = solved
            step += closed
            self._report("settling", step, self.device.gradient(self.optimizer.splats(), self.loss)[0].psnr)
        return step


_TIMED_STEPS = 8
"""Steps after which the time of a step is known."""

_SOLVE_STEPS = 12
"""Steps' worth of work for the features in the end: 9 iterations and what they start with."""


class _Plateau:
    """Image-GS's schedule: when PSNR and SSIM stall for `patience` steps, the rates fall tenfold, then the fit ends."""

    def __init__(self, patience: int) -> None:
        self.patience, self.factor = patience, 1.0
        self.best_psnr = self.best_ssim = -1.0
        self.waited = 0

    def stalled(self, loss: Loss) -> bool:
        """True when the fit should end."""
        better = loss.psnr > self.best_psnr + 1e-3 or (loss.ssim or 0.0) > self.best_ssim + 1e-5
        self.best_psnr, self.best_ssim = max(self.best_psnr, loss.psnr), max(self.best_ssim, loss.ssim or 0.0)
        self.waited = 0 if better else self.waited + 1
        if self.waited < self.patience:
            return False
        self.waited = 0
        if self.factor < 1.0:
            return True
        self.factor = 0.1
        return False
