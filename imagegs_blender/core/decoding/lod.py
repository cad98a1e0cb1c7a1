"""Level of detail: at LOD L a decoder returns what mip level L of the texture holds, continuously, 0 = full detail.

Nothing of this is stored in a stream. Coarse levels are plain texels, the area averages of the decoder's own picture:
from mip level `first` (at most 3) on they are smaller than any table. Below it the Gaussians themselves are decoded,
which hold little that a small footprint would blur, and fade into the texels:

    planes(L) = (1 - share) * Gaussians + share * texels(max(L, first)),  share = min(L / first, 1)^3

texels(t) is linear between the texels of a level and between levels floor(t) and floor(t) + 1. Measured against the
true mip levels of two stacks of 32.3 and 31.9 dB: 34.1 and 33.5 dB at L = 1, 35.3 and 32.8 at 2, 42 at 3, 47 at 4.

The levels lie in one sheet, each with a border of one texel (the other side of a texture that repeats, else the edge
itself), so that a shader adds up four closest texels and needs no wrap; sheets.locate says which plane is in which channel.
Averages are taken of the stored values: colors stay sRGB-encoded and straight (hidden colors continue the visible
ones, see texture_stack.build), normals are X and Y, so their Z comes out unit length. Texels that no Gaussian reaches, parts of a
texture that no mesh shows, do not count, and what is around goes on in their place: black would bleed into what is shown.

So these texels know what is around a hole, and show it in the picture of the Gaussians, too, at every LOD. Where Gaussians
give the share s of a point's value, and the rest is the EPS of the formula,

    Gaussians + max(0, 1 - s / COVERED) * texels(max(L, first))

takes their place above. Where they reach (s >= COVERED) that is what it was, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..gaussians import Gaussians
from ..textures.resample import Band, averages, bands, bilinear, fill
from ..textures.texture_stack import MapInfo
from . import reached
from .sheets import deep_planes, locate, sheet_count
from .sparse import coarser

LAST_FIRST = 3
"""Texels begin at this mip level or before: above it, Gaussians alone miss the true mip level."""

ROWS = 128
"""Rows of texels that are decoded at a time for the averages: little memory."""

GEOMETRY = 32
"""Bytes of a Gaussian's mean and conic in the decode tables."""

FADE = 3
"""Exponent of the share of the texels."""


@dataclass(frozen=True)
class Tail:
    """The coarse levels of a stack.

    first       mip level of the first level; the last has one texel
    levels      (n, 4) float32: x, y of the level's texel (0, 0) in the sheets, its width and height
    sheets      one (h, w, 4) array for every 4 planes: uint8 (0..255 for 0..1), float32 where a plane of it belongs to
                a map of more than 8 bits
    plane_count C
    detail      the finest level that is shown, 0 for all; levels finer than that are not in the sheets (see limited())
    open        share of the texels of whose value Gaussians give less than reached.HOLE
    """

    first: int
    levels: np.ndarray
    sheets: tuple[np.ndarray, ...]
    plane_count: int
    detail: int = 0
    open: float = 0.0

    @property
    def holes(self) -> bool:
        """There are such texels."""
        return self.open > 0

    @property
    def last(self) -> int:
        """The mip level of one texel."""
        return self.first + len(self.levels) - 1


