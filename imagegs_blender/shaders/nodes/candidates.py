"""A decoder of nodes reads its candidates (Reader) and adds up their features (Sums).

Left alone, Cycles reads the textures of all candidates before it adds up any of them. But its stack holds 255 floats for
a whole material, and a material that needs more is rendered wrong. So wait_for() makes each read depend on an earlier
result, and candidates are read one texel of cells after the other.
"""

from __future__ import annotations

from typing import NamedTuple

import bpy

from ...blend.properties import SETTING, TABLE
from ...core.decoding.node_tables import NodeTables
from ...core.decoding.places import SPARE, Place, places
from ...core.decoding.sheets import ALPHA
from ...core.gaussians import CUTOFF, EPS
from .. import table_images
from ..table_images import BLOCKS, CELLS, CONICS, FEATURES, MEANS, address
from .graph import Graph, Operand, Texel, Value


def wait_for(done: Value, value: Value) -> Value:
    """The value, but not before the other is there.

    It costs a node that adds 0 times the other to the value, which Cycles does not fold.
    """
    return done.times_plus(0.0, value)


class Candidate(NamedTuple):
    """What is read of one: its weight, its features sheet by sheet, and the plane that its conic holds."""

    weight: Value
    features: list[Texel]
    spare: Value


class Reader:
    """Reads the tables (core/decoding/node_tables.py)."""

    def __init__(self, graph: Graph, images: dict[str, bpy.types.Image], tables: NodeTables) -> None:
        self.graph, self.images, self.tables = graph, images, tables
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

    def cell(self, point: Value) -> Value:
        """Where the cell of a point is in the first part of the cells table."""
        block = self.texel(BLOCKS, point)
        return point.times_plus(block.a, block.rgb)

    def places(self, cell: Value, number: int) -> list[Value]:
        """The coordinates of the texels of the Gaussians that a texel of a cell names."""
        texel = self.texel(CELLS, cell)
        address(texel.node, CELLS, number, self.tables)
        if self.tables.layout.per_texel == 1:
            index = texel.rgb.dot((255.0 * 65536, 255.0 * 256, 255.0))
            return [self.setting("row").times_plus(index, self.setting("middle"))]
        return [texel.rgb, self.graph.combine(texel.rgb.lanes[2], texel.a)]

    def candidate(self, place: Value, position: Value) -> Candidate:
        """A candidate whose texels are at a place, as seen from a position."""
        mean, conic = self.texel(MEANS, place), self.texel(CONICS, place)
        d = position - mean.rgb
        p = conic.rgb.dot(d.times_plus(d, mean.a))
        weight = self.graph.math("EXPONENT", p)
        if self.tables.layout.holes or self.tables.layout.topk == 0:  # elsewhere what is beyond the cutoff is not seen
            weight = weight * self.graph.math("GREATER_THAN", p, -CUTOFF)
        sheets = range(len(self.tables.features))
        return Candidate(weight, [self.texel(f"{FEATURES} {i}", place) for i in sheets], conic.a)


class Group(NamedTuple):
    """A value that holds planes: one in each lane of a vector (None in a lane without), or a scalar's only one."""

    value: Value
    planes: tuple[int | None, ...]


class Sums:
    """The weighted sums of the lanes of features: whole, and of their fractional parts (core/decoding/places.py)."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.layout = reader.tables.layout
        self.total: Value | None = None
        self._sums: dict[tuple[int, bool, bool], Value] = {}  # by sheet, alpha, part
        self._places, _ = places(self.layout.deep)
        self._wanted = list(dict.fromkeys((p.sheet, p.lane == ALPHA, p.part) for p in self._places))

    def add(self, candidate: Candidate) -> None:
        """Add a candidate."""
        weight = candidate.weight
        self.total = weight if self.total is None else self.total + weight
        for key in self._wanted:
            sheet, alpha, part = key
            texel = None if sheet == SPARE else candidate.features[sheet]
            lanes = candidate.spare if texel is None else texel.a if alpha else texel.rgb
            lanes = lanes.fraction() if part else lanes
            if part and key not in self._sums:
                start = self.reader.setting("start")
                self._sums[key] = start.lanes[0] if alpha else start
            self._sums[key] = lanes.times_plus(weight, self._sums[key]) if key in self._sums else lanes * weight

    def done(self) -> Value:
        """A result that is not there before all candidates so far have been added.

        Of more than one sheet it needs every sum: left alone, Cycles may keep texels for a sum that is added up last.
        """
        sums = [self._sums[key] for key in self._wanted]
        if len(self.reader.tables.features) < 2:
            return sums[-1]
        done = sums[0]
        for other in sums[1:]:
            done = done + other
        return done

    def blended(self) -> tuple[list[Group], Value | None]:
        """The planes, limited to 0..1; and where the stream has holes the share of Gaussians, sum w / (sum w + EPS).

        sum w f / (sum w + EPS), or the plain sums. With bottom = sum w + EPS, a plane in parts is
        (span (sum w part - EPS low / span)) / bottom + low.
        """
        reader, layout = self.reader, self.layout
        assert self.total is not None  # a cell has one candidate at least
        step, low, span = reader.setting("scale").lanes
        share = None
        if layout.topk:
            bottom = self.total + EPS
            step, span = step / bottom, span / bottom
            share = self.total / bottom if layout.holes else None
        groups = []
        for key in self._wanted:
            _, alpha, part = key
            term: Operand = 0.0
            if part:
                term = low if alpha else reader.setting("low")
            value = reader.graph.limited_plus(term, self._sums[key], span if part else step)
            groups.append(Group(value, self._planes(key)))
        return groups, share

    def _planes(self, key: tuple[int, bool, bool]) -> tuple[int | None, ...]:
        """The planes in the lanes of a sum."""
        sheet, alpha, part = key
        numbers = {place: i for i, place in enumerate(self._places)}
        return tuple(numbers.get(Place(sheet, lane, part)) for lane in ((ALPHA,) if alpha else (0, 1, 2)))
