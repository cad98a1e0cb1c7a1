"""A time budget: how many steps it allows is judged once they can be told, and again where the computer gets slower."""

from __future__ import annotations

import pytest

from imagegs_blender.core.fitting import budget
from imagegs_blender.core.fitting.budget import TIMED_STEPS, TimeBudget


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_it_is_judged_when_steps_can_be_told_and_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(budget, "time", clock)
    judged = TimeBudget(100.0)
    left: dict[int, int] = {}
    clock.now = 1.0  # the first step compiles
    for step in range(1, 10_000):
        judged.stepped()
        if judged.is_judged():
            left[step] = judged.steps_left(step, 10**6)
        clock.now += 0.01 if clock.now < 40 else 0.1  # other work begins
        if clock.now > 100:
            break
    first, *later = left
    assert first > 10 * TIMED_STEPS, "eight steps of 10 ms say nothing of 100 s"
    assert len(later) == 3
    assert 6000 < first + left[first] < 10_000
    assert all(step + left[step] < first + left[first] for step in later[1:]), "fewer since it is slower"
