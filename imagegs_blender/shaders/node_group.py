"""The decoder as plain shader nodes: EEVEE and Cycles on every device, without the add-on once the tables are packed.

For a point of the texture (core/tables.py describes the tables, core/gaussians.py the mathematics):

    block, leaf -> M candidates;  D = P - M_i;  p_i = conic_i . D^2 + p0_i
    out = sum w_i f_i / (sum w_i + EPS)   over the i with the K largest p, w = exp(p)

and coarse levels of detail fade in from level_nodes. Sorting numbers does not say which candidates they came from, so p
is rounded and the slot of its candidate takes the place of the last bits; where the K largest are known, so are their
slots, and only their features are read.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ..core import lod
from ..core.errors import ImageGSError
from ..core.gaussians import CUTOFF, EPS
from ..core.stack import Channel, ColorSpace, MapInfo
from ..core.tables import NULL_LOG_WEIGHT, Tables
from ..core.tiles import Tiles
from . import level_nodes, udim
from . import tables as table_images
from .expression import Graph, Texel, Value
from .selection import largest
from .tables import BLOCKS, CELLS, CONICS, FEATURES, MEANS, SLOTS

MAX_LOD = 16.0
BELOW_ONE = 1 - 2.0**-24
MOST_IN_CYCLES_5 = 200
"""K x planes that rendered right on 5.2; with 320 the stack of Cycles was too small. 4.5 renders 16 x 32."""

GEOMETRY_AHEAD = 2
"""Candidates whose geometry is read ahead of the formula (see _after)."""

FEATURES_AHEAD = 32
"""Floats of features that are read ahead."""

MANY = 16
"""Texels of features above which Cycles may read none of them before all of the Gaussian before are summed up."""

STEPS = 2.0**15
"""Log-weights are sorted in steps of 1 / STEPS: with slots, -16 to 16 are the whole numbers that float32 holds."""

SIZE = "imagegs_size"
"""Custom property of a decoder: (width, height) of the texture, texels."""

EXTENSIONS = ("REPEAT", "EXTEND", "CLIP", "MIRROR", udim.UDIM)
EXTENSION = "imagegs_extension"
"""Custom property of a decoder: what is outside of 0..1, one of EXTENSIONS."""

def build(
    name: str, maps: Sequence[MapInfo], tables: Tables, extension: str = "REPEAT", tiles: Tiles | None = None
) -> bpy.types.ShaderNodeTree:
    """A node group that decodes a stack, with its table images.

    Inputs: Vector, the texture coordinates, as of an Image Texture node (but a group can't know that nothing is linked:
    link a Texture Coordinate or UV Map node), and LOD, 0 = full detail. Outputs: for each map "<name>" (the color that
    an Image Texture node gives: scene-linear, greys in all channels) and "<name> Alpha" where it has alpha.
    extension   what is outside of 0..1, as in an Image Texture node: one of EXTENSIONS
    tiles       the UDIM tiles that the stack is joined from; with extension "UDIM"

    Cycles holds 255 floats per material: that is enough for one decoder of any K, two of K = 4 with nine planes.
    """
    if extension not in EXTENSIONS:
        raise ImageGSError(f"{name}: extension {extension} can't be decoded; use {', '.join(EXTENSIONS)}")
    if bpy.app.version >= (5, 0) and tables.topk * tables.planes > MOST_IN_CYCLES_5:
        fits = MOST_IN_CYCLES_5 // tables.planes
        raise ImageGSError(
            f"{name}: topk {tables.topk} with {tables.planes} planes is more than Cycles of Blender 5 can hold; "
            f"fit with topk {fits}"
        )
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    tree[EXTENSION] = extension
    tree[SIZE] = (tiles.width, tiles.height) if tiles else (tables.width, tables.height)
    if tiles:
        udim.store(tree, tiles)
    _interface(tree, maps)
    fill(tree, maps, tables)
    return tree


def fill(tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo], tables: Tables) -> None:
    """Put the nodes and images of the decoder into a group that has its sockets and nothing else."""
    table_images.note(tree, tables)
    graph = Graph(tree)
    images = table_images.create_images(tree.name, tables)
    reader = _Reader(graph, images, tables)
    with graph.frame("Texture coordinates"):
        inputs = graph.inputs()
        point, inside = wrapped(inputs["Vector"], tree, tables)
        position = _position(point, tables)
    with graph.frame("Block, leaf"):
        leaf = reader.leaf(point)
    sums = _Sums(reader)
    if tables.topk:
        with graph.frame("Weights of the candidates"):
            found = reader.log_weights(leaf, position, range(tables.candidates))
            # whole numbers, ordered like p, whose last digits are the slots
            keys = [(p * STEPS).floor().times_plus(SLOTS, (slot, slot + 1.0, slot + 2.0)) for slot, p in found]
        with graph.frame("The K largest"):
            best = largest(keys, min(tables.topk, tables.candidates))
        with graph.frame("Blend"):
            for one in best:
                key = _after(sums.done, sums.ahead, one)
                sums.add(reader.place_of_slot(leaf, key), _weight(key * (1 / (STEPS * SLOTS))))
    else:
        for first in range(0, tables.candidates, 3):  # few values alive at a time
            slots = range(first, min(first + 3, tables.candidates))
            with graph.frame("Weights and features"):
                ((_, p),) = reader.log_weights(_after(sums.done, 1, leaf), position, slots)
                for place, lane in zip(reader.places[-len(slots) :], p.lanes, strict=False):
                    sums.add(_after(sums.done, sums.ahead, place), _weight(lane))
    with graph.frame("Planes"):
        colors, alphas = sums.blended()
        last = colors[-1].lanes[0] if colors else alphas[-1]
        level = level_nodes.limited(inputs["LOD"], tables)
        coarse = level_nodes.planes(graph, tree.name, point, level, last, tables, images)
        planes = _faded(graph, tables, colors, alphas, coarse, level_nodes.share(level, tables))
    with graph.frame("Maps"):
        graph.output(ending_at(tree, map_outputs(graph, maps, planes), inside, maps, lod.average(tables.tail)))
    graph.arrange()


def _interface(tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo]) -> None:
    vector = tree.interface.new_socket("Vector", in_out="INPUT", socket_type="NodeSocketVector")
    vector.hide_value = True
    level = tree.interface.new_socket("LOD", in_out="INPUT", socket_type="NodeSocketFloat")
    level.min_value, level.max_value, level.default_value = 0.0, MAX_LOD, 0.0
    level.description = "Level of detail: 0 is full detail, each level halves the resolution"
    for info in maps:
        tree.interface.new_socket(info.name, in_out="OUTPUT", socket_type="NodeSocketColor")
        if "A" in info.channels:
            tree.interface.new_socket(f"{info.name} Alpha", in_out="OUTPUT", socket_type="NodeSocketFloat")


def wrapped(uv: Value, tree: bpy.types.ShaderNodeTree, tables: Tables) -> tuple[Value, Value | None]:
    """Texture coordinates 0 <= x, y < 1, y down; and 1 inside, 0 outside where the texture ends."""
    tiles = udim.tiles_of(tree)
    if tiles:
        return udim.place(uv, tiles)
    extension = tree[EXTENSION]
    down = uv.times_plus((1, -1, 0), (0, 1, 0))
    if extension == "REPEAT":
        return down.fraction().min(BELOW_ONE), None
    half = (0.5 / tables.width, 0.5 / tables.height, 0)
    if extension == "MIRROR":
        turned = 1.0 - (down * 0.5).fraction() * 2.0
        return (1.0 - turned.max(turned * -1.0)).clamp(half, (1 - half[0], 1 - half[1], 0)), None
    point = down.clamp(half, (1 - half[0], 1 - half[1], 0))
    if extension == "EXTEND":
        return point, None
    return point, down.distance(down.clamp(0.0, 1.0)).less_than(1e-7)


def _position(point: Value, tables: Tables) -> Value:
    """(x, y, x + y) in texels, from the centre of the texture."""
    size = (tables.width, tables.height, 0)
    position = point.times_plus(size, (-size[0] / 2, -size[1] / 2, 0))
    return position.dot((1, 1, 0)).times_plus((0, 0, 1), position)


def _weight(p: Value) -> Value:
    """exp(p), 0 beyond the cutoff."""
    return p.graph.math("EXPONENT", p) * p.graph.math("GREATER_THAN", p, -CUTOFF)


class _Reader:
    """Reads the tables (core/tables.py), each value once."""

    def __init__(self, graph: Graph, images: dict[str, bpy.types.Image], tables: Tables) -> None:
        self.graph, self.images, self.tables = graph, images, tables
        self.places: list[Value] = []
        self._done: list[Value] = []
        self._vectors = table_images.settings(tables)

    def setting(self, name: str) -> Value:
        """A vector that depends on the tables; Cycles folds it."""
        node = self.graph.node("ShaderNodeCombineXYZ", name)
        node[table_images.SETTING] = name
        table_images.set_vector(node, self._vectors[name])
        return Value(self.graph, node.outputs[0])

    def texel(self, table: str, vector: Value) -> Texel:
        extension = "EXTEND" if table in (BLOCKS, CELLS) or self.tables.per_texel == 2 else "REPEAT"
        found = self.graph.image(self.images[table], vector, table, extension)
        found.node[table_images.TABLE] = table
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
        """(slot, p of it and the two after it) for all slots; where the Gaussians' texels are goes to `places`."""
        per_texel, step = self.tables.per_texel, self.setting("next")
        cells: dict[int, Texel] = {}
        found, three = [], []
        for slot in slots:
            number = slot // per_texel
            if number not in cells:
                start = _after(self._done, GEOMETRY_AHEAD, leaf)
                cells[number] = self.texel(CELLS, step.times_plus(float(number), start) if number else start)
            self.places.append(self._place(cells[number], slot % per_texel))
            mean, conic = self.texel(MEANS, self.places[-1]), self.texel(CONICS, self.places[-1])
            d = position - mean.rgb
            square = d * d
            self._done.append(square)
            three.append(conic.rgb.dot(square) + mean.a)
            if len(three) == 3 or slot == slots[-1]:
                padded = [*three, *[NULL_LOG_WEIGHT] * (3 - len(three))]
                found.append((slot - len(three) + 1, self.graph.combine(*padded)))
                three = []
        return found

    def place_of_slot(self, leaf: Value, key: Value) -> Value:
        """Where the texels of the candidate are whose slot is in a key."""
        slot = (key * (1 / SLOTS)).fraction()
        start = leaf + self.setting("half")
        texel = self.texel(CELLS, self.setting("slot").times_plus(slot, start))
        first = self._place(texel, 0)
        if self.tables.per_texel == 1:
            return first
        return self.graph.mix(first, self._place(texel, 1), (key * 0.5).fraction() * 2.0)

    def features(self, place: Value) -> list[Texel]:
        return [self.texel(f"{FEATURES} {i}", place) for i in range(len(self.tables.features))]

    def _place(self, texel: Texel, half: int) -> Value:
        """The coordinates in a texel of cells."""
        if self.tables.per_texel == 1:
            number = texel.rgb.dot((255.0 * 65536, 255.0 * 256, 255.0))
            return self.setting("row").times_plus(number, self.setting("middle"))
        return texel.rgb if half == 0 else self.graph.combine(texel.rgb.lanes[2], texel.a)


