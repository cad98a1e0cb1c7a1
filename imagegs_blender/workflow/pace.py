"""How long fits take on this computer: expected from what is asked, and corrected by what the fits before took.

The correction is kept where the compiled kernels are, as both belong to a computer.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ..core import files
from ..core.errors import ImageGSError
from ..core.settings import RENDERED, FitSettings
from ..scene.material_stack import StackPlan
from .compress import Done
from .reading import SMALLEST

_EVERY_TEXEL, _LOOKED_AT, _WITH_SSIM = 1.2e-9, 1.4e-9, 1.6e-8
"""Processor seconds of a step for each texel and plane, and more for those that it looks at; or with SSIM, for each. Measured
on two cores of a 2020s x86-64 machine: benchmarks/speed.py."""

_AROUND = 2.0
"""Seconds of a fit beside its steps."""

_TOGETHER = 0.6
"""Seconds that a small fit adds beside another one, as a part of those that it takes alone: benchmarks/small_stacks.py."""

WEIGHING = 5.0
"""Seconds that the renders of By Render and By Camera take for a stack of a few maps, most of them to start a Blender."""

BUILDING = 0.5
"""Seconds until a decoder is built and linked in."""

_NAME = "pace.json"

_TRUST = 0.5
"""How much the last fit counts, beside all before it."""

_FARTHEST = 20.0
"""A correction by more than so many times is not believed."""

_known: dict[str, dict[str, float]] = {}
"""Corrections by device, by the folder that they are kept in."""


def seconds(stack: StackPlan, settings: FitSettings) -> float:
    """Expected seconds of a fit on this computer."""
    return _AROUND + _factors().get(settings.device, 1.0) * _steps(stack, settings)


def expected(stacks: Sequence[StackPlan], settings: FitSettings) -> list[float]:
    """Expected seconds that each of these fits adds to a run: small neighbors are fitted two at a time."""
    weighing = WEIGHING if settings.weigh in RENDERED else 0.0
    shares = _shares(stacks, settings)
    return [seconds(stack, settings) * share + weighing for stack, share in zip(stacks, shares, strict=True)]


def learn(done: Iterable[Done], common: FitSettings) -> None:
    """Correct what is expected by what these fits took."""
    factors, done = _factors(), list(done)
    for one, share in zip(done, _shares([one.stack for one in done], common), strict=True):
        settings = one.stack.settings(common)
        expected, took = _steps(one.stack, settings), one.report.seconds - _AROUND
        if share < 1 or expected < 1 or took <= 0 or settings.target_psnr or settings.time_budget:
            continue  # beside another one, too short to tell, or of no fixed length
        found = min(max(took / expected, 1 / _FARTHEST), _FARTHEST)
        before = factors.get(settings.device, found)
        factors[settings.device] = math.exp(_TRUST * math.log(found) + (1 - _TRUST) * math.log(before))
    _write(factors)


def _shares(stacks: Sequence[StackPlan], settings: FitSettings) -> list[float]:
    """How much of its own time each fit adds to a run."""
    small = [stack.texels <= SMALLEST and settings.time_budget is None for stack in stacks]
    beside = [True in (*small[max(0, i - 1) : i], *small[i + 1 : i + 2]) for i in range(len(small))]
    return [_TOGETHER if pair == (True, True) else 1.0 for pair in zip(small, beside, strict=True)]


def _steps(stack: StackPlan, settings: FitSettings) -> float:
    each = _WITH_SSIM if settings.ssim else _EVERY_TEXEL + _LOOKED_AT / settings.row_stride
    planes = sum(len(m.channels) for m in stack.maps)
    return settings.max_steps * stack.texels * planes * each / (os.cpu_count() or 1)


def _folder() -> str:
    """Where compiled kernels are kept; nothing where Numba chooses, beside its sources."""
    return os.environ.get("NUMBA_CACHE_DIR", "")


def _factors() -> dict[str, float]:
    """How many times longer steps take here than was measured elsewhere, by device."""
    folder = _folder()
    if folder not in _known:
        _known[folder] = _read(Path(folder, _NAME)) if folder else {}
    return _known[folder]


def _read(path: Path) -> dict[str, float]:
    """The factors in a file; none where there is no such file, or it holds anything else."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return {name: float(value) for name, value in found.items() if 1 / _FARTHEST <= value <= _FARTHEST}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(factors: dict[str, float]) -> None:
    """Keep them for later sessions, where there is a folder for that."""
    folder = _folder()
    if folder and factors:
        with suppress(ImageGSError):  # a folder that can't be written to costs a better estimate, and nothing else
            files.write(Path(folder, _NAME), json.dumps(factors).encode())
