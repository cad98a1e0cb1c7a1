"""A decoder of nodes reads its candidates (Reader) and adds up their features (Sums).

Left alone, Cycles reads the textures of all candidates before it adds up any of them. But its stack holds 255 floats for
a whole material, and a material that needs more is rendered wrong. So wait_for() makes each read depend on an earlier
result, and candidates are read one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ...blend.properties import SETTING, TABLE
from ...core.decoding.layout import BYTE, HIGH_BYTE, TWO_BYTES
from ...core.decoding.sheets import ALPHA, locate
from ...core.decoding.tables import NULL_LOG_WEIGHT, Tables
from ...core.gaussians import CUTOFF, EPS
from .. import table_images
from ..table_images import BLOCKS, CELLS, CONICS, FEATURES, MEANS, SLOTS
from .graph import Graph, Texel, Value

GEOMETRY_AHEAD = 2
"""Candidates whose means and conics are read while the log-weights of those before are computed."""

FEATURES_AHEAD = 32
"""Floats of features that may wait to be added up: Gaussians of few planes are read several at a time."""

MANY = 16
"""With more texels of features than this (K times the sheets), or a plain sum of all candidates, there is no room for
those of a second Gaussian: each must be added to all sums before the next is read."""

STEPS = 2.0**15
"""Log-weights are sorted in steps of 1 / STEPS: with slots, -16 to 16 are the whole numbers that float32 holds."""


def weight(p: Value) -> Value:
    """exp(p), 0 beyond the cutoff."""
    return p.graph.math("EXPONENT", p) * p.graph.math("GREATER_THAN", p, -CUTOFF)


def wait_for(done: list[Value], ahead: int, value: Value) -> Value:
    """The value, but not before all except the last few results are there.

    done    results, in the order in which they are computed
    ahead   how many of the last may still be missing, plus one
    It costs a node that adds 0 times an older result to the value, which Cycles does not fold.
    """
    if len(done) < ahead:
        return value
    return done[-ahead].times_plus(0.0, value)


class Reader:
    """Reads the tables (core/decoding/tables.py), each value once."""

    def __init__(self, graph: Graph, images: dict[str, bpy.types.Image], tables: Tables) -> None:
        self.graph, self.images, self.tables = graph, images, tables
        self.places: list[Value] = []
        self._done: list[Value] = []
        self._vectors = table_images.settings(tables)

    def setting(self, name: str) -> Value:
        """A vector that depends on the tables; Cycles folds it."""
        node = self.graph.node("ShaderNodeCombineXYZ", name)
        SETTING.write(node, name)
        table_images.set_vector(node, self._vectors[name])
        return Value(self.graph, node.outputs[0])

    def texel(self, table: str, vector: Value) -> Texel:
        """The texel of a table at texture coordinates."""
        extension = "EXTEND" if table in (BLOCKS, CELLS) or self.tables.layout.per_texel == 2 else "REPEAT"
        found = self.graph.image(self.images[table], vector, table, extension)
        TABLE.write(found.node, table)
        return found

    def leaf(self, point: Value) -> Value:
        """The coordinates of the first texel of the leaf."""
        block = self.texel(BLOCKS, point)
        left, row, across = block.rgb.lanes
        inside_block = (point * self.setting("grid")).fraction()
        x, y, _ = (inside_block * self.graph.combine(across, block.a)).floor().lanes
        column = y.times_plus(across, x + left)
        return self.graph.combine(column, row).times_plus(self.setting("leaf"), self.setting("first"))

    def log_weights(self, leaf: Value, position: Value, slots: Sequence[int]) -> list[tuple[int, Value]]:
        """(slot, p of it and the two after it as a vector) for every third slot.

        position   (x, y, x + y) of the point, texels from the center of the texture
        The texture coordinates of the Gaussians' texels are appended to `places`, one for each slot.
        """
        per_texel, step = self.tables.layout.per_texel, self.setting("next")
        cells: dict[int, Texel] = {}
        found: list[tuple[int, Value]] = []
        three: list[Value] = []
        for slot in slots:
            number = slot // per_texel
            if number not in cells:
                start = wait_for(self._done, GEOMETRY_AHEAD, leaf)
                cells[number] = self.texel(CELLS, step.times_plus(float(number), start) if number else start)
            self.places.append(self._place(cells[number], slot % per_texel))
            mean, conic = self.texel(MEANS, self.places[-1]), self.texel(CONICS, self.places[-1])
            d = position - mean.rgb
            square = d * d
            self._done.append(square)
            three.append(conic.rgb.dot(square) + mean.a)
            if len(three) == 3 or slot == slots[-1]:
                padded: list[Value | float] = [*three, *[NULL_LOG_WEIGHT] * (3 - len(three))]
                found.append((slot - len(three) + 1, self.graph.combine(*padded)))
                three = []
        return found

    def place_of_slot(self, leaf: Value, key: Value) -> Value:
        """Where the texels of the candidate are whose slot is in a key."""
        slot = (key * (1 / SLOTS)).fraction()
        start = leaf + self.setting("half")
        texel = self.texel(CELLS, self.setting("slot").times_plus(slot, start))
        first = self._place(texel, 0)
        if self.tables.layout.per_texel == 1:
            return first
        return self.graph.mix(first, self._place(texel, 1), (key * 0.5).fraction() * 2.0)

    def features(self, place: Value) -> list[Texel]:
        """The features of the Gaussian whose texels are at a place, sheet by sheet."""
        return [self.texel(f"{FEATURES} {i}", place) for i in range(len(self.tables.features))]

    def _place(self, texel: Texel, half: int) -> Value:
        """The coordinates in a texel of cells."""
        if self.tables.layout.per_texel == 1:
            number = texel.rgb.dot((255.0 * 65536, 255.0 * 256, 255.0))
            return self.setting("row").times_plus(number, self.setting("middle"))
        return texel.rgb if half == 0 else self.graph.combine(texel.rgb.lanes[2], texel.a)


class Sums:
    """The weighted sums of the features' bytes, by sheet: RGB, and alpha where it has a channel."""

    def __init__(self, reader: Reader) -> None:
        self.reader, tables = reader, reader.tables
        count = tables.layout.channel_count
        self.total: Value | None = None
        self.share: Value | None = None
        sheets = len(tables.features)
        self.colors: list[Value] = []
        self.alphas: list[Value] = []
        self.with_alpha = max(0, count - 3 * sheets)
        self.done: list[Value] = []
        self.ahead = max(1, FEATURES_AHEAD // (4 * sheets))
        self.one_by_one = not 0 < tables.layout.topk * sheets <= MANY

    def add(self, place: Value, weight: Value) -> None:
        """Add the features of the Gaussian whose texels are at a place, times its weight."""
        self.total = weight if self.total is None else self.total + weight
        texels = self.reader.features(place)
        self.colors = _added([texel.rgb for texel in texels], weight, self.colors)
        self.alphas = _added([texel.a for texel in texels[: self.with_alpha]], weight, self.alphas)
        added = self.colors[-1]
        if self.one_by_one:  # one value that needs all sums
            for other in [*self.colors[:-1], *self.alphas]:
                added = added + other
        self.done.append(added.lanes[0])

    def blended(self) -> tuple[list[Value], list[Value]]:
        """sum w f / (sum w + EPS), or the plain sums: three planes each, and the planes left over.

        Afterwards `share` is sum w / (sum w + EPS).

        The sums are of codes, 0..1: a feature is low + span * code, so its sum is low * sum w + span * sum w code.
        """
        graph, tables = self.reader.graph, self.reader.tables
        threes, rest = self.colors, self.alphas
        if any(tables.layout.deep):
            threes, rest = self._joined()
        assert self.total is not None  # a block has one candidate at least
        scale = 1.0 / (self.total + EPS) if tables.layout.topk else None
        self.share = self.total if scale is None else self.total * scale
        lows = [self.reader.setting(f"low {i}") * self.share for i in range(-(-tables.layout.plane_count // 3))]
        spans = [self.reader.setting(f"span {i}") for i in range(len(lows))]
        found = []
        for i in range(len(lows)):
            lanes = rest[3 * i - 3 * len(threes) :] if i >= len(threes) else []
            unit = threes[i] if i < len(threes) else graph.combine(*lanes[:3])
            found.append((unit if scale is None else unit * scale).times_plus(spans[i], lows[i]))
        left = [lane for three in found[len(threes) :] for lane in three.lanes]
        return found[: len(threes)], left[: len(rest)]

    def _joined(self) -> tuple[list[Value], list[Value]]:
        """The sums by plane, 0..1 per weight, where some planes have two channels."""
        graph, tables = self.reader.graph, self.reader.tables
        count = tables.layout.channel_count

        def channel(number: int) -> Value:
            sheet, lane = locate(number, count)
            return self.alphas[sheet] if lane == ALPHA else self.colors[sheet].lanes[lane]

        units = []
        for numbers in tables.layout.channels:
            high = channel(numbers[0])
            units.append(
                high if len(numbers) == 1 else high * (HIGH_BYTE / TWO_BYTES) + channel(numbers[1]) * (BYTE / TWO_BYTES)
            )
        threes = tables.layout.level_sheets
        padded = [*units, *[graph.constant(0.0)] * max(0, 3 * threes - len(units))]
        return [graph.combine(*padded[3 * i : 3 * i + 3]) for i in range(threes)], units[3 * threes :]


def _added(values: Sequence[Value], weight: Value, sums: Sequence[Value]) -> list[Value]:
    """The sums with these values times a weight; none are the sums of nothing."""
    if not sums:
        return [value * weight for value in values]
    return [value.times_plus(weight, total) for value, total in zip(values, sums, strict=True)]
