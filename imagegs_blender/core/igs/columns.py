"""Codes <-> the bytes of CODE: one column after the other, each number in the contexts of what came before.

Gaussians are in Morton order of their means. What is near in the texture is alike: a number is guessed from the nearest Gaussians
that came earlier, and how far off the guess is for them tells how far off it will be here.

Writing and reading are one walk: a writer's columns are full, and a reader's are filled.

Trusts: neighbors are those of nearest(), which come before the Gaussian that they are of; roots are at least 1, which _walk()
checks before they are used. Sums of a stranger's codes may be any number: contexts are limited here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from .. import morton
from ..errors import ImageGSError
from .codes import MAX_ROOT, Codes, areas, rotation_levels
from .head import Head
from .invalid import require
from .mixing import LEVELS, Code, begun, finished, left_over, level, model, number

NEIGHBORS = 4
"""Gaussians that a guess is the mean of; the nearest counts twice."""

LOOK_BACK = 64
"""Gaussians before one, in the stream, among which these are found."""

LARGEST = 1 << 20
"""Biases and components of features are smaller, with either sign."""

TURN = 1 << 16
"""Half a turn, where directions of different levels are compared."""


@dataclass(frozen=True)
class _Columns:
    """The numbers of N Gaussians, int64: place on the Morton curve (N,), roots (2, N), rotation, bias (N,), feature (C, N)."""

    place: np.ndarray
    root: np.ndarray
    rotation: np.ndarray
    bias: np.ndarray
    feature: np.ndarray

    @classmethod
    def empty(cls, count: int, planes: int) -> _Columns:
        """To be filled."""
        one = [np.zeros(count, np.int64) for _ in range(3)]
        return cls(one[0], np.zeros((2, count), np.int64), one[1], one[2], np.zeros((planes, count), np.int64))

    @classmethod
    def of(cls, codes: Codes) -> _Columns:
        """Those of codes in Morton order."""
        root, feature = (np.ascontiguousarray(numbers.T, np.int64) for numbers in (codes.root, codes.feature))
        place = morton.code(*codes.mean.T)
        return cls(place, root, codes.rotation.astype(np.int64), codes.bias.astype(np.int64), feature)


def write(codes: Codes) -> bytes:
    """The payload of codes that are in Morton order. Raises ImageGSError where a number is too large to be stored."""
    columns, room = _Columns.of(codes), 4096 + 4 * len(codes) * (7 + codes.feature.shape[1])
    for numbers in (columns.bias, columns.feature):
        if np.abs(numbers).max() >= LARGEST:
            raise ImageGSError("a number is too large to be stored; use fewer bits")
    while True:
        coder = begun(np.empty(room, np.uint8), reading=False)
        _walk(coder, codes.head, columns)
        if (data := finished(coder)) is not None:
            return data
        room *= 2


def read(head: Head, payload: bytes) -> Codes:
    """The codes that write() was given. Raises ImageGSError where the payload can't come from it."""
    coder, columns = (
        begun(np.frombuffer(bytearray(payload), np.uint8), reading=True),
        _Columns.empty(head.count, head.planes),
    )
    _walk(coder, head, columns)
    require(not left_over(coder), "bytes of its payload are left over")
    mean = np.stack(morton.cell(columns.place), 1).astype(np.int32)
    root, feature = (np.ascontiguousarray(numbers.T, np.int32) for numbers in (columns.root, columns.feature))
    return Codes(head, mean, root, columns.rotation.astype(np.int32), columns.bias.astype(np.int32), feature)


def _walk(coder: Code, head: Head, columns: _Columns) -> None:
    """Code all columns, in the order of docs/format.md."""
    _places(coder, model(LEVELS, LEVELS, 1), columns.place)
    require(0 <= columns.place[0] and columns.place[-1] < 4**head.pos_bits, "a mean is out of range")
    require(bool(np.all(np.diff(columns.place) >= 0)), "its means are out of order")
    neighbor, spacing = nearest(np.stack(morton.cell(columns.place)))
    first, second = columns.root
    _first_roots(coder, model(LEVELS, LEVELS, 16 * 16, 1), neighbor, spacing, first)
    require(first.min() >= 1 and first.max() <= MAX_ROOT, "a scale is out of range")
    _second_roots(coder, model(LEVELS, LEVELS, 16 * 16, 1), neighbor, first, second)
    require(second.min() >= 1 and bool(np.all(second <= first)), "a scale is out of range")
    root = np.stack([first, second], 1)
    levels, area = rotation_levels(root, head.bits).astype(np.int64), areas(root, head.bits)
    _rotations(coder, model(LEVELS, LEVELS, 18 * 12, 1), neighbor, levels, columns.rotation)
    _biases(coder, model(2 * LEVELS, LEVELS, 24 * 24, 1), neighbor, columns.root, columns.bias)
    off = np.zeros((2, head.count), np.int64)
    for component in columns.feature:
        _components(coder, model(LEVELS, LEVELS, 24 * 24), neighbor, area, off, component)
    for numbers in (columns.bias, columns.feature):
        require(np.abs(numbers).max() < LARGEST, "a number is out of range")