def build(
    gaussians: Gaussians,
    maps: Sequence[MapInfo] = (),
    exact: bool = False,
    decoded: tuple[np.ndarray, np.ndarray] | None = None,
) -> Tail:
    """The coarse levels of a stack, from a decode at full resolution.

    maps      decide which planes need more than 8 bits
    exact     all do, and there is the first level alone: enough for surround() at LOD 0
    decoded   reached.planes(gaussians), where they are known already

    Texels begin at the finest level that takes no more memory than the Gaussians' geometry in tables.
    """
    width, height, count = gaussians.width, gaussians.height, gaussians.planes
    last = max(1, max(width, height).bit_length() - 1)
    deep = deep_planes(maps)
    first = 1
    while first < min(LAST_FIRST, last) and _bytes(width >> first, height >> first, count) > GEOMETRY * len(gaussians):
        first += 1

    levels = range(first, first + 1 if exact else last + 1)
    sizes = [(max(1, width >> level), max(1, height >> level)) for level in levels]
    boxes, (rows, columns) = _arranged(sizes)
    average, seen, holes = _first(gaussians, *sizes[0], decoded)
    fine = fill(average, seen, gaussians.wrap)
    found = [np.zeros((rows, columns, 4), np.float32) for _ in range(sheet_count(count))]
    for x, y, w, h in boxes:
        level, _ = averages(fine, w, h)
        bordered = np.pad(level, ((0, 0), (1, 1), (1, 1)), mode="wrap" if gaussians.wrap else "edge")
        for p, plane in enumerate(bordered):
            sheet, channel = locate(p, count)
            found[sheet][y - 1 : y + h + 1, x - 1 : x + w + 1, channel] = plane
    keep = set(range(len(found))) if exact else {locate(p, count)[0] for p in deep}
    stored = [sheet if i in keep else np.rint(255 * sheet).astype(np.uint8) for i, sheet in enumerate(found)]
    return Tail(first, np.array(boxes, np.float32), tuple(stored), count, open=holes)


def limited(tail: Tail, detail: int) -> Tail:
    """A tail that shows no level finer than `detail`, or than one texel, and holds none; in the same layout.

    What is finer reads as level `detail`: decoders show max(LOD, Tail.detail).
    """
    detail = min(max(detail, 0), tail.last)
    left_out = max(0, detail - tail.first)
    old = tail.levels[left_out:].astype(int)
    boxes, shape = _arranged([(w, h) for _, _, w, h in old.tolist()])
    sheets = []
    for sheet in tail.sheets:
        small = np.zeros((*shape, 4), sheet.dtype)
        for (x, y, w, h), (left, top, _, _) in zip(boxes, old.tolist(), strict=True):
            small[y - 1 : y + h + 1, x - 1 : x + w + 1] = sheet[top - 1 : top + h + 1, left - 1 : left + w + 1]
        sheets.append(small)
    levels = np.array([boxes[0]] * left_out + boxes, np.float32)
    return replace(tail, levels=levels, sheets=tuple(sheets), detail=detail)


def constant(average: np.ndarray, first: int, last: int) -> Tail:
    """Levels `first` to `last` that hold one value (C,) per plane, a texel each."""
    levels = np.ones((last - first + 1, 4), np.float32)
    found = [np.zeros((3, 3, 4), np.float32) for _ in range(sheet_count(len(average)))]
    for plane, value in enumerate(average):
        sheet, channel = locate(plane, len(average))
        found[sheet][..., channel] = value
    return Tail(first, levels, tuple(found), len(average))


def average(tail: Tail) -> np.ndarray:
    """(C,) float32: the one texel of the last level."""
    return _level(tail, tail.last, np.array([0.5]), np.array([0.5]))[:, 0]


def share(lod: float, first: int) -> float:
    """How much of the picture at a LOD comes from the texels, 0..1."""
    return min(max(lod, 0.0) / first, 1.0) ** FADE


