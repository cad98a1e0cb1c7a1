"""Decode tables: what a shader reads to decode one point of a stack with a handful of closest-texel fetches.

    means      1 float texel per Gaussian: (mx, my, mx + my, p0)
    conics     1 float texel per Gaussian: (A, B, C, 0) with D = (x, y, x + y) - M in texels of the fitted resolution and
               the log-weight p = -q = A D.x^2 + B D.y^2 + C D.z^2 + p0. The sum coordinate turns the mixed term of the
               conic into a third square, so p is one dot product.
               Coordinates are counted from the center of the texture (small numbers keep float32 exact).
    features   1 byte texel per Gaussian in each of several sheets. A plane has one channel, or two (high and low byte)
               where it belongs to a map of more than 8 bits, in plain sums, and on demand; ranges say what the least
               and the largest code stand for
    blocks     1 float texel per block of about 16 x 16 texels: (ox, oy, nx, ny). The block is divided into nx x ny
               leaves, row by row; they follow each other in row oy of the cells table from leaf ox on
    cells      M / 2 byte texels per leaf: the M Gaussians that can be in the top-K of a texel of the leaf, two to a texel,
               as the coordinates (x, y) of their texels in the tables above: 0 to 255 for 0 to 1, so that a shader takes
               them as they are. Of more than 65536 Gaussians the numbers, row by row, 24 bits to a texel, high byte first

Where the texture repeats, a Gaussian near the border has a copy on the other side, so a shader never wraps a distance.
(A fit keeps the reach of a Gaussian under half the texture; beyond that, the nearest copy is chosen block by block.)
The last Gaussian is null (p0 = -1e4) and fills unused slots. Row 0 is the top row of the texture and, as images of
Blender begin with the bottom row, v = 0 of the table: tables are indexed by (x, y down) as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..errors import ImageGSError
from ..gaussians import MAX_PLANES, Gaussians
from ..textures.texture_stack import MapInfo
from . import leaves, lod
from .blocks import Ellipses, blocks_of, needs, reach
from .copies import COPIES, ITSELF, NONE, gaussian_of, shift_of
from .layout import BYTE, HIGH_BYTE, TWO_BYTES, Layout
from .sheets import deep_planes, locate

NULL_LOG_WEIGHT = -1e4
"""p0 of the null Gaussian: far beyond the cutoff, wherever it is."""

MAX_ROWS = 1 << 21
"""Gaussians, copies included: beyond, index / row length is no longer exact enough in float32."""

NARROW = 1 << 16
"""Gaussians of which the cells table holds coordinates."""

LEAVES, FINE_LEAVES = 1.5, 64.0
"""Limit on the number of leaves, relative to the fewest: the extra leaves also cover the texels around each, which a
magnified texture shows. The fine limit is for build(fine=True)."""

MISSED = 1e-3
"""Share of the texels that tables may decode from other candidates than their exact top-K, unsaid."""

CLEAR = 224
"""Sides of a table up to here are coordinates of 8 bits well inside of texels; and 256, where byte and texel agree."""


class Sheets:
    """Tables by name, whatever they are read by."""

    means: np.ndarray
    conics: np.ndarray
    features: tuple[np.ndarray, ...]
    blocks: np.ndarray
    cells: np.ndarray
    tail: lod.Tail

    @property
    def nbytes(self) -> int:
        """Resident bytes of all tables."""
        return sum(table.nbytes for table in self.arrays().values())

    def arrays(self) -> dict[str, np.ndarray]:
        """Every table by its name, (h, w, 4) float32 or uint8."""
        return {
            "means": self.means, "conics": self.conics, **{f"features {i}": sheet for i, sheet in enumerate(self.features)},
            "blocks": self.blocks, "cells": self.cells, "levels": self.tail.levels[None],
            **{f"texels {i}": sheet for i, sheet in enumerate(self.tail.sheets)},
        }  # fmt: skip


@dataclass(frozen=True)
class Tables(Sheets):
    """Tables of one stack.

    means, conics   (h, w, 4) float32
    features        (h, w, 4) uint8 sheets, in which sheets.locate says where a channel of layout.channels is
    ranges          (C, 2) float32: the features that code 0 and the largest code of a plane stand for
    blocks          (h, w, 4) float32
    cells           (h, w, 4) uint8
    width, height   the fitted resolution, texels
    layout          what a shader that reads them is built for
    tail            the coarse levels of detail, layout.first to layout.last
    missed          share of the texels whose exact top-K is not among the candidates
    """

    means: np.ndarray
    conics: np.ndarray
    features: tuple[np.ndarray, ...]
    ranges: np.ndarray
    blocks: np.ndarray
    cells: np.ndarray
    width: int
    height: int
    layout: Layout
    tail: lod.Tail
    missed: float

    @property
    def warning(self) -> str:
        """One line for people where more than MISSED is missed, else ""."""
        if self.missed <= MISSED:
            return ""
        return (
            f"{100 * self.missed:.1f} % of the texels need more Gaussians than a decoder reads for one texel; "
            "they look a little different in renders"
        )


def build(
    gaussians: Gaussians,
    maps: Sequence[MapInfo] = (),
    max_candidates: int | None = None,
    detail: int = 0,
    fine: bool = False,
) -> Tables:
    """The tables of a stack.

    maps            what the planes are for: those of maps of more than 8 bits are kept finer
    max_candidates  M, the slots per leaf, rounded up to 2; by default chosen from K
    detail          the finest level of detail that is shown, see limited()
    fine            two bytes for every plane, and candidates for points between texel centers, too: for what decodes
                    other points than those, or rounds to bytes once more

    Deterministic. Raises ImageGSError where there are no Gaussians or more than the tables can address.
    """
    check(gaussians)
    count, planes = gaussians.feature.shape
    if max_candidates is None:
        choices = tuple(candidates * (1 + fine) for candidates in _CANDIDATES[gaussians.topk])
    else:
        choices = (2 * max(1, -(-max_candidates // 2)),)

    mean = gaussians.mean.astype(np.float64)
    if gaussians.wrap:
        mean -= np.floor(mean)
    size = np.array([gaussians.width, gaussians.height], np.float64)
    mean *= size
    conic, bias = gaussians.conic(), gaussians.bias.astype(np.float32)
    ellipses = Ellipses(mean, conic, bias, size, gaussians.wrap, gaussians.topk)
    found = _leaves(ellipses, choices, FINE_LEAVES if fine else LEAVES)
    numbers, rows = numbered(found.codes, count)
    if len(rows) >= MAX_ROWS:
        raise ImageGSError(
            f"decode tables: {count} Gaussians are too many; use at most {MAX_ROWS - len(rows) + count - 1}"
        )

    source, shift = gaussian_of(rows), np.stack(shift_of(rows), axis=1)
    means, conics = _geometry((mean[source] + shift * size - size / 2).astype(np.float32), conic[source], bias[source])
    every = fine or gaussians.topk == 0  # the errors of a plain sum add up
    deep = set(range(planes)) if every else deep_planes(maps)
    tail = lod.build(gaussians, maps)
    layout = Layout(
        candidates=found.codes.shape[2],
        topk=gaussians.topk,
        deep=tuple(plane in deep for plane in range(planes)),
        first=tail.first,
        last=tail.last,
        per_texel=2 if means.shape[0] * means.shape[1] <= NARROW else 1,
        holes=tail.holes,
    )
    sheets, ranges = _coded(gaussians.feature, layout)
    built = Tables(
        means=means,
        conics=conics,
        features=tuple(sheet_of(sheet[source]) for sheet in sheets),
        ranges=ranges,
        blocks=found.blocks,
        cells=cell_texels(numbers, means.shape[0], means.shape[1], layout.per_texel),
        width=gaussians.width,
        height=gaussians.height,
        layout=layout,
        tail=tail,
        missed=found.missed,
    )
    return limited(built, detail) if detail else built


def check(gaussians: Gaussians) -> None:
    """Raises ImageGSError where no tables can be built."""
    count, planes = gaussians.feature.shape
    if count == 0:
        raise ImageGSError("decode tables: the stack has no Gaussians; fit it again")
    if gaussians.gamma != 1:
        raise ImageGSError(
            f"decode tables: fitted with gamma {gaussians.gamma:g}, which shaders do not undo; fit without"
        )
    if not 1 <= planes <= MAX_PLANES:
        raise ImageGSError(f"decode tables: {planes} planes; a stack has 1 to {MAX_PLANES}")


def limited(tables: Tables, detail: int) -> Tables:
    """Tables that show no level of detail finer than `detail`, in the same layout.

    They hold plain texels alone where these begin at that level or before.
    """
    tail = lod.limited(tables.tail, detail)
    if tail.detail >= tail.first:
        tables = constant(lod.average(tail), tables.layout, tables.width, tables.height)
    return replace(tables, tail=tail)


def constant(average: np.ndarray, layout: Layout, width: int | None = None, height: int | None = None) -> Tables:
    """Tables of a layout, a texel each, that give one value per plane everywhere, at every LOD.

    average         (C,) float32, 0..1
    width, height   the fitted resolution, texels; by default any that has the levels of the layout

    All slots hold the same Gaussian; in a plain sum (topk 0) it weighs 1 / M.
    """
    sheets, ranges = _coded(average[None], layout)
    bias = np.array([np.log(layout.candidates) if layout.topk == 0 else 0.0])
    means, conics = _geometry(np.zeros((1, 2), np.float32), np.zeros((1, 3)), bias, null=False)
    return Tables(
        means=means,
        conics=conics,
        features=tuple(sheet_of(sheet, null=False) for sheet in sheets),
        ranges=ranges,
        blocks=np.array([[[0, 0, 1, 1]]], np.float32),
        cells=np.zeros((1, layout.candidates // layout.per_texel, 4), np.uint8),
        width=width or 1 << layout.last,
        height=height or 1 << layout.last,
        layout=layout,
        tail=lod.constant(average, layout.first, layout.last),
        missed=0.0,
    )


def candidates(tables: Tables) -> np.ndarray:
    """(rows, columns, M) int32: the row numbers of the Gaussians of every leaf."""
    cells = tables.cells.astype(np.int32)
    if tables.layout.per_texel == 2:
        height, width = tables.means.shape[:2]
        columns, lines = (np.minimum(cells[..., i::2] * n // 255, n - 1) for i, n in enumerate((width, height)))
        numbers = lines * width + columns
    else:
        numbers = 65536 * cells[..., :1] + 256 * cells[..., 1:2] + cells[..., 2:3]
    return numbers.reshape(len(cells), -1, tables.layout.candidates)


def rows(tables: Tables) -> np.ndarray:
    """(n, 6 + C) float32: the Gaussians as candidates() numbers them, the null Gaussian among them.

    x, y from the center of the texture and a, b, c, p0 in texels: p = p0 - (a dx^2 + b dx dy + c dy^2); then the features.
    """
    means, conics = tables.means.reshape(-1, 4), tables.conics.reshape(-1, 4)
    mixed = -2 * conics[:, 2]
    form = np.stack([mixed / 2 - conics[:, 0], mixed, mixed / 2 - conics[:, 1], means[:, 3]], axis=1)
    codes = np.stack([sheet.reshape(-1, 4) for sheet in tables.features]).astype(np.float32)
    features = []
    for numbers, (low, high) in zip(tables.layout.channels, tables.ranges, strict=True):
        slots = (locate(n, tables.layout.channel_count) for n in numbers)
        found = [codes[sheet, :, channel] for sheet, channel in slots]
        unit = found[0] / BYTE if len(found) == 1 else (HIGH_BYTE // BYTE * found[0] + found[1]) / TWO_BYTES
        features.append(low + (high - low) * unit)
    return np.column_stack([means[:, :2], form, *features])


_CANDIDATES = {
    0: (16, 24, 32, 48, 64, 96, 128),
    **dict.fromkeys((1, 2), (8,)),
    **dict.fromkeys((3, 4, 5), (12,)),
    **dict.fromkeys((6, 7), (16,)),
    **dict.fromkeys((8, 9, 10), (20,)),
    **dict.fromkeys((11, 12, 13), (24,)),
    **dict.fromkeys((14, 15, 16), (28,)),
}
"""M by K, measured: fewer slots make many more leaves, more slots a slower shader. The first that covers is taken."""


class _Leaves(NamedTuple):
    """The leaves of a stack.

    codes   (rows, columns, M) int32: the candidates of every leaf, see copies.py
    blocks  (h, w, 4) float32, see above
    missed  share of the texels whose exact top-K is not among the candidates
    """

    codes: np.ndarray
    blocks: np.ndarray
    missed: float


def _leaves(ellipses: Ellipses, choices: Sequence[int], most: float) -> _Leaves:
    """The leaves of Gaussians; M is the first of the choices with which nearly no texel is missed.

    most    see leaves.split
    """
    width, height = (int(side) for side in ellipses.size)
    blocks = blocks_of(width, height)
    needed = needs(reach(ellipses, blocks), ellipses, blocks)
    for slots in choices:
        parts = leaves.split(needed, blocks, slots, most)
        origin, (columns, rows) = leaves.pack(parts, slots // 2)
        codes = np.full((rows, columns, slots), NONE, np.int32)
        missed = float(leaves.fill(needed, blocks, parts, origin, codes).sum()) / (width * height)
        if missed <= MISSED:
            break
    return _Leaves(codes, np.concatenate([origin, parts], axis=2).astype(np.float32), min(1.0, missed))


def numbered(codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The candidates as numbers of rows of the table of Gaussians, and these rows by code, see copies.py.

    First come the Gaussians themselves, then those of their copies that are candidates. The number behind the last is
    the null Gaussian's.
    """
    null = COPIES * count  # the last of the arrays below, which is where NONE, -1, is found
    used = np.zeros(null + 1, bool)
    used[codes] = True
    copies = used[:null].reshape(count, COPIES)
    copies[:, ITSELF] = False
    rows = np.concatenate([COPIES * np.arange(count) + ITSELF, np.flatnonzero(copies)])
    number = np.zeros(null + 1, np.int32)
    number[rows] = np.arange(len(rows))
    number[null] = len(rows)
    return number[codes], rows


