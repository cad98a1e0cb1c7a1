"""Columns of integers <-> bytes, with the range coder of the `constriction` package.

A model is a histogram over magnitude classes that both sides turn into the same probabilities: only integer and IEEE
basic arithmetic is used, so a stream reads the same on every machine.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import constriction
import numpy as np

from ...errors import ImageGSError
from ..cursor import Cursor
from ..invalid import require

_Categorical = constriction.stream.model.Categorical
_Uniform = constriction.stream.model.Uniform
MAX_MAGNITUDE = 1 << 19
"""Integers of a column are smaller than this, with either sign: it bounds the memory that a reader needs for a model."""


class Writer:
    """Collects models (in `models`) and range-coded symbols; the reader must ask in the same order."""

    def __init__(self) -> None:
        self.models = bytearray()
        self._coder = constriction.stream.queue.RangeEncoder()

    def column(self, symbols: np.ndarray) -> None:
        """Integers of any sign, |symbol| < MAX_MAGNITUDE, with their histogram. Raises ImageGSError for larger ones."""
        if len(symbols) == 0:
            return
        low, high = int(symbols.min()), int(symbols.max())
        _check_range(low, high)
        classes = _classes(symbols)
        counts = np.bincount(classes - classes.min())
        shares = _shares(counts)
        self.models += struct.pack("<iihB", low, high, classes.min(), len(counts)) + _pack_shares(shares)
        if low != high:
            model = _Categorical(_probabilities(low, high, int(classes.min()), shares), perfect=False)
            self._coder.encode((symbols - low).astype(np.int32), model)

    def uniform(self, symbols: np.ndarray, sizes: np.ndarray) -> None:
        """symbols[i] in 0 .. sizes[i] - 1, all equally likely; sizes are known to the reader."""
        many = sizes > 1
        if many.any():
            self._coder.encode(symbols[many].astype(np.int32), _Uniform(), sizes[many].astype(np.int32))

    def splits(self, lefts: np.ndarray, totals: np.ndarray) -> None:
        """lefts[i] of totals[i] points that fall into the first half of a cell."""
        best = _best_shape(lefts, totals)
        self.models += bytes([best])
        for total in np.unique(totals):
            model = _split_model(int(total), SPLIT_SHAPES[best])
            self._coder.encode(lefts[totals == total].astype(np.int32), model)

    def number(self, value: int) -> None:
        """A small parameter of a model, 0 .. 255."""
        self.models.append(value)

    def payload(self) -> bytes:
        """The bytes of CODE so far."""
        return self._coder.get_compressed().astype("<u4").tobytes()


class Reader:
    """Counterpart of Writer. Raises ImageGSError where the bytes can't come from a Writer."""

    def __init__(self, models: bytes, payload: bytes) -> None:
        require(len(payload) % 4 == 0, "a payload's length is not a multiple of 4")
        self._models = Cursor(models, "a model")
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32))

    def column(self, count: int) -> np.ndarray:
        """(count,) int32."""
        if count == 0:
            return np.empty(0, np.int32)
        low, high, first, length = self._models.unpack("<iihB")
        _check_range(low, high)
        require(length > 0, "a model is empty")
        shares = _unpack_shares(self._models.take((length * 3 + 1) // 2), length)
        if low == high:
            return np.full(count, low, np.int32)
        model = _Categorical(_probabilities(low, high, first, shares), perfect=False)
        return self._decode(model, count).astype(np.int32) + low

    def uniform(self, sizes: np.ndarray) -> np.ndarray:
        """(len(sizes),) int32, below sizes."""
        symbols = np.zeros(len(sizes), np.int32)
        many = sizes > 1
        if many.any():
            symbols[many] = self._decode(_Uniform(), sizes[many].astype(np.int32))
        return symbols

    def splits(self, totals: np.ndarray) -> np.ndarray:
        """(len(totals),) int32, 0 .. totals."""
        shape = self.number()
        require(shape < len(SPLIT_SHAPES), "a split model is unknown")
        lefts = np.empty(len(totals), np.int32)
        for total in np.unique(totals):
            chosen = totals == total
            model = _split_model(int(total), SPLIT_SHAPES[shape])
            lefts[chosen] = self._decode(model, int(chosen.sum()))
        return lefts

    def number(self) -> int:
        """0 .. 255."""
        return self._models.take(1)[0]

    def finish(self) -> None:
        """All models must have been asked for, and all of the payload."""
        require(self._models.at_end(), "models are left over")
        require(bool(self._coder.maybe_exhausted()), "bytes of its payload are left over")

    def _decode(self, *arguments: Any) -> np.ndarray:
        try:
            return self._coder.decode(*arguments)
        except AssertionError as error:  # constriction's word for bytes that no encoder makes
            raise ImageGSError("not a valid .igs stream: its payload does not fit its models") from error


def _check_range(low: int, high: int) -> None:
    require(-MAX_MAGNITUDE < low <= high < MAX_MAGNITUDE, "a model's range is impossible")


# Magnitude classes: 0, 1, 2, 3, then two per octave (4-5, 6-7, 8-11, 12-15, ...), negative for negative numbers.


def _classes(symbols: np.ndarray) -> np.ndarray:
    magnitude = np.abs(symbols).astype(np.int64)
    octave = np.frexp(np.maximum(magnitude, 1).astype(np.float64))[1] - 1
    upper_half = (magnitude >> np.maximum(octave - 1, 0)) & 1
    classes = np.where(magnitude < 4, magnitude, 2 * octave + upper_half)
    return (np.sign(symbols) * classes).astype(np.int64)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Counts as 12-bit numbers: a 4-bit exponent and an 8-bit mantissa, rounded up so that nothing seen becomes 0."""
    scaled = counts / max(counts.max(), 1) * (255 << 15)
    exponent = np.clip(np.frexp(np.maximum(scaled, 1))[1] - 8, 0, 15)
    mantissa = np.minimum(np.ceil(scaled / (1 << exponent.astype(np.int64))), 255).astype(np.int64)
    return (exponent.astype(np.int64) << 8) | mantissa


def _pack_shares(shares: np.ndarray) -> bytes:
    nibbles = np.stack([shares >> 8, shares >> 4 & 15, shares & 15], 1).reshape(-1)
    nibbles = np.append(nibbles, 0) if len(nibbles) % 2 else nibbles
    return (nibbles[0::2] << 4 | nibbles[1::2]).astype(np.uint8).tobytes()


def _unpack_shares(data: bytes, length: int) -> np.ndarray:
    packed = np.frombuffer(data, np.uint8).astype(np.int64)
    nibbles = np.stack([packed >> 4, packed & 15], 1).reshape(-1)[: 3 * length].reshape(length, 3)
    return nibbles[:, 0] << 8 | nibbles[:, 1] << 4 | nibbles[:, 2]


def _probabilities(low: int, high: int, first: int, shares: np.ndarray) -> np.ndarray:
    """(high - low + 1,) float64: each class's share, spread evenly over its symbols within low .. high."""
    classes = _classes(np.arange(low, high + 1)) - first
    require(classes.min() >= 0 and classes.max() < len(shares), "a model does not cover its range")
    weight = (shares & 255).astype(np.float64) * (1 << (shares >> 8)).astype(np.float64)
    require(bool(weight.any()), "a model is empty")
    size = np.maximum(np.bincount(classes, minlength=len(shares)), 1)
    return (weight / size)[classes]


SPLIT_SHAPES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 1024.0)
"""Choices of the shape of a beta-binomial distribution: small for clustered points, large for points spread evenly."""


SMALL = 64
"""Points of a cell up to which its probabilities are computed once."""


def split_probabilities(total: int, shape: float) -> np.ndarray:
    """(total + 1,) float64: the symmetric beta-binomial distribution, by its ratio of neighbors from the middle outwards."""
    middle = total // 2
    k = np.arange(total)
    ratio = (total - k) / (k + 1.0) * ((k + shape) / (total - k - 1 + shape))  # p(k + 1) / p(k)
    up = np.cumprod(ratio[middle:])
    down = np.cumprod(1.0 / ratio[:middle][::-1])[::-1]
    p = np.concatenate([down, [1.0], up])
    return np.maximum(p, 1e-12)


def _split_model(total: int, shape: float) -> Any:
    """What a coder takes for split_probabilities(); those of small cells, which there are many of, are kept."""
    return _small_model(total, shape) if total <= SMALL else _model(total, shape)


def _model(total: int, shape: float) -> Any:
    return _Categorical(split_probabilities(total, shape), perfect=False)


_small_model = cache(_model)


@cache
def _log_probabilities(total: int, shape: float) -> np.ndarray:
    """(total + 1,) float64: the binary logarithms of split_probabilities() as shares of their sum."""
    p = split_probabilities(total, shape)
    return np.log2(p / p.sum())


def _best_shape(lefts: np.ndarray, totals: np.ndarray) -> int:
    """The index of the shape that takes the fewest bits, judged by small cells."""
    cost = np.zeros(len(SPLIT_SHAPES))
    for total in np.unique(totals):
        if total <= SMALL:
            chosen = lefts[totals == total]
            for k, shape in enumerate(SPLIT_SHAPES):
                cost[k] -= _log_probabilities(int(total), shape)[chosen].sum()
    return int(np.argmin(cost))
