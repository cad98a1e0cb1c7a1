"""A compression under way: driven step by step beside a living window, or in one go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bpy

from ..core.settings import FitSettings
from ..scene.material_stack import Plan
from . import pace
from .compress import Outcome, Phase, Update, steps

POLL_SECONDS = 0.1
"""Between the pieces of a run beside a window."""

_NAP_SECONDS = 0.02
"""Between two looks at a fit, where nothing else is to be done."""

_WORDS = {"settling": "rounding to the file's precision", "packing": "packing", "measuring": "measuring the result"}
"""What people call the phases of a fit."""

_STEPS_SHARE = 0.9
"""Share of a fit's time that its steps take; then the result is rounded, packed and measured."""

_TELLING = 0.25
"""Part of a run from which on its pace alone says how long the rest takes. Before, what was expected counts as well: the
first fit starts slowly, and a small one that is fitted beside it is not counted before its turn."""


class Run:
    """Drives compress.steps, and sums up where it is for people.

    update   the last one that said something new; None before the first
    psnr     of the stack in progress so far, dB; None while unknown
    phase    what is being done, in words
    """

    def __init__(self, plan: Plan, settings: FitSettings, **options: Any) -> None:
        self._steps = steps(plan, settings, **options)
        self._plan, self._settings = plan, settings
        self._works: list[float] = []
        self._fitting_since = 0.0
        self.update: Update | None = None
        self.psnr: float | None = None
        self.phase = Phase.READING.value
        self.stopping = False

    def advance(self) -> Outcome | None:
        """Do the next piece; the outcome when that was the last."""
        try:
            now = next(self._steps)
        except StopIteration as end:
            return end.value
        before = self.update
        same_stack = before is not None and (now.index, now.phase) == (before.index, before.phase)
        if not same_stack:
            self.psnr, self.phase = None, now.phase.value
        if now.progress is not None:
            self.psnr, self.phase = now.progress.psnr or self.psnr, _WORDS.get(now.progress.phase, now.progress.phase)
            self._fitting_since = self._fitting_since or time.perf_counter() - now.progress.seconds
        if now.progress is not None or now.phase is Phase.PREPARING or not same_stack:
            self.update = now
        return None

    @property
    def part(self) -> float:
        """How much of the stack in progress, or of the preparation, is done, 0..1."""
        if self.update is None:
            return 0.0
        if self.update.phase is Phase.PREPARING:
            return self.update.part
        progress = self.update.progress
        return _STEPS_SHARE * progress.step / max(1, progress.steps) if progress else 0.0

    @property
    def whole(self) -> float:
        """How much of all is done, 0..1: each fit, and each decoder that is then built, as long as it is expected to take."""
        update = self.update
        if update is None or update.phase is Phase.PREPARING:
            return 0.0
        works = self._expected(update)
        done = sum(works[: update.index]) + self.part * works[update.index]
        if update.phase is Phase.BUILDING:
            done = sum(works) + pace.BUILDING * (update.index + 1)
        return done / self._seconds(update)

    @property
    def seconds_left(self) -> float | None:
        """Judged by what was expected, and more and more by the pace so far; None before the first fit."""
        if not self._fitting_since or self.update is None:
            return None
        whole, elapsed = self.whole, time.perf_counter() - self._fitting_since
        trust = min(whole / _TELLING, 1.0)
        by_pace = elapsed / max(whole, _TELLING)  # of the whole run, times trust
        return (by_pace + (1 - trust) * self._seconds(self.update)) * (1 - whole)

    def _seconds(self, update: Update) -> float:
        """The seconds that the whole run is expected to take."""
        works = self._expected(update)
        return sum(works) + pace.BUILDING * len(works)

    def _expected(self, update: Update) -> list[float]:
        """The seconds that each stack is expected to take; what is not worth it is not among them."""
        if len(self._works) != len(update.names):
            by_name = {stack.name: stack for stack in self._plan.stacks}
            self._works = pace.expected([by_name[name] for name in update.names], self._settings)
        return self._works

    def close(self) -> None:
        """Stop the work now and leave the file as it was."""
        self.stopping = True
        self._steps.close()


current: Run | None = None
"""The run beside the window of this Blender; there is one at most."""


def start(plan: Plan, settings: FitSettings, **options: Any) -> Run:
    """Begin the current run."""
    global current
    assert current is None
    current = Run(plan, settings, **options)
    return current


def end() -> None:
    """End the current run, if any; work that is not finished is stopped."""
    global current
    if current is not None:
        current.close()
        current = None


def compress(
    plan: Plan, settings: FitSettings, update: Callable[[Update], None] | None = None, **options: Any
) -> Outcome:
    """Compress what is planned in one go; the options are those of compress.steps.

    The update callback is called many times a second; what it raises stops the work, leaves the file as it was, and
    is passed on.
    """
    running = steps(plan, settings, **options)
    while True:
        try:
            now = next(running)
        except StopIteration as end:
            return end.value
        if update is not None:
            try:
                update(now)
            except BaseException:
                running.close()
                raise
        if now.waiting:
            time.sleep(_NAP_SECONDS)


@bpy.app.handlers.persistent
def _on_opening(*_: object) -> None:
    """Another file is about to be opened."""
    end()


def register() -> None:
    bpy.app.handlers.load_pre.append(_on_opening)


def unregister() -> None:
    end()
    bpy.app.handlers.load_pre.remove(_on_opening)