def _geometry(
    mean: np.ndarray, conic: np.ndarray, bias: np.ndarray, null: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Means and conics of Gaussians given by mean (n, 2), conic (n, 3), bias (n,), and of the null Gaussian."""
    a, b, c = conic.T
    means = np.column_stack([mean, mean[:, 0] + mean[:, 1], -bias])
    conics = np.column_stack([b / 2 - a, b / 2 - c, -b / 2, np.zeros(len(a))])
    nothing = (0, 0, 0, NULL_LOG_WEIGHT)
    return sheet_of(means.astype(np.float32), null, nothing), sheet_of(conics.astype(np.float32), null)


def sheet_of(texels: np.ndarray, null: bool = True, last: Sequence[float] = (0, 0, 0, 0)) -> np.ndarray:
    """(n, 4) texels, and the null Gaussian's up to the end, as a table."""
    total = len(texels) + null
    width = int(np.ceil(total**0.5))
    if CLEAR < width <= 256:
        width = 256
    table = np.empty((width * (width if width == 256 else -(-total // width)), 4), texels.dtype)
    table[: len(texels)], table[len(texels) :] = texels, last
    return table.reshape(-1, width, 4)


def _coded(feature: np.ndarray, layout: Layout) -> tuple[list[np.ndarray], np.ndarray]:
    """Sheets (n, 4) uint8 of features (n, C), and their ranges (C, 2), from the least to the largest."""
    ranges = np.stack([feature.min(0), np.maximum(feature.max(0), feature.min(0) + 1e-6)], axis=1).astype(np.float32)
    sheets = [np.zeros((len(feature), 4), np.uint8) for _ in range(layout.feature_sheets)]
    for plane, numbers in enumerate(layout.channels):
        low, high = ranges[plane]
        unit = np.clip((feature[:, plane] - low) / (high - low), 0, 1)
        code = np.rint((BYTE if len(numbers) == 1 else TWO_BYTES) * unit.astype(np.float64)).astype(np.uint16)
        for n, bits in zip(numbers, (0,) if len(numbers) == 1 else (8, 0), strict=True):
            sheet, channel = locate(n, layout.channel_count)
            sheets[sheet][:, channel] = code >> bits & 255
    return sheets, ranges


def cell_texels(numbers: np.ndarray, height: int, width: int, per_texel: int) -> np.ndarray:
    """Row numbers (rows, columns, M) of tables of that size as byte texels."""
    if per_texel == 2:
        parts = [_byte(numbers % width, width), _byte(numbers // width, height)]
    else:
        parts = [numbers >> 16, numbers >> 8, numbers, 0 * numbers]
    return np.stack(parts, axis=-1).astype(np.uint8).reshape(len(numbers), -1, 4)


def _byte(place: np.ndarray, side: int) -> np.ndarray:
    return place if side == 256 else ((2 * place + 1) * 255 + side) // (2 * side)
