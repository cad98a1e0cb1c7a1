"""Planes at other sizes, and planes with holes made whole.

Trusts: planes, shares and bands have the sizes of one picture (made beside the calls); points are clipped or wrapped
into it here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from PIL import Image

_MARGIN = 4
"""Texels repeated around a plane that wraps before it is resampled: more than any filter here reaches."""


def resize(plane: np.ndarray, width: int, height: int, wrap: bool) -> np.ndarray:
    """Resample plane (h, w) float32 to (height, width): each axis by area where it shrinks, bicubic where it grows.

    Not clipped: bicubic overshoots by a few percent at edges. wrap: the texture repeats, and so does the filter.
    """
    h, w = plane.shape
    if (w, h) == (width, height):
        return plane
    for size, grows in (((width, h), width > w), ((width, height), height > h)):
        plane = _resize(plane, size, Image.Resampling.BICUBIC if grows else Image.Resampling.BOX, wrap)
    return plane


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """resize() of every channel of pixels (h, w, channels) uint8, uint16 or float32; the same dtype, integers rounded."""
    if pixels.shape[:2] == (height, width):
        return pixels
    planes = [resize(np.ascontiguousarray(c, np.float32), width, height, False) for c in np.moveaxis(pixels, 2, 0)]
    whole = np.stack(planes, 2)
    if pixels.dtype.kind == "f":
        return whole
    return np.rint(whole).clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)


class Band(NamedTuple):
    """Rows first .. end of `rows` of a picture, and low .. high of the rows of a smaller one that they cover."""

    low: int
    high: int
    first: int
    end: int
    rows: int


def bands(rows: int, height: int, most: int) -> list[Band]:
    """A picture of `rows` in bands of about `most`, for averages() of `height` rows, one below the other."""
    step = max(1, most * height // rows)
    ends = ((low, min(low + step, height)) for low in range(0, height, step))
    return [Band(low, high, low * rows // height, -(-high * rows // height), rows) for low, high in ends]


def averages(
    planes: np.ndarray,
    width: int,
    height: int,
    share: np.ndarray | None = None,
    least: float = 0.0,
    band: Band | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Planes (C, h, w) float32, clipped to 0..1, averaged over the area of each texel of a smaller (height, width).

    share, least   only texels whose share (h, w) is at least that count
    band           planes and share hold only these rows; so does the result
    Returns (C, height, width) float32, 0 where no texel counts, and (height, width) bool, where any does.
    """
    band = band or Band(0, height, 0, planes.shape[1], planes.shape[1])
    out = np.zeros((len(planes), band.high - band.low, width), np.float32)
    seen = np.zeros(out.shape[1:], np.bool_)
    shares = np.empty((0, 0), np.float32) if share is None else np.ascontiguousarray(share)
    place = (band.low, band.first, band.rows, height)
    _averages(np.ascontiguousarray(planes), shares, np.float32(least), place, out, seen)
    return out, seen


