"""Node tables: what the nodes of a decoder read, closest texel by closest texel.

    blocks     1 float texel per block of about 16 x 16 texels: (x, y, 0, s). The cell of a point is the texel of the cells
               table at s * point + (x, y)
    cells      1 byte texel for two candidates of a cell, as the coordinates (x, y) of their texels in the tables below: 0 to
               255 for 0 to 1. Of more than 65536 Gaussians one candidate, as a number of 24 bits, high byte first. The
               table has several parts of one size, slabs(), for the texels of a cell
    means      1 float texel per Gaussian: M = (y, -x, x + y) of the mean, in units, and k
    conics     1 float texel per Gaussian: (B, A, C, a plane) with D = (y, -x, x + y) - M in units, and
               p = -q = B (D.x^2 + k) + A (D.y^2 + k) + C (D.z^2 + k)
    features   1 float texel per Gaussian in each of some sheets: places.py

All candidates of a cell are blended (cells.py chooses them), where the definition blends the K largest of all Gaussians.

Points are texture coordinates, y up. The sum coordinate turns the mixed term of a conic into a third square; as the cross
product of (x, y, 0) with (-1, 1, 1), (y, -x, x + y) is one node. The factor is in units: a texture is `units` of them wide,
for EEVEE takes numbers of a texture beyond 65504 for 65504, and conics in texture coordinates are larger.
k = p0 / (A + B + C), which adds p0 to p without another node: A + B + C is below 0 for every ellipse. Where the texture
repeats, a Gaussian near the border has a copy on the other side, so a shader never wraps a distance. The last Gaussian is
null, far beyond the cutoff, and fills unused slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ImageGSError
from ..gaussians import Gaussians, conic
from ..textures.texture_stack import MapInfo
from . import cells, lod
from .blocks import Blocks, Ellipses, blocks_of, reach
from .copies import NONE, gaussian_of, shift_of
from .layout import Layout
from .places import Scale, pack
from .sheets import deep_planes
from .sparse import coarser
from .tables import MAX_ROWS, NARROW, Sheets, cell_texels, check, numbered, sheet_of

BYTES = 96
"""Bytes of cells for each Gaussian: half of all tables, and enough (docs/design-notes.md)."""

LEAST_CELLS = 1 << 14
"""So many may be had in any case: small textures show more of what cells leave out."""

MARGIN = 1 / 512
"""Cells that a block keeps away from its neighbors in the table: points in float32 never fall into those."""

OPEN = 1e-3
"""Share of the texels that no Gaussian reaches, beyond which nodes show there what is around: it takes them long."""

MOST = 65000.0
"""The largest number in a float table: EEVEE shows 65504 in the place of any above, in float32 textures, too."""

MISSED = 1e-5
"""Share of what candidates are worth that may be left out of a plain sum."""

SLOTS = {**dict.fromkeys((1, 2), 4), **dict.fromkeys((3, 4, 5, 6), 6), **{k: k + k % 2 for k in range(7, 17)}}
"""M, the candidates of a cell, by K."""

SUM_SLOTS = (16, 32, 64, 128)
"""M of a plain sum: the first with which no more than MISSED is left out."""


@dataclass(frozen=True)
class NodeTables(Sheets):
    """Tables of one stack.

    means, conics   (h, w, 4) float32
    features        (h, w, 4) float32 sheets
    scale           what their lanes stand for
    units           the width of the texture, in the units of means and conics: a power of two
    blocks          (h, w, 4) float32, row 0 the bottom row of the texture
    cells           (h, w, 4) uint8
    width, height   the fitted resolution, texels
    layout          what nodes that read them are built for
    tail            the coarse levels of detail, layout.first to layout.last
    """

    means: np.ndarray
    conics: np.ndarray
    features: tuple[np.ndarray, ...]
    scale: Scale
    units: float
    blocks: np.ndarray
    cells: np.ndarray
    width: int
    height: int
    layout: Layout
    tail: lod.Tail


def build(gaussians: Gaussians, maps: Sequence[MapInfo] = (), slots: int | None = None, detail: int = 0) -> NodeTables:
    """The tables of a stack.

    maps     what the planes are for: those of maps of more than 8 bits are kept finer
    slots    M, rounded up to 2; by default chosen from K
    detail   the finest level of detail that is shown, see limited()

    Deterministic. Raises ImageGSError where there are no Gaussians or more than the tables can address.
    """
    check(gaussians)
    count, planes = gaussians.feature.shape
    mean = gaussians.mean.astype(np.float64)
    if gaussians.wrap:
        mean -= np.floor(mean)
    size = np.array([gaussians.width, gaussians.height], np.float64)
    seen = coarser(gaussians)
    steps = np.array([seen.width, seen.height], np.float64)
    ellipses = Ellipses(mean * steps, seen.conic(), seen.bias.astype(np.float32), steps, seen.wrap, seen.topk)
    blocks = blocks_of(seen.width, seen.height)
    found = reach(ellipses, blocks)
    choices = (slots + slots % 2,) if slots else ((SLOTS[gaussians.topk],) if gaussians.topk else SUM_SLOTS)
    for slots in choices:
        most = max(BYTES * count // (2 * slots), LEAST_CELLS)
        chosen = cells.choose(found, ellipses, gaussians.feature.astype(np.float32), blocks, slots, most)
        if gaussians.topk or chosen.missed <= MISSED:
            break
    codes, block_table = _placed(chosen, blocks)
    numbers, rows = numbered(codes, count)
    if len(rows) >= MAX_ROWS:
        raise ImageGSError(
            f"decode tables: {count} Gaussians are too many; use at most {MAX_ROWS - len(rows) + count - 1}"
        )

    source, shift = gaussian_of(rows), np.stack(shift_of(rows), axis=1)
    deep = deep_planes(maps) if gaussians.topk else set(range(planes))  # the errors of a plain sum add up
    tail = lod.build(gaussians, maps)
    is_deep = tuple(plane in deep for plane in range(planes))
    sheets, spare, scale = pack(gaussians.feature, is_deep)
    means, conics, units = _geometry(
        mean[source] + shift,
        conic(gaussians.scale.astype(np.float64), gaussians.rotation.astype(np.float64))[source],
        gaussians.bias[source].astype(np.float64),
        spare[source],
        size,
    )
    layout = Layout(
        candidates=codes.shape[2],
        topk=gaussians.topk,
        deep=is_deep,
        first=tail.first,
        last=tail.last,
        per_texel=2 if means.shape[0] * means.shape[1] <= NARROW else 1,
        holes=tail.open > OPEN,
    )
    built = NodeTables(
        means=means,
        conics=conics,
        features=tuple(sheet_of(sheet[source]) for sheet in sheets),
        scale=scale,
        units=units,
        blocks=block_table,
        cells=_slabs(cell_texels(numbers, means.shape[0], means.shape[1], layout.per_texel), layout),
        width=gaussians.width,
        height=gaussians.height,
        layout=layout,
        tail=tail,
    )
    return limited(built, detail) if detail else built


def limited(tables: NodeTables, detail: int) -> NodeTables:
    """Tables that show no level of detail finer than `detail`, in the same layout.

    They hold plain texels alone where these begin at that level or before.
    """
    tail = lod.limited(tables.tail, detail)
    if tail.detail >= tail.first:
        tables = constant(lod.average(tail), tables.layout, tables.width, tables.height)
    return replace(tables, tail=tail)


def constant(average: np.ndarray, layout: Layout, width: int | None = None, height: int | None = None) -> NodeTables:
    """Tables of a layout, a texel each, that give one value per plane everywhere, at every LOD.

    average         (C,) float32, 0..1
    width, height   the fitted resolution, texels; by default any that has the levels of the layout

    All slots hold the same Gaussian; in a plain sum (topk 0) it weighs 1 / M.
    """
    sheets, spare, scale = pack(average[None], layout.deep)
    bias = np.array([np.log(layout.candidates) if layout.topk == 0 else 0.0])
    wide = np.array([[1e-6, 0.0, 1e-6]])  # an ellipse, as k needs one
    means, conics, units = _geometry(np.zeros((1, 2)), wide, bias, spare, np.ones(2), null=False)
    one = np.zeros((1, layout.candidates // layout.per_texel, 4), np.uint8)
    return NodeTables(
        means=means,
        conics=conics,
        features=tuple(sheet_of(sheet, null=False) for sheet in sheets),
        scale=scale,
        units=units,
        blocks=np.array([[[0.5, 0.5, 0, 0]]], np.float32),
        cells=_slabs(one, layout),
        width=width or 1 << layout.last,
        height=height or 1 << layout.last,
        layout=layout,
        tail=lod.constant(average, layout.first, layout.last),
    )


def slabs(layout: Layout) -> tuple[int, int]:
    """How many parts the cells table has across and down: one for each texel of a cell."""
    total = layout.candidates // layout.per_texel
    across = 1 if total <= 4 else max(n for n in range(1, int(total**0.5) + 1) if total % n == 0)
    return across, total // across


def _slabs(texels: np.ndarray, layout: Layout) -> np.ndarray:
    """The texels of cells (h, n w, 4), of one cell side by side, as one table, part by part, row by row."""
    across, down = slabs(layout)
    height = len(texels)
    parts = texels.reshape(height, -1, down, across, 4).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(parts.reshape(down * height, -1, 4))


def _placed(chosen: cells.Chosen, blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
    """The cells of all blocks as one table of codes (h, w, M), row 0 at the bottom of the texture; and the blocks table.

    A block's cells are a square. Squares of one size stand side by side in rows, the largest first. The table has the
    proportions of the grid of blocks, so that one factor leads from a point to the square in both directions.
    """
    width, height = _table_size(chosen.sizes, blocks)
    slots = chosen.codes[0].shape[3]
    table = np.full((height, width, slots), NONE, np.int32)
    texels = np.zeros((blocks.rows * blocks.columns, 4))
    top = 0
    for n, codes, numbers in zip(cells.SIZES[::-1], chosen.codes[::-1], chosen.blocks[::-1], strict=True):
        if not len(numbers):
            continue
        per_row = width // n
        place = np.arange(len(numbers))
        x, y = place % per_row * n, top + place // per_row * n
        inside = np.arange(n)
        table[y[:, None, None] + inside[None, :, None], x[:, None, None] + inside[None, None, :]] = codes[:, ::-1]
        column, row = numbers % blocks.columns, blocks.rows - 1 - numbers // blocks.columns
        size = n - 2 * MARGIN
        texels[numbers, 0] = (x + MARGIN - column * size) / width
        texels[numbers, 1] = (y + MARGIN - row * size) / height
        texels[numbers, 3] = blocks.columns * size / width
        top += -(-len(numbers) // per_row) * n
    return table, texels.reshape(blocks.rows, blocks.columns, 4)[::-1].astype(np.float32)


def _table_size(sizes: np.ndarray, blocks: Blocks) -> tuple[int, int]:
    """Width and height of a table that holds squares of these sizes, in the proportions of the grid of blocks."""
    shared = int(np.gcd(blocks.columns, blocks.rows))
    across, down = blocks.columns // shared, blocks.rows // shared
    counts = [(int(n), int((sizes == n).sum())) for n in cells.SIZES[::-1]]
    times = max(1, int((float((sizes**2).sum()) / (across * down)) ** 0.5), -(-int(sizes.max()) // across))
    while sum(-(-count // (across * times // n)) * n for n, count in counts if count) > down * times:
        times += 1
    return across * times, down * times


def _geometry(
    mean: np.ndarray, form: np.ndarray, bias: np.ndarray, spare: np.ndarray, size: np.ndarray, null: bool = True
) -> tuple[np.ndarray, np.ndarray, float]:
    """Means and conics of Gaussians, and of the null Gaussian; and their units.

    mean   (n, 2) texture coordinates, y down
    form   (n, 3) conics in texels, y down
    size   (2,) width and height in texels

    Where one Gaussian is ten thousand times as wide as another, k is limited: the bias of the wide one counts less.
    """
    a, b, c = (form * (size[0] ** 2, -size[0] * size[1], size[1] ** 2)).T
    factors = np.column_stack([b / 2 - c, b / 2 - a, -b / 2])
    units = 2.0 ** max(0.0, np.ceil(np.log2(np.abs(factors).max() / MOST) / 2))
    factors /= units**2
    k = np.clip(-bias / factors.sum(1), -MOST, MOST)
    x, y = mean[:, 0], 1.0 - mean[:, 1]
    means = np.column_stack([np.column_stack([y, -x, x + y]) * units, k])
    conics = np.column_stack([factors, spare])
    return (
        sheet_of(means.astype(np.float32), null, (0.0, 0.0, 0.0, 1.0)),
        sheet_of(conics.astype(np.float32), null, (-1e4, -1e4, -1e4, 0.0)),
        units,
    )
