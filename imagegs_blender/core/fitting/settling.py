"""When a fit settles: its last steps, in which one parameter after another is frozen to its code and the others refitted.

Features come last, and the stream rounds them. Where the loss is L2 they are solved for (solve.py), which takes some of
the steps.
"""

from __future__ import annotations

from collections.abc import Iterator

_ORDER = (("mean",), ("rotation", "scale"), ("bias",))
"""What is frozen, in this order."""

_RATE, _DECAY = 0.3, 10.0
"""After each freezing, the rates of the others fall from this share of theirs by this factor. Chosen by trial."""

_ITERATIONS, _START = 9, 3
"""Iterations that solve for the features, and what they start with, in steps' worth of work; see docs/design-notes.md."""


def turns(steps: int) -> Iterator[tuple[tuple[str, ...], list[float]]]:
    """Parameters to freeze, and for each of the steps that follow what the rates are multiplied by; `steps` in all."""
    for turn, names in enumerate(_ORDER):
        first, until = (steps * part // len(_ORDER) for part in (turn, turn + 1))
        yield names, [_RATE * _DECAY ** -(k / (until - first)) for k in range(until - first)]


def solving_steps(steps: int) -> int:
    """How many of the steps solving for the features takes."""
    return min(_ITERATIONS + _START, steps)


def iterations(solving: int) -> int:
    """How many iterations so many steps of solving allow."""
    return max(0, solving - _START)
