"""A reader of CODE by a stranger: written from docs/format.md alone, in plain Python, with nothing of ours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def _growth() -> list[float]:
    step, term = 1.0, 1.0
    for k in range(1, 20):
        term = term / 256 / k
        step += term
    powers = [1.0]
    for _ in range(2047):
        powers.append(powers[-1] * step)
    return powers


_POWERS = _growth()


def squash(x: int) -> int:
    share = 65536 * (_POWERS[abs(x)] / (1 + _POWERS[abs(x)]))
    return min(max(math.floor((share if x >= 0 else 65536 - share) + 0.5), 32), 65504)


_SQUASHED = [squash(x) for x in range(-2047, 2048)]
_STRETCHED = []
for _k in range(4096):
    _x = (len(_STRETCHED) and _STRETCHED[-1]) or -2047
    while _x < 2047 and _SQUASHED[_x + 2047] < 16 * _k + 8:
        _x += 1
    _STRETCHED.append(_x)


class Bits:
    """The coder of bits, reading."""

    def __init__(self, code: bytes) -> None:
        self.rest = iter(code)
        self.low, self.high, self.word = 0, 2**32 - 1, 0
        for _ in range(4):
            self.word = self.word << 8 | next(self.rest, 0)

    def bit(self, p: int) -> int:
        width = self.high - self.low
        middle = self.low + (width >> 16) * p + (((width & 65535) * p) >> 16)
        bit = int(self.word <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = (self.high << 8 & 0xFFFFFFFF) | 255
            self.word = (self.word << 8 & 0xFFFFFFFF) | next(self.rest, 0)
        return bit


class Column:
    """The probabilities of a column."""

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self.chances: dict[Any, int] = {}
        self.counts: dict[Any, int] = {}
        self.weights: dict[Any, int] = {}

    def question(self, contexts: Sequence[int], node: int) -> int:
        total = 256 * self.weights.get(node, 0)
        keys = [(k, context, node) for k, context in enumerate(contexts)]
        for key in keys:
            total += self.weights.get((key[0], node), START) * _STRETCHED[self.chances.get(key, 32768) >> 4]
        p = squash(min(max(total >> 16, -2047), 2047))
        yes = self.bits.bit(p)
        y = 65536 * yes
        e = RATE * (y - p)
        self.weights[node] = self.weights.get(node, 0) + (e >> 10)
        for key in keys:
            q, n, weight = self.chances.get(key, 32768), self.counts.get(key, 0), (key[0], node)
            self.weights[weight] = self.weights.get(weight, START) + ((_STRETCHED[q >> 4] * e) >> 18)
            self.chances[key] = min(max(q + (((y - q) * (65536 // (n + 2))) >> 16), 16), 65520)
            self.counts[key] = min(n + 1, LIMIT)
        return yes

    def number(self, *contexts: int) -> int:
        if self.question(contexts, 0):
            return 0
        negative = self.question(contexts, 1)
        n = 0
        while n < 35 and self.question(contexts, 2 + n):
            n += 1
        v = 1
        for k in range(n):
            if k == 0:
                bit = self.question(contexts, 38 + min(n, 24))
            elif k == 1:
                bit = self.question(contexts, 62 + 2 * min(n, 24) + (v & 1))
            else:
                bit = self.bits.bit(32768)
            v = 2 * v + bit
        return -v if negative else v


START, RATE, LIMIT = 16000, 14, 255


def level(v: int) -> int:
    if v < 4:
        return v
    b = v.bit_length() - 1
    return min(2 * b + (v >> (b - 1) & 1), 47)


def mean_of(values: Sequence[int], neighbors: Sequence[int]) -> tuple[int, int]:
    """The mean of the neighbors' values, and its spread."""
    if not neighbors:
        return 0, 0
    mean = (sum(values[j] for j in neighbors) + values[neighbors[0]]) // (len(neighbors) + 1)
    return mean, sum(abs(values[j] - mean) for j in neighbors)