@njit(parallel=True, cache=True)
def nearest(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For N Gaussians of mean (2, N): the NEIGHBORS nearest of the LOOK_BACK before each, and how much room is around it.

    neighbor   (N, NEIGHBORS) int32, nearest first; -1 where there is none
    spacing    (N,) int64: the squared distance of the second nearest among LOOK_BACK / 2 before it and as many behind it
    """
    count = mean.shape[1]
    neighbor, spacing = np.full((count, NEIGHBORS), -1, np.int32), np.zeros(count, np.int64)
    for i in prange(count):
        best = np.full(NEIGHBORS, np.int64(1) << 62)
        one, two = np.int64(1) << 62, np.int64(1) << 62
        for j in range(min(count, i + 1 + LOOK_BACK // 2) - 1, max(-1, i - 1 - LOOK_BACK), -1):
            if j == i:
                continue
            dx, dy = mean[0, i] - mean[0, j], mean[1, i] - mean[1, j]
            distance = dx * dx + dy * dy
            if j >= i - LOOK_BACK // 2:
                if distance < one:
                    one, two = distance, one
                elif distance < two:
                    two = distance
            if j < i:
                at = np.int32(j)
                for k in range(NEIGHBORS):
                    if distance < best[k]:
                        best[k], distance = distance, best[k]
                        neighbor[i, k], at = at, neighbor[i, k]
        spacing[i] = two
    return neighbor, spacing


@njit(cache=True)
def _places(code, model, place):
    """Distances along the curve, in the contexts of the last one and of the last four."""
    contexts = np.zeros(3, np.int64)
    last, gaps = np.int64(0), np.zeros(4, np.int64)
    for i in range(len(place)):
        contexts[0], contexts[1] = level(gaps[i & 3]), level((gaps[0] + gaps[1] + gaps[2] + gaps[3]) >> 2)
        gap = number(code, model, contexts, place[i] - last)
        last += gap
        place[i] = last
        gaps[(i + 1) & 3] = max(gap, 0)


@njit(cache=True)
def _guess(values, near):
    """The mean of the neighbors' values, rounded down; and the sum of how far from it they are."""
    total, weight = np.int64(0), 0
    for k in range(NEIGHBORS):
        if near[k] >= 0:
            share = 2 if k == 0 else 1
            total += share * values[near[k]]
            weight += share
    if weight == 0:
        return np.int64(0), np.int64(0)
    guess, spread = total // weight, np.int64(0)
    for k in range(NEIGHBORS):
        if near[k] >= 0:
            spread += abs(values[near[k]] - guess)
    return guess, spread


@njit(cache=True)
def _first_roots(code, model, neighbor, spacing, root):
    """What the guess misses."""
    contexts = np.zeros(4, np.int64)
    for i in range(len(root)):
        guess, spread = _guess(root, neighbor[i])
        room = level(spacing[i])
        contexts[0], contexts[1] = level(spread), room
        contexts[2] = min(level(abs(guess)), 15) * 16 + min(room // 3, 15)
        root[i] = guess + number(code, model, contexts, root[i] - guess)


@njit(cache=True)
def _second_roots(code, model, neighbor, first, second):
    """How much smaller they are than the first."""
    contexts = np.zeros(4, np.int64)
    less = np.zeros(len(first), np.int64)
    for i in range(len(first)):
        guess, spread = _guess(less, neighbor[i])
        size = level(first[i])
        contexts[0], contexts[1] = level(abs(guess)), size
        contexts[2] = min(size, 15) * 16 + min(level(spread), 15)
        less[i] = number(code, model, contexts, first[i] - second[i])
        second[i] = first[i] - less[i]


@njit(cache=True)
def _rotations(code, model, neighbor, levels, rotation):
    """What the direction of the longest neighbor misses; nothing where there is one level."""
    contexts = np.zeros(4, np.int64)
    for i in range(len(rotation)):
        if levels[i] == 1:
            rotation[i] = 0
            continue
        guess, longest = levels[i] >> 1, np.int64(0)
        for k in range(NEIGHBORS):
            j = neighbor[i, k]
            if j >= 0 and levels[j] > longest:
                longest = levels[j]
                guess = ((2 * rotation[j] + 1) * levels[i]) // (2 * levels[j])
        many = level(levels[i])
        contexts[0], contexts[1] = many, level(longest)
        contexts[2] = min(many // 2, 17) * 12 + min(level(longest) // 3, 11)
        half = levels[i] >> 1
        missed = number(code, model, contexts, (rotation[i] - guess + half) % levels[i] - half)
        rotation[i] = (guess + missed) % levels[i]


@njit(cache=True)
def _biases(code, model, neighbor, root, bias):
    """As they are."""
    contexts = np.zeros(4, np.int64)
    for i in range(len(bias)):
        guess, _ = _guess(bias, neighbor[i])
        size = level(root[0, i])
        contexts[0] = level(abs(guess)) + (LEVELS if guess < 0 else 0)
        contexts[1] = size
        contexts[2] = min(size, 23) * 24 + min(level(root[1, i]), 23)
        bias[i] = number(code, model, contexts, bias[i])


@njit(cache=True)
def _components(code, model, neighbor, area, off, values):
    """What the guess misses. off (2, N): by how much it missed the last component, and all before; both go on here."""
    contexts = np.zeros(3, np.int64)
    for i in range(len(values)):
        total, weight = np.int64(0), 0
        for k in range(NEIGHBORS):
            j = neighbor[i, k]
            if j >= 0:
                share = 2 if k == 0 else 1
                total += share * ((values[j] * area[i]) // area[j])
                weight += share
        guess, spread = np.int64(0), np.int64(0)
        if weight:
            guess = total // weight
            for k in range(NEIGHBORS):
                j = neighbor[i, k]
                if j >= 0:
                    spread += abs((values[j] * area[i]) // area[j] - guess)
        size = level(area[i])
        contexts[0], contexts[1] = level(spread), level(off[1, i])
        contexts[2] = min(level(off[0, i] + spread), 23) * 24 + min(size, 23)
        missed = number(code, model, contexts, values[i] - guess)
        values[i] = guess + missed
        off[0, i] = abs(missed)
        off[1, i] += abs(missed)
