"""The pruned network finds the K largest, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest

from imagegs_blender.shaders.nodes.sorting_network import largest


class Lanes:
    """Three numbers (or one) with the operators of a node graph; counts minima and maxima."""

    count = 0

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def min(self, other: Lanes) -> Lanes:
        Lanes.count += 1
        return Lanes(np.minimum(self.values, other.values))

    def max(self, other: Lanes) -> Lanes:
        Lanes.count += 1
        return Lanes(np.maximum(self.values, other.values))

    @property
    def lanes(self) -> list[Lanes]:
        return [Lanes(lane) for lane in self.values]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 8, 10])
def test_largest(rows: int) -> None:
    values = np.random.default_rng(rows).integers(0, 40, (rows, 3, 500))
    for k in range(1, min(16, 3 * rows) + 1):
        found = largest([Lanes(row) for row in values], k)
        assert np.array_equal(
            np.sort([one.values for one in found], axis=0), np.sort(values.reshape(3 * rows, -1), axis=0)[-k:]
        )


@pytest.mark.parametrize(("k", "nodes"), [(1, 5), (2, 14), (4, 26)])
def test_only_what_the_result_needs_is_built(k: int, nodes: int) -> None:
    """The largest of 12 takes 3 maxima of vectors and 2 of their lanes. (The best network that sorts 12 takes 78.)"""
    Lanes.count = 0
    largest([Lanes(np.zeros((3, 1))) for _ in range(4)], k)
    assert Lanes.count == nodes
