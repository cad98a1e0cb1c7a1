"""fit(): Gaussians are placed, grow in stages, and settle: parameters are frozen to their codes one after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..devices.choice import DeviceChoice
from ..devices.interface import Device
from ..devices.optimizer import MIN_SCALE, scale_range
from ..devices.types import Grid, Loss, LossWeights, Rows, Step, project
from ..gaussians import Gaussians
from ..settings import FitSettings
from ..textures.texture_stack import TextureStack
from . import placement, restoration, settling
from .budget import GROWING_SHARE, SETTLING_SHARE, TimeBudget
from .schedule import Additions, Plateau, decay, reversed_bits
from .solve import solve_features


@dataclass(frozen=True)
class Progress:
    """How far a fit is: phase in words, step of steps, PSNR of the unrounded planes in dB (None before it is known), seconds."""

    phase: str
    step: int
    steps: int
    psnr: float | None
    seconds: float


OnProgress = Callable[[Progress], None]
"""Hears how far the fit is, and may raise Cancelled."""
Snap = Callable[[Gaussians], Gaussians]
"""Rounds Gaussians to what the stream can hold, in the same order."""
Count = Callable[[Gaussians, float], int]
"""The final number of Gaussians, estimated from the current ones and their mean squared error."""

_AREA_SHARE = 0.78
"""Initial standard deviation, in radii of the disk whose area is a Gaussian's share of the picture. Chosen by trial."""


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
    progress: OnProgress | None = None,
    snap: Snap | None = None,
    recount: Count | None = None,
    observer: Observer | None = None,
    choice: DeviceChoice | None = None,
) -> tuple[Gaussians, int]:
    """Fit `count` Gaussians to a stack; returns them and the number of steps taken.

    choice is where it runs; by default what settings.device asks for. Raises budget.TooShort where a time budget gives no
    picture.
    With recount, the final count is asked again at each addition.

    With snap, the last settle_ratio of the steps freezes means, rotations, scales and biases to their codes, one after
    another, while the rest is refitted (features last: they are what the stream rounds at the end); with quantize instead
    every step sees snapped Gaussians.
    """
    return Fit(stack, settings, count, progress, snap, recount, observer, choice or DeviceChoice(settings)).run()


