"""What a press will take is expected from what is asked, and from what the fits before took on this computer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

from imagegs_blender.core.settings import FitSettings
from imagegs_blender.scene.material_stack import Plan, StackPlan
from imagegs_blender.ui import progress
from imagegs_blender.workflow import forecast, pace, run
from imagegs_blender.workflow.compress import Phase, Update, planned
from tests.ui.layout import Layout
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")
SETTINGS = FitSettings.preset("balanced", device="cpu")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackPlan:
    """A stack of 2048 x 2048 texels, as far as its plan says; nothing is known of this computer."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(pace, "_known", {})
    (found,) = planned([scene.plane("square", tmp_path).active_material]).stacks
    return replace(found, maps=tuple(replace(m, width=2048, height=2048) for m in found.maps))


def took(stack: StackPlan, seconds: float) -> list[SimpleNamespace]:
    return [SimpleNamespace(stack=stack, report=SimpleNamespace(seconds=seconds))]


def test_a_slow_computer_is_learned_and_remembered(stack: StackPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pace.seconds(stack, SETTINGS)
    pace.learn(took(stack, 4 * before), SETTINGS)
    assert pace.seconds(stack, SETTINGS) == pytest.approx(4 * before, rel=0.15)
    half = replace(stack, maps=tuple(replace(m, width=1024, height=1024) for m in stack.maps))
    assert pace.seconds(half, SETTINGS) == pytest.approx(before, rel=0.2), "a quarter of the texels"
    monkeypatch.setattr(pace, "_known", {})
    assert pace.seconds(stack, SETTINGS) == pytest.approx(4 * before, rel=0.15), "in a later session"
    assert pace.seconds(stack, replace(SETTINGS, device="cuda")) == before, "another device is another matter"


def test_small_stacks_beside_each_other_add_less(stack: StackPlan) -> None:
    """They are fitted two at a time, so their sum would be too long, and what each took says little of one alone."""
    small = replace(stack, maps=tuple(replace(m, width=256, height=256) for m in stack.maps))
    alone, large = pace.seconds(small, SETTINGS), pace.seconds(stack, SETTINGS)
    assert pace.expected([small, stack], SETTINGS) == [alone, large]
    assert pace.expected([], SETTINGS) == []
    together = pace.expected([stack, small, small, small], SETTINGS)
    assert together[0] == large and all(alone / 2 <= each < alone for each in together[1:])
    assert (
        pace.expected([small, small], replace(SETTINGS, time_budget=9.0))
        == [pace.seconds(small, replace(SETTINGS, time_budget=9.0))] * 2
    )
    guess = forecast.estimate(Plan((small, small), ()), SETTINGS)
    assert guess.seconds == pytest.approx(sum(pace.expected([small, small], SETTINGS)) + 2 * pace.BUILDING)
    pace.learn(took(small, 60.0) + took(small, 60.0), SETTINGS)
    assert pace.seconds(stack, SETTINGS) == large


def test_what_tells_nothing_teaches_nothing(stack: StackPlan) -> None:
    before = pace.seconds(stack, SETTINGS)
    pace.learn(took(stack, 500.0), replace(SETTINGS, target_psnr=35.0))
    small = replace(stack, maps=tuple(replace(m, width=32, height=32) for m in stack.maps))
    pace.learn(took(small, 60.0), SETTINGS)
    assert pace.seconds(stack, SETTINGS) == before


def test_a_damaged_file_is_as_none(stack: StackPlan, tmp_path: Path) -> None:
    for text in ("[]", "{", '{"cpu": "fast"}', '{"cpu": 1e9}'):
        (tmp_path / "cache" / "pace.json").write_text(text)
        assert pace._read(tmp_path / "cache" / "pace.json") == {}


def test_time_left_begins_as_expected_and_follows_the_pace(stack: StackPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here everything takes three times as long."""
    plan = planned([bpy.data.materials["square material"]])
    work, names = run.Run(plan, SETTINGS), tuple(one.name for one in plan.stacks)
    (expected,) = pace.expected(plan.stacks, SETTINGS)
    expected += pace.BUILDING
    work._fitting_since = 100.0

    def left(part: float) -> float | None:
        work.update = Update(names, 0, Phase.FITTING, SimpleNamespace(step=part, steps=1))
        monkeypatch.setattr(run.time, "perf_counter", lambda: 100.0 + 3 * expected * work.whole)
        return work.seconds_left

    assert left(0.0) == pytest.approx(expected)
    assert expected < left(0.1) < 2 * expected
    assert left(0.5) == pytest.approx(3 * expected * (1 - work.whole))
    work.close()


def test_preparing_has_a_bar_of_its_own_and_counts_for_no_pace(stack: StackPlan, tmp_path: Path) -> None:
    plan = planned([bpy.data.materials["square material"]])
    work = run.Run(plan, SETTINGS)
    names = tuple(stack.name for stack in plan.stacks)
    work.update = Update(names, 0, Phase.PREPARING, part=0.4)
    assert (work.part, work.whole, work.seconds_left) == (0.4, 0.0, None)
    layout = Layout()
    progress.draw(layout, work)
    assert "Preparing for this computer" in layout.text and "40%" in layout.text and "cancel" in layout.buttons
    work.close()


def test_renders_that_weigh_take_time_too(stack: StackPlan) -> None:
    expected = pace.expected([stack, stack], replace(SETTINGS, weigh="render"))
    assert expected == [pace.seconds(stack, SETTINGS) + pace.WEIGHING] * 2
