"""Coded Gaussians <-> MODL and CODE: means by counting the points in halves of cells, then one column per number."""

from __future__ import annotations

import numpy as np

from ... import morton
from ..head import Head, Ranges
from ..invalid import require
from .codes import Codes, rotation_levels
from .entropy import Reader, Writer
from .prediction import GAIN_ONE, best_gain, nearest_earlier, residuals, restore


def write(codes: Codes, writer: Writer) -> None:
    """Write codes that are in Morton order. Raises ImageGSError where a number is too large to be stored."""
    _write_means(morton.code(*codes.mean.T), 2 * codes.head.pos_bits, writer)
    neighbor = nearest_earlier(codes.mean)
    first, second = np.ascontiguousarray(codes.scale.T)
    _write_predicted(first, neighbor, writer)
    writer.column(first - second)
    writer.uniform(codes.rotation, codes.rotation_levels)
    writer.column(codes.bias)
    for component in np.ascontiguousarray(codes.feature.T):
        _write_predicted(component, neighbor, writer)


def read(head: Head, reader: Reader) -> Codes:
    """The codes that write() was given. Raises ImageGSError where the columns can't come from it."""
    assert isinstance(head.ranges, Ranges)
    mean = _read_means(head.count, head.pos_bits, reader)
    neighbor = nearest_earlier(mean)
    first = _read_predicted(head.count, neighbor, reader)
    difference = reader.column(head.count)
    in_range = first.min() >= 0 and first.max() < 2**head.bits.scale
    require(in_range and difference.min() >= 0 and (first - difference).min() >= 0, "a scale is out of range")
    scale = np.stack([first, first - difference], 1)
    rotation = reader.uniform(rotation_levels(scale, head.ranges.scale_step, head.bits.rot))
    bias = reader.column(head.count)
    feature = [_read_predicted(head.count, neighbor, reader) for _ in range(head.planes)]
    reader.finish()
    return Codes(head, mean, scale, rotation, bias, np.stack(feature, 1))


def _write_predicted(values: np.ndarray, neighbor: np.ndarray, writer: Writer) -> None:
    gain = best_gain(values, neighbor)
    writer.number(gain)
    writer.column(residuals(values, neighbor, gain))


def _read_predicted(count: int, neighbor: np.ndarray, reader: Reader) -> np.ndarray:
    gain = reader.number()
    require(gain <= GAIN_ONE, "a prediction gain is out of range")
    return restore(reader.column(count), neighbor, gain)


def _write_means(points: np.ndarray, depth: int, writer: Writer) -> None:
    """points: sorted Morton codes of `depth` bits."""
    for halving in range(depth):
        cell = points >> (depth - halving)
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        totals = np.diff(np.append(first, len(points)))
        right = points >> (depth - halving - 1) & 1
        writer.splits(totals - np.add.reduceat(right, first), totals)


def _read_means(count: int, bits: int, reader: Reader) -> np.ndarray:
    """(count, 2) int32 in Morton order."""
    cells, totals = np.zeros(1, np.int64), np.array([count])
    for _ in range(2 * bits):
        lefts = reader.splits(totals)
        cells = np.stack([2 * cells, 2 * cells + 1], 1).reshape(-1)
        totals = np.stack([lefts, totals - lefts], 1).reshape(-1)
        cells, totals = cells[totals > 0], totals[totals > 0]
    return np.stack(morton.cell(np.repeat(cells, totals)), 1).astype(np.int32)
