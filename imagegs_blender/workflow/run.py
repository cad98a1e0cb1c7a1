"""A compression under way: driven step by step beside a living window, or in one go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bpy

from ..core.settings import FitSettings
from ..scene.material_stack import Plan
from .compress import Outcome, Phase, Update, steps

POLL_SECONDS = 0.1
"""Between the pieces of a run beside a window."""

_NAP_SECONDS = 0.02
"""Between two looks at a fit, where nothing else is to be done."""


class Run:
    """Drives compress.steps, and sums up where it is for people.

    update   the last one that said something new; None before the first
    psnr     of the stack in progress so far, dB; None while unknown
    phase    what is being done, in words
    """

    def __init__(self, plan: Plan, settings: FitSettings, **options: Any) -> None:
        self._steps = steps(plan, settings, **options)
        self._started = time.perf_counter()
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
        same_stack = before is not None and (now.index, now.phase is Phase.BUILDING) == (
            before.index,
            before.phase is Phase.BUILDING,
        )
        if not same_stack:
            self.psnr, self.phase = None, now.phase.value
        if now.progress is not None:
            self.psnr, self.phase = now.progress.psnr or self.psnr, now.progress.phase
        if now.progress is not None or not same_stack:
            self.update = now
        return None

    @property
    def part(self) -> float:
        """How much of the stack in progress is done, 0..1."""
        progress = self.update and self.update.progress
        return progress.step / max(1, progress.steps) if progress else 0.0

    @property
    def whole(self) -> float:
        """How much of everything is done, 0..1."""
        if self.update is None:
            return 0.0
        return min((self.update.fitted + self.part) / max(1, len(self.update.names)), 1.0)

    @property
    def seconds_left(self) -> float | None:
        """Judged by the pace so far; None while that says little."""
        elapsed = time.perf_counter() - self._started
        return elapsed / self.whole * (1 - self.whole) if self.whole > 0.02 else None

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
