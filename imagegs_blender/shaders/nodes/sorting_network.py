"""The K largest of many values as nodes: a sorting network, of which only what the K largest need is built.

A sorting network is a fixed list of comparators, each of which puts the larger of two values first: one maximum and one
minimum, and no branch, which shader nodes do not have. A network that sorts everything has many comparators that the K
largest do not depend on. So a value is a Wire, a promise: its node is made when the result asks for it, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, Protocol


class Comparable(Protocol):
    """What a network is made of: see graph.Value."""

    def min(self, other: Any) -> Any: ...

    def max(self, other: Any) -> Any: ...


class Wire:
    """A value to be computed when asked for, once.

    Lists of wires are padded with None, which stands for minus infinity and costs no node.
    """

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute, self._done, self._value = compute, False, None

    def value(self) -> Any:
        if not self._done:
            self._value, self._done = self._compute(), True
        return self._value


def largest(rows: Sequence[Comparable], k: int) -> list[Any]:
    """The k largest of the 3 n lanes of n vectors (graph.Value with .lanes), in no order; 3 n >= k.

    1. The rows are sorted as vectors, which sorts the three lanes at once, each for itself.
    2. The first two lanes are merged, and only the k largest kept.
    3. So are they and the third lane. That needs no order: of two lists sorted downwards, a and b, the k largest of
       both are max(a_i, b_(k+1-i)).
    """
    ordered = _sort([_given(row) for row in rows])
    lanes = [[_lane(wire, lane) for wire in ordered[:k]] for lane in range(3)]
    first = _merge(lanes[0], lanes[1])[:k]
    merged: list[Wire | None] = [*first, *[None] * (k - len(first))]
    last: list[Wire | None] = [*[None] * (k - len(lanes[2])), *lanes[2][::-1]]
    found = [_larger(a, b) for a, b in zip_longest(merged, last)]
    return [wire.value() for wire in found if wire is not None]


def _given(value: Any) -> Wire:
    return Wire(lambda: value)


def _lane(wire: Wire, lane: int) -> Wire:
    return Wire(lambda: wire.value().lanes[lane])


def _larger(a: Wire | None, b: Wire | None) -> Wire | None:
    if a is None or b is None:
        return b if a is None else a
    return Wire(lambda: a.value().max(b.value()))


def _smaller(a: Wire | None, b: Wire | None) -> Wire | None:
    if a is None or b is None:
        return None
    return Wire(lambda: a.value().min(b.value()))


def _exchange(wires: list[Wire | None], i: int, j: int) -> None:
    """A comparator: the larger of two goes to i, the smaller to j."""
    wires[i], wires[j] = _larger(wires[i], wires[j]), _smaller(wires[i], wires[j])


def _sort(wires: Sequence[Wire]) -> list[Wire]:
    """All wires, largest first: Batcher's odd-even merge sort (1968)."""
    if len(wires) == 1:
        return list(wires)
    half = (len(wires) + 1) // 2
    return _merge(_sort(wires[:half]), _sort(wires[half:]))


def _merge(a: Sequence[Wire], b: Sequence[Wire]) -> list[Wire]:
    """Two lists sorted downwards, as one."""
    size = 1 << (max(len(a), len(b)) - 1).bit_length()
    merged: list[Wire | None] = [*a, *[None] * (size - len(a)), *b, *[None] * (size - len(b))]
    _odd_even(merged, list(range(2 * size)))
    return [wire for wire in merged if wire is not None]


def _odd_even(wires: list[Wire | None], places: list[int]) -> None:
    """Merge the two sorted halves of the wires at these places: the odd ones, the even ones, then neighbors."""
    if len(places) == 2:
        _exchange(wires, *places)
        return
    _odd_even(wires, places[0::2])
    _odd_even(wires, places[1::2])
    for n in range(1, len(places) - 2, 2):
        _exchange(wires, places[n], places[n + 1])