def texels(tail: Tail, lod: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The tail at points, as a shader reads it.

    lod    below tail.first or tail.detail is the coarser of these, above tail.last is tail.last
    x, y   (...) texture coordinates, y down, 0 <= x, y < 1
    Returns (C, ...) float32.
    """
    level = min(max(lod, tail.first, tail.detail), tail.last)
    low = min(int(level), tail.last - 1) if tail.last > tail.first else tail.first
    part = np.float32(level - low)
    fine = _level(tail, low, x, y)
    return fine if part == 0 else (1 - part) * fine + part * _level(tail, low + 1, x, y)


def planes(
    gaussians: Gaussians, tail: Tail, lod: float, width: int | None = None, height: int | None = None
) -> np.ndarray:
    """(C, height, width) float32, 0..1: the decoded planes at a LOD, at texel centers; the definition of LOD.

    lod     below tail.detail is tail.detail
    """
    width, height = width or gaussians.width, height or gaussians.height
    lod = max(lod, tail.detail)
    part = np.float32(share(lod, tail.first))
    if part == 0:
        return _fine(gaussians, tail, lod, width, height)
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    coarse = texels(tail, lod, x, y)
    if part == 1:
        return coarse
    return (1 - part) * _fine(gaussians, tail, lod, width, height) + part * coarse


def surround(planes: np.ndarray, share: np.ndarray, tail: Tail, lod: float = 0.0) -> None:
    """Let what no Gaussian reaches show what is around it, where a stream has holes: what planes hold there is replaced.

    planes (C, height, width) float32 and share (height, width) are reached.planes() of the stream.
    """
    if not tail.holes:
        return
    height, width = share.shape
    row, column = np.divmod(np.flatnonzero(share < reached.COVERED), width)
    around = texels(tail, lod, (column + 0.5) / width, (row + 0.5) / height)
    around *= 1 - share[row, column] / np.float32(reached.COVERED)
    for plane, color in zip(planes, around, strict=True):
        plane[row, column] = np.clip(plane[row, column], 0, 1) + color


def _fine(gaussians: Gaussians, tail: Tail, lod: float, width: int, height: int) -> np.ndarray:
    """(C, height, width) float32, 0..1: what the Gaussians give, and where they don't reach what is around."""
    picture, share = reached.planes(gaussians, width, height)
    np.clip(picture, 0, 1, out=picture)
    if share is not None:
        surround(picture, share, tail, lod)
    return picture


def _first(
    gaussians: Gaussians, width: int, height: int, decoded: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """averages() of what Gaussians reach, never held at full resolution; and the share of texels that they don't reach."""
    if decoded is not None:
        parts = [Band(0, height, 0, gaussians.height, gaussians.height)]
        pictures: Iterable[tuple[np.ndarray, np.ndarray | None]] = [decoded]
    else:
        gaussians = coarser(gaussians, (gaussians.width // width).bit_length() - 1)
        parts = bands(gaussians.height, height, ROWS)
        pictures = reached.rows(gaussians, [(band.first, band.end) for band in parts])
    found, missing = [], 0
    for band, (planes, share) in zip(parts, pictures, strict=True):
        found.append(averages(planes, width, height, share, reached.COVERED, band))
        missing += 0 if share is None else int((share < reached.HOLE).sum())
    average, seen = (np.concatenate(each, axis=-2) for each in zip(*found, strict=True))
    return average, seen, missing / (gaussians.width * gaussians.height)


def _bytes(width: int, height: int, planes: int) -> float:
    return max(1, width) * max(1, height) * 4 / 3 * 4 * sheet_count(planes)


def _arranged(sizes: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int, int, int]], tuple[int, int]]:
    """Where levels of these (width, height) lie in a sheet, their boxes (x, y, w, h); and the sheet's (h, w)."""
    corners = [(1, 1)]
    for _, h in sizes[:-1]:  # the first level on the left, the others in a column on the right
        corners.append((sizes[0][0] + 3, corners[-1][1] + h + 2 if len(corners) > 1 else 1))
    boxes = [(*corner, *size) for corner, size in zip(corners, sizes, strict=True)]
    return boxes, (max(y + h + 1 for _, y, _, h in boxes), max(x + w + 1 for x, _, w, _ in boxes))


def _level(tail: Tail, level: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    left, top, width, height = (float(number) for number in tail.levels[level - tail.first])
    units = [np.float32(1 / 255 if sheet.dtype == np.uint8 else 1) for sheet in tail.sheets]
    texels = np.concatenate([unit * sheet for sheet, unit in zip(tail.sheets, units, strict=True)], axis=2)
    places = [locate(plane, tail.plane_count) for plane in range(tail.plane_count)]
    channels = np.array([4 * sheet + channel for sheet, channel in places])
    return bilinear(texels, channels, x * width + (left - 0.5), y * height + (top - 0.5))