class Fit:
    """A fit under way. Observers may read these, gaussians() and state(), and nothing else.

    original   the stack as it was given
    stack      what is fitted: its planes raised to gamma
    settings   the request
    count      Gaussians planned for the end
    device, optimizer   what is compared with the stack, and the Gaussians
    step       steps taken
    steps      steps planned
    """

    def __init__(
        self,
        stack: TextureStack,
        settings: FitSettings,
        count: int,
        progress: OnProgress | None,
        snap: Snap | None,
        recount: Count | None,
        observer: Observer | None,
        choice: DeviceChoice,
    ) -> None:
        self.original, self.settings, self.count, self.snap, self.recount = stack, settings, count, snap, recount
        self.stack = stack if settings.gamma == 1 else replace(stack, planes=stack.planes ** np.float32(settings.gamma))
        self.observer = observer
        self.progress = progress or (lambda _: None)
        self.rng = np.random.default_rng(settings.seed)
        self.budget = TimeBudget(settings.time_budget)
        self.steps = settings.max_steps
        if settings.add_steps:
            self.steps = max(self.steps, settings.add_steps * settings.add_times + settings.post_min_steps)
        self.loss = LossWeights(settings.l1, settings.l2, settings.ssim)
        self.enough = 0.0  # mean squared error at which the fit ends; at 0, only a perfect one does
        if settings.restore:
            self.loss = LossWeights(**{settings.restore: 1.0})
            self.enough = restoration.mean_square(self.stack.planes, settings)
        grid = Grid(stack.width, stack.height, stack.wrap, settings.topk)
        self.device: Device = choice.device(self.stack.planes, grid, stack.weights)
        density_scale = _AREA_SHARE * np.sqrt(stack.width * stack.height / (np.pi * count))
        low, high = scale_range(grid)
        self.scale = float(np.clip(settings.init_scale or density_scale, low, high))
        texel = self.scale if settings.relative_lr else max(stack.width, stack.height)
        rate = {
            "mean": settings.pos_lr * texel, "scale": settings.scale_lr, "rotation": settings.rot_lr,
            "bias": settings.bias_lr, "feature": settings.feat_lr,
        }  # fmt: skip
        self.optimizer = self.device.optimizer(settings.inverse_scale, rate)
        self.additions, self.plateau = Additions(settings), Plateau(settings)
        self.step = 0
        self.error = 0.0  # mean squared error of the last step

    def run(self) -> tuple[Gaussians, int]:
        """The fitted Gaussians and the steps taken."""
        earlier = self.observer.begin(self) if self.observer else None
        if earlier:
            self._go_on_from(earlier)
        else:
            first = max(1, round(self.settings.initial_ratio * self.count))
            self._begin_with(first if self.additions.steps(self._growing()) else self.count)
        self._grow()
        self._end_stage()
        if self.snap and self.settings.settle_ratio and not self.settings.quantize:
            self._settle(self.steps - self._growing())
        return self.gaussians(), self.step

    def _grow(self) -> None:
        """Steps and additions, until all steps are taken, the picture is good enough, nothing is gained, or it is late."""
        while self.step < self._growing():
            if self.budget.is_judged():
                left = self.budget.steps_left(self.step, self.steps)
                self.steps = max(self.step + 1, min(self.steps, self.step + left))
            ahead = self.additions.ahead(self._growing())
            if ahead and self.step >= ahead[0]:
                self._end_stage()
                self._add(self._missing() // len(ahead))
                ahead = ahead[1:]
            until = min(self._together() + self.step, ahead[0] if ahead else self._growing())
            rates = [self._slow_down(step) for step in range(self.step, max(until, self.step + 1))]
            loss = self._steps("fitting", rates)
            ended = loss.l2 <= self.enough or (not ahead and self.plateau.stalled(loss))
            if self.observer:
                self.observer.stepped(self, loss)
            if ended or self.budget.ends(GROWING_SHARE):
                break

    def gaussians(self) -> Gaussians:
        """The Gaussians as they are now."""
        return replace(self.optimizer.gaussians(), gamma=self.settings.gamma)

    def state(self) -> dict[str, np.ndarray]:
        """All that the rest of the fit depends on, as arrays by name."""
        numbers = {
            "step": self.step, "stage": self.additions.stage, "steps": self.steps, "count": self.count, "error": self.error,
            "rng": self.rng.bit_generator.state, "plateau": self.plateau.state(),
        }  # fmt: skip
        return {**self.optimizer.state(), "numbers": np.array(json.dumps(numbers))}

    def _go_on_from(self, state: dict[str, np.ndarray]) -> None:
        self.optimizer.restore(state)
        numbers = json.loads(str(state["numbers"]))
        for name in ("step", "steps", "count", "error"):
            setattr(self, name, numbers[name])
        self.additions.stage = numbers["stage"]
        self.rng.bit_generator.state = numbers["rng"]
        self.plateau.restore(numbers["plateau"])

    def _end_stage(self) -> None:
        if self.observer:
            self.observer.stage_ended(self, self.additions.stage)

    def _together(self) -> int:
        """Steps that may be taken at once: one where somebody looks at each, or what follows depends on it."""
        settings = self.settings
        plateau = settings.lr_schedule and settings.check_decay_steps
        alone = self.observer or self.enough or plateau or settings.quantize or self.budget.seconds is not None
        return 1 if alone else self.device.ahead

    def _slow_down(self, step: int) -> float:
        """What the rates of a step are multiplied by."""
        if not self.settings.lr_schedule:
            return 1.0
        if self.settings.check_decay_steps:
            return self.plateau.factor
        return decay(step / max(self._growing(), 1), self.settings.decay_share)

    def _growing(self) -> int:
        """Steps before parameters are frozen."""
        return self.steps - (int(self.settings.settle_ratio * self.steps) if self.snap else 0)

    def _missing(self) -> int:
        if self.recount is not None:
            self.count = self.recount(self.optimizer.gaussians(), self.error)
        return max(0, self.count - len(self.optimizer))

    def _begin_with(self, count: int) -> None:
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
            feature = self.rng.random((len(mean), len(planes)))
        self.additions.stage += 1
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

    def _steps(self, phase: str, slow_down: Sequence[float]) -> Loss:
        """Steps at once, for each what its rates are multiplied by; the loss of the last."""
        if self.snap and self.settings.quantize:  # straight through: the gradient of what is rounded moves what is not
            assert len(slow_down) == 1
            snapped, _ = project(self.snap(self.optimizer.gaussians()))
            loss, gradient = self.device.gradient(snapped, self.loss)
            self.optimizer.step(gradient, slow_down[0])
        else:
            stride = self.settings.row_stride
            rows = [Rows(reversed_bits(self.step + k, stride), stride) for k in range(len(slow_down))]
            loss = self.device.steps(self.optimizer, self.loss, list(map(Step, slow_down, rows)))[-1]
        self.budget.stepped()
        self.step += len(slow_down)
        self.error = loss.l2
        self._tell(phase, loss.psnr)
        return loss

    def _tell(self, phase: str, psnr: float) -> None:
        self.progress(Progress(phase, self.step, max(self.step, self.steps), psnr, self.budget.elapsed()))

    def _settle(self, steps: int) -> None:
        """Freeze one parameter after another to its code and refit the rest; features in the end, in closed form if L2."""
        assert self.snap is not None
        solvable = self.loss == LossWeights(l2=self.loss.l2) and not self.enough
        solving = settling.solving_steps(steps) if solvable else 0
        for names, rates in settling.turns(steps - solving):
            self.optimizer.freeze(self.snap(self.optimizer.gaussians()), names)
            together = self._together()
            for k in range(0, len(rates), together):
                if self.budget.spent(SETTLING_SHARE):
                    break
                if self._steps("settling", rates[k : k + together]).l2 <= self.enough:
                    break
        if solving and not self.budget.spent(SETTLING_SHARE):
            splats = self.optimizer.splats()
            self.optimizer.value["feature"] = solve_features(self.device, splats, settling.iterations(solving))
            self.step += solving
            self._tell("settling", self.device.gradient(self.optimizer.splats(), self.loss)[0].psnr)