def columns(code: bytes, count: int, planes: int, bits: dict[str, int]) -> dict[str, list[Any]]:
    """mean, root, rotation, bias and feature of every Gaussian, by name; bits: pos, scale and rot of HEAD."""
    coder = Bits(code)
    mean = _means(Column(coder), count)
    near, room = _neighbors(mean), _room(mean)
    firsts, seconds, less, rotations, every, biases = [], [], [], [], [], []
    column = Column(coder)
    for i in range(count):
        guess, spread = mean_of(firsts, near[i])
        r = level(room[i])
        both = min(level(abs(guess)), 15) * 16 + min(r // 3, 15)
        firsts.append(guess + column.number(level(spread), r, both, 0))
    column = Column(coder)
    for i in range(count):
        guess, spread = mean_of(less, near[i])
        size = level(firsts[i])
        less.append(column.number(level(abs(guess)), size, min(size, 15) * 16 + min(level(spread), 15), 0))
        seconds.append(firsts[i] - less[i])
    ordinary = 4 ** bits["scale"] // 16
    areas = [max(a * b, ordinary // SMALLEST, 1) for a, b in zip(firsts, seconds, strict=True)]
    for a, b, area in zip(firsts, seconds, areas, strict=True):
        r = float(a * a) / float(b * b)
        every.append(min(1 + math.floor((r - 1 / r) / 4 * (2 ** bits["rot"] * float(area) / ordinary)), 65536))
    column = Column(coder)
    for i in range(count):
        if every[i] == 1:
            rotations.append(0)
            continue
        guess, longest = every[i] // 2, 0
        for j in near[i]:
            if every[j] > longest:
                longest = every[j]
                guess = (2 * rotations[j] + 1) * every[i] // (2 * every[j])
        many = level(every[i])
        both = min(many // 2, 17) * 12 + min(level(longest) // 3, 11)
        rotations.append((guess + column.number(many, level(longest), both, 0)) % every[i])
    column = Column(coder)
    for i in range(count):
        guess, _ = mean_of(biases, near[i])
        size = level(firsts[i])
        both = min(size, 23) * 24 + min(level(seconds[i]), 23)
        biases.append(column.number(level(abs(guess)) + 48 * (guess < 0), size, both, 0))
    features: list[list[int]] = [[] for _ in range(count)]
    last, all_before = [0] * count, [0] * count
    for _ in range(planes):
        column, values = Column(coder), []
        for i in range(count):
            there = [values[j] * areas[i] // areas[j] for j in near[i]]
            guess, spread = mean_of(there, range(len(there)))
            both = min(level(last[i] + spread), 23) * 24 + min(level(areas[i]), 23)
            missed = column.number(level(spread), level(all_before[i]), both)
            values.append(guess + missed)
            last[i], all_before[i] = abs(missed), all_before[i] + abs(missed)
            features[i].append(values[i])
    return {
        "mean": mean, "root": list(zip(firsts, seconds, strict=True)), "rotation": rotations, "bias": biases, "feature": features,
    }  # fmt: skip


SMALLEST = 8


def _means(column: Column, count: int) -> list[tuple[int, int]]:
    place, gaps, mean = 0, [0, 0, 0, 0], []
    for _ in range(count):
        gap = column.number(level(gaps[-1]), level(sum(gaps) // 4), 0)
        gaps = [*gaps[1:], gap]
        place += gap
        x = sum((place >> 2 * k & 1) << k for k in range(16))
        y = sum((place >> 2 * k + 1 & 1) << k for k in range(16))
        mean.append((x, y))
    return mean


def _distance(a: tuple[int, int], b: tuple[int, int]) -> int:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def _neighbors(mean: list[tuple[int, int]]) -> list[list[int]]:
    """The four nearest of the 64 before each, nearest first."""
    return [
        sorted(range(max(0, i - 64), i), key=lambda j, i=i: (_distance(mean[i], mean[j]), -j))[:4]
        for i in range(len(mean))
    ]


def _room(mean: list[tuple[int, int]]) -> list[int]:
    found = []
    for i in range(len(mean)):
        around = [j for j in range(max(0, i - 32), min(len(mean), i + 33)) if j != i]
        distances = sorted(_distance(mean[i], mean[j]) for j in around)
        found.append(distances[1] if len(distances) > 1 else 2**62)
    return found
