"""Integers <-> bytes: a binary arithmetic coder whose probabilities are mixed from several that adapt.

An integer is a row of yes-no questions (number()). In each of several contexts, every question keeps a probability, which moves
to what came. A mixer, whose weights adapt, too, makes one probability of them. A reader asks the same questions in the same
order, so it knows the same probabilities: integers only, and the same on every machine. The design is that of "lpaq" (Mahoney);
docs/format.md has every number.

The same functions write and read: a Code says which of the two it is.

Trusts: a Code's and a Model's arrays have the sizes that begun() and model() make; contexts are below the sizes that a model was
made for (columns.py limits each). Bytes may be a stranger's: any are numbers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

NODES = 112
"""Questions that an integer can have: is it 0, is it negative, 36 of its length, and 72 of the two bits below the first."""

LONGEST = 35
"""Bits below the first that an integer can have."""

ONE = 1 << 16
"""A probability of 1."""

LEAST = 32
"""No probability of a bit is nearer to 0 or 1: so many of ONE."""

LIMIT = 255
"""A probability moves by 1 / (n + 2) the n-th time, counted from 0, and by 1 / (LIMIT + 2) in the end."""

START, RATE = 16000, 14
"""A mixer's first weights (0.24 of ONE), and how fast they move."""

LEVELS = 48
"""level() is below it."""

LOW, HIGH, GIVEN, AT, READING, ENDED = range(6)
"""Places in a coder's state: the interval, the reader's word, the next byte, 1 for a reader, 1 where bytes ran out of room."""


def _logistic() -> tuple[np.ndarray, np.ndarray]:
    """squash (4095,) and stretch (4096,) int64: x / 256 -> ONE / (1 + e^-x), and the inverse at the middles of 4096 steps.

    e^(1 / 256) is a power series, and its powers are products: additions, multiplications and divisions, which all machines
    do alike.
    """
    step, term = 1.0, 1.0
    for k in range(1, 20):
        term = term / 256 / k
        step += term
    growth = np.multiply.accumulate(np.append(1.0, np.full(2047, step)))
    up = ONE * (growth / (1 + growth))
    squash = np.concatenate([ONE - up[:0:-1], up])
    squash = np.clip(np.floor(squash + 0.5), LEAST, ONE - LEAST).astype(np.int64)
    stretch = np.searchsorted(squash, 16 * np.arange(4096) + 8).astype(np.int64) - 2047
    return squash.astype(np.int32), np.clip(stretch, -2047, 2047).astype(np.int16)


SQUASH, STRETCH = _logistic()
MOVES = np.array([ONE // (n + 2) for n in range(LIMIT + 1)], np.int32)


Code = tuple[np.ndarray, np.ndarray]
"""A coder's state, and its bytes (uint8): those that are read, or room for those that are written."""

Model = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of a column: where each context begins, probabilities (times 256, and how often each has moved), and the mixer's weights."""


def begun(data: np.ndarray, reading: bool) -> Code:
    """A coder that has coded nothing yet."""
    state = np.zeros(6, np.int64)
    state[HIGH], state[READING] = 0xFFFFFFFF, reading
    if reading:
        for at in range(4):
            state[GIVEN] = state[GIVEN] << 8 | (int(data[at]) if at < len(data) else 0)
        state[AT] = 4
    return state, data


def finished(code: Code) -> bytes | None:
    """What was written, in the fewest bytes; None where there was no room for it."""
    state, data = code
    if state[ENDED] or state[AT] >= len(data):
        return None
    data[state[AT]] = (state[LOW] >> 24) + 1 if state[LOW] else 0
    return data[: state[AT] + 1].tobytes().rstrip(b"\0")


def left_over(code: Code) -> bool:
    """Whether a reader was given more bytes than a writer makes of what it read."""
    state, data = code
    return len(data) > max(state[AT] - 3, 0) or (len(data) > 0 and data[-1] == 0)


def model(*sizes: int) -> Model:
    """That of a column whose contexts have these sizes, before its first number."""
    begin = np.zeros(len(sizes) + 1, np.int64)
    begin[1:] = np.cumsum(np.array(sizes) * NODES)
    chances = np.full(begin[-1], ONE // 2 << 8, np.int32)
    weights = np.full((NODES, len(sizes) + 1), START, np.int64)
    weights[:, -1] = 0
    return begin, chances, weights


@njit(cache=True, forceinline=True)
def _narrow(code, bit, chance):
    """One bit whose probability of being 1 is chance of ONE; returns it."""
    state, data = code
    low, high = state[LOW], state[HIGH]
    width = high - low
    middle = low + (width >> 16) * chance + (((width & 0xFFFF) * chance) >> 16)
    if state[READING]:
        bit = 1 if state[GIVEN] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) & 0xFF000000 == 0:
        if state[READING]:
            given = data[state[AT]] if state[AT] < len(data) else 0
            state[GIVEN] = (state[GIVEN] << 8 & 0xFFFFFFFF) | given
        elif state[AT] < len(data):
            data[state[AT]] = high >> 24
        else:
            state[ENDED] = 1
        state[AT] += 1
        low = low << 8 & 0xFFFFFFFF
        high = (high << 8 & 0xFFFFFFFF) | 0xFF
    state[LOW], state[HIGH] = low, high
    return bit


@njit(cache=True, forceinline=True)
def _ask(code, model, contexts, node, bit):
    """The answer to one question; when written, it is `bit`."""
    begin, chances, weights = model
    many = len(contexts)
    row = weights[node]
    total = row[many] << 8
    for k in range(many):
        total += row[k] * STRETCH[chances[begin[k] + contexts[k] * NODES + node] >> 12]
    chance = np.int64(SQUASH[min(max(total >> 16, -2047), 2047) + 2047])
    bit = _narrow(code, bit, chance)
    error = ((bit << 16) - chance) * RATE
    row[many] += error >> 10
    for k in range(many):
        at = begin[k] + contexts[k] * NODES + node
        both = np.int64(chances[at])
        old, count = both >> 8, both & 0xFF
        row[k] += (np.int64(STRETCH[old >> 4]) * error) >> 18
        new = min(max(old + ((((bit << 16) - old) * MOVES[count]) >> 16), 16), ONE - 16)
        chances[at] = new << 8 | min(count + 1, LIMIT)
    return bit


@njit(cache=True)
def number(code, model, contexts, value):
    """An integer of any sign, below 2^LONGEST, in these contexts; when read, `value` means nothing. Returns it."""
    if _ask(code, model, contexts, 0, 1 if value == 0 else 0):
        return 0
    negative = _ask(code, model, contexts, 1, 1 if value < 0 else 0)
    size = abs(value)
    length = 0
    while length < LONGEST and _ask(code, model, contexts, 2 + length, 1 if size >> (length + 1) else 0):
        length += 1
    found = 1
    for place in range(length - 1, -1, -1):
        bit = (size >> place) & 1
        if place == length - 1:
            bit = _ask(code, model, contexts, 38 + min(length, 24), bit)
        elif place == length - 2:
            bit = _ask(code, model, contexts, 62 + 2 * min(length, 24) + (found & 1), bit)
        else:
            bit = _narrow(code, bit, ONE // 2)
        found = 2 * found + bit
    return -found if negative else found


@njit(cache=True, forceinline=True)
def level(value):
    """Below LEVELS, two classes for every doubling of a size: a context. A sum that overflowed is as a large one."""
    if value < 0:
        return LEVELS - 1
    if value < 4:
        return value
    length = 0
    while value >> (length + 1):
        length += 1
    return min(2 * length + ((value >> (length - 1)) & 1), LEVELS - 1)