def _after(done: list[Value], ahead: int, value: Value) -> Value:
    """The value, but not before all except the last few results are there.

    Cycles would read the textures of all candidates first, and its stack holds 255 floats for the whole material.
    """
    return done[-ahead].times_plus(0.0, value) if len(done) >= ahead else value


class _Sums:
    """The weighted sums of the features' bytes, by sheet: RGB, and alpha where it has a channel."""

    def __init__(self, reader: _Reader) -> None:
        self.reader, tables = reader, reader.tables
        count = sum(len(numbers) for numbers in tables.channels)
        self.total: Value | None = None
        self.colors: list[Value | None] = [None] * len(tables.features)
        self.alphas: list[Value | None] = [None] * max(0, count - 3 * len(self.colors))
        self.done: list[Value] = []
        self.ahead = max(1, FEATURES_AHEAD // (4 * len(self.colors)))
        self.many = not 0 < tables.topk * len(self.colors) <= MANY

    def add(self, place: Value, weight: Value) -> None:
        """Count the Gaussian whose texels are there with its weight."""
        self.total = weight if self.total is None else self.total + weight
        texels = self.reader.features(place)
        for i, texel in enumerate(texels):
            self.colors[i] = texel.rgb * weight if self.colors[i] is None else texel.rgb.times_plus(weight, self.colors[i])
        for i, total in enumerate(self.alphas):
            self.alphas[i] = texels[i].a * weight if total is None else texels[i].a.times_plus(weight, total)
        gate = self.colors[-1]
        for other in [*self.colors[:-1], *self.alphas] if self.many else ():
            gate = gate + other
        self.done.append(gate.lanes[0])

    def blended(self) -> tuple[list[Value], list[Value]]:
        """sum w f / (sum w + EPS), or the plain sums: three planes each, and the planes left over."""
        graph, tables = self.reader.graph, self.reader.tables
        threes, rest = self.colors, self.alphas
        if any(tables.deep):
            threes, rest = self._joined()
        scale = 1.0 / (self.total + EPS) if tables.topk else None
        share = self.total * scale if scale else self.total
        lows = [self.reader.setting(f"low {i}") * share for i in range(-(-tables.planes // 3))]
        spans = [self.reader.setting(f"span {i}") for i in range(len(lows))]
        found = []
        for i in range(len(lows)):
            lanes = rest[3 * i - 3 * len(threes) :] if i >= len(threes) else []
            unit = threes[i] if i < len(threes) else graph.combine(*lanes[:3])
            found.append((unit * scale if scale else unit).times_plus(spans[i], lows[i]))
        left = [lane for three in found[len(threes) :] for lane in three.lanes]
        return found[: len(threes)], left[: len(rest)]

    def _joined(self) -> tuple[list[Value], list[Value]]:
        """The sums by plane, 0..1 per weight, where some planes have two channels."""
        graph, tables = self.reader.graph, self.reader.tables
        count = sum(len(numbers) for numbers in tables.channels)

        def channel(number: int) -> Value:
            sheet, lane = lod.slot(number, count)
            return self.alphas[sheet] if lane == 3 else self.colors[sheet].lanes[lane]

        units = []
        for numbers in tables.channels:
            high = channel(numbers[0])
            units.append(high if len(numbers) == 1 else (high * (65280 / 65535)) + channel(numbers[1]) * (255 / 65535))
        threes = lod.sheets(tables.planes)
        padded = [*units, *[graph.constant(0.0)] * max(0, 3 * threes - len(units))]
        return [graph.combine(*padded[3 * i : 3 * i + 3]) for i in range(threes)], units[3 * threes :]


def _faded(
    graph: Graph, tables: Tables, colors: list[Value], alphas: list[Value], coarse: list[Value], share: Value
) -> Planes:
    """The planes of the Gaussians, clamped to 0..1 and faded into the coarse levels."""
    threes = [graph.combine(*coarse[3 * i : 3 * i + 3]) for i in range(len(colors))]
    rest = coarse[3 * len(colors) :]
    mixed = [
        [graph.mix(a.clamp(0.0, 1.0), b, share) for a, b in zip(fine, texels, strict=True)]
        for fine, texels in ((colors, threes), (alphas, rest))
    ]
    return Planes(graph, tables, *mixed)


class Planes:
    """The decoded planes, 0..1, as scalars or three at a time; texels and alphas as lod.slot numbers them."""

    def __init__(self, graph: Graph, tables: Tables, texels: list[Value], alphas: list[Value]) -> None:
        self.graph, self.tables, self.texels, self.alphas = graph, tables, texels, alphas

    def scalar(self, plane: int) -> Value:
        sheet, channel = lod.slot(plane, self.tables.planes)
        return self.alphas[sheet] if channel == 3 else self.texels[sheet].lanes[channel]

    def vector(self, planes: Sequence[int]) -> Value:
        slots = [lod.slot(plane, self.tables.planes) for plane in planes]
        if [channel for _, channel in slots] == [0, 1, 2] and len({sheet for sheet, _ in slots}) == 1:
            return self.texels[slots[0][0]]
        return self.graph.combine(*(self.scalar(plane) for plane in planes))


def ending_at(
    tree: bpy.types.ShaderNodeTree, outputs: dict[str, Value], inside: Value | None, maps: Sequence[MapInfo],
    average: np.ndarray,
) -> dict[str, Value]:
    """The outputs where `inside` is 1; elsewhere black, or where tiles are missing the average of the planes."""
    if inside is None:
        return outputs
    if udim.tiles_of(tree) is None:
        return {name: value * inside for name, value in outputs.items()}
    colors = udim.outside(maps, average)
    graph = inside.graph
    return {
        name: graph.mix(graph.combine(*colors[name]) if value.is_vector else graph.constant(colors[name][0]), value, inside)
        for name, value in outputs.items()
    }


def map_outputs(graph: Graph, maps: Sequence[MapInfo], planes: Planes) -> dict[str, Value]:
    """What the decoder gives for each map, by output socket."""
    outputs = {}
    for info in maps:
        letters = dict(zip(info.channels, info.sources, strict=True))
        color = [letters.get(letter, letters.get("L")) for letter in "RGB"]
        outputs[info.name] = _color(graph, [c or Channel("constant") for c in color], planes, info.color_space)
        if "A" in letters:
            outputs[f"{info.name} Alpha"] = _scalar(letters["A"], planes, graph)
    return outputs


def _color(graph: Graph, channels: Sequence[Channel], planes: Planes, space: ColorSpace) -> Value:
    """Three channels as the color that an Image Texture node gives."""
    if all(c.kind == "plane" for c in channels):
        unit = planes.vector([c.plane for c in channels])
    else:
        unit = graph.combine(*(_unit(c, planes, graph) for c in channels))
    color = _ranged(unit, channels)
    return _scene_linear(color) if space is ColorSpace.SRGB else color


def _unit(channel: Channel, planes: Planes, graph: Graph) -> Value | float:
    """A channel as 0..1, before it is put in its range."""
    if channel.kind == "constant":
        return 0.0
    x = planes.scalar(channel.plane)
    if channel.kind == "plane":
        return x
    across, down = x * 2.0 - 1.0, planes.scalar(channel.plane_y) * 2.0 - 1.0
    return (1.0 - (across * across + down * down)).max(0.0) ** 0.5 * 0.5 + 0.5


def _scalar(channel: Channel, planes: Planes, graph: Graph) -> Value:
    if channel.kind == "constant":
        return graph.constant(channel.low)
    return _ranged(_unit(channel, planes, graph), [channel])


def _ranged(unit: Value, channels: Sequence[Channel]) -> Value:
    """low + (high - low) * unit."""
    if all((c.low, c.high) == (0.0, 1.0) for c in channels):
        return unit
    low, span = [c.low for c in channels], [c.high - c.low for c in channels]
    return unit.times_plus(span, low) if unit.is_vector else unit.times_plus(span[0], low[0])


def _scene_linear(color: Value) -> Value:
    """The exact sRGB curve (IEC 61966-2-1): a line up to 0.04045, a power above, added up piece by piece."""
    bend = 0.04045
    power = color.max(bend).times_plus(1 / 1.055, 0.055 / 1.055) ** 2.4
    return color.min(bend).times_plus(1 / 12.92, power - bend / 12.92)