def fill(planes: np.ndarray, seen: np.ndarray, wrap: bool) -> np.ndarray:
    """Replace texels where seen (h, w) is False by a smooth continuation of the others; planes (C, h, w) float32.

    Pull-push (Gortler et al., The Lumigraph, SIGGRAPH 1996): averages of the seen texels go down a pyramid, holes are
    filled from the next coarser level on the way up. Nothing seen at all: returned as it is.
    """
    if seen.all() or not seen.any():
        return planes
    mean = np.empty((len(planes), -(-seen.shape[0] // 2), -(-seen.shape[1] // 2)), np.float32)
    found = np.empty(mean.shape[1:], np.bool_)
    _pull(np.ascontiguousarray(planes), np.ascontiguousarray(seen), mean, found)
    filled = np.array(planes, np.float32, order="C")
    _push(fill(mean, found, wrap), seen, wrap, filled)
    return filled


def bilinear(texels: np.ndarray, channels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """These channels of texels (h, w, n) float32 at points: x, y (...) are 0, 0 in the center of texel (0, 0).

    Each point lies between four texels. Returns (len(channels), ...) float32.
    """
    out = np.empty((len(channels), x.size), np.float32)
    _bilinear(texels, channels, x.ravel(), y.ravel(), out)
    return out.reshape(-1, *x.shape)


def _resize(plane: np.ndarray, size: tuple[int, int], method: Image.Resampling, wrap: bool) -> np.ndarray:
    h, w = plane.shape
    if (w, h) == size:
        return plane
    margin = _MARGIN if wrap else 0
    padded = np.pad(plane, margin, mode="wrap") if wrap else plane
    source = Image.fromarray(np.ascontiguousarray(padded, np.float32))
    return np.asarray(source.resize(size, method, box=(margin, margin, margin + w, margin + h)))


@njit(cache=True, parallel=True)
def _averages(planes, share, least, place, out, seen):
    """averages(), a row of texels at a time; share may be empty. place: Band.low, Band.first, Band.rows, height."""
    count, _, w = planes.shape
    low, first, rows, height = place
    width = out.shape[2]
    for row in prange(out.shape[1]):
        top, bottom = (low + row) * rows / height - first, (low + row + 1) * rows / height - first
        y0, y1 = int(top), int(np.ceil(bottom))
        area = np.empty((y1 - y0) * (w // width + 2), np.float32)
        for column in range(width):
            left, right = column * w / width, (column + 1) * w / width
            x0, x1 = int(left), int(np.ceil(right))
            total = 0.0
            for y in range(y0, y1):
                high = min(y + 1.0, bottom) - max(float(y), top)
                for x in range(x0, x1):
                    part = high * (min(x + 1.0, right) - max(float(x), left))
                    if len(share) and share[y, x] < least:
                        part = 0.0
                    area[(y - y0) * (x1 - x0) + x - x0] = part
                    total += part
            if total == 0.0:
                continue
            seen[row, column] = True
            for p in range(count):
                value = 0.0
                for y in range(y0, y1):
                    for x in range(x0, x1):
                        texel = min(max(planes[p, y, x], np.float32(0)), np.float32(1))
                        value += area[(y - y0) * (x1 - x0) + x - x0] * texel
                out[p, row, column] = value / total


@njit(cache=True, parallel=True)
def _pull(planes, seen, mean, found):
    """Of every 2 x 2 texels, the mean of those that are seen; found: whether any is."""
    count, h, w = planes.shape
    for row in prange(mean.shape[1]):
        for column in range(mean.shape[2]):
            total = 0
            mean[:, row, column] = 0
            for y in range(2 * row, min(2 * row + 2, h)):
                for x in range(2 * column, min(2 * column + 2, w)):
                    if seen[y, x]:
                        total += 1
                        for p in range(count):
                            mean[p, row, column] += planes[p, y, x]
            found[row, column] = total > 0
            if total > 1:
                for p in range(count):
                    mean[p, row, column] /= np.float32(total)


@njit(cache=True, parallel=True)
def _push(coarse, seen, wrap, planes):
    """Texels that are not seen become coarse, of half the width and height, bilinear."""
    count, height, width = coarse.shape
    near, far = np.float32(0.75), np.float32(0.25)
    for y in prange(len(seen)):
        row, other_row = y // 2, y // 2 + 2 * (y % 2) - 1
        other_row = other_row % height if wrap else min(max(other_row, 0), height - 1)
        for x in range(seen.shape[1]):
            if seen[y, x]:
                continue
            column, other = x // 2, x // 2 + 2 * (x % 2) - 1
            other = other % width if wrap else min(max(other, 0), width - 1)
            for p in range(count):
                level = near * coarse[p, row, column] + far * coarse[p, row, other]
                next_level = near * coarse[p, other_row, column] + far * coarse[p, other_row, other]
                planes[p, y, x] = near * level + far * next_level


@njit(cache=True, parallel=True)
def _bilinear(texels, channels, x, y, out):
    """bilinear() of points x, y (n,) float64; out (len(channels), n)."""
    for i in prange(len(x)):
        column, row = int(np.floor(x[i])), int(np.floor(y[i]))
        right, low = np.float32(x[i] - column), np.float32(y[i] - row)
        left, high = np.float32(1) - right, np.float32(1) - low
        for n, channel in enumerate(channels):
            upper = left * texels[row, column, channel] + right * texels[row, column + 1, channel]
            lower = left * texels[row + 1, column, channel] + right * texels[row + 1, column + 1, channel]
            out[n, i] = high * upper + low * lower
