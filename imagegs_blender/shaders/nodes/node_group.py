"""The decoder as plain shader nodes: EEVEE and Cycles on every device, without the add-on once the tables are packed.

For a point of the texture (core/decoding/node_tables.py describes the tables, core/gaussians.py the mathematics):

    block, cell -> M candidates;  D = P - M_i;  p_i = conic_i . D^2 + p0_i
    out = sum w_i f_i / (sum w_i + EPS)   over all of them, w = exp(p)

and coarse levels of detail fade in from levels.py, and show where no Gaussian reaches (core/decoding/lod.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ...blend import border
from ...blend.decoder import Decoder
from ...blend.properties import EXTENSION, EXTENSIONS, FLAT, MAX_LOD, PROJECTION, PROJECTIONS, SIZE, TILES, tile_numbers
from ...core.decoding import lod
from ...core.decoding.node_tables import NodeTables
from ...core.decoding.reached import COVERED
from ...core.decoding.tables import Tables
from ...core.errors import ImageGSError
from ...core.textures.texture_stack import Channel, ColorSpace, MapInfo
from ...core.textures.udim import Tiles
from .. import table_images
from ..body import Parts
from . import levels, udim
from .candidates import Group, Reader, Sums, wait_for
from .graph import Graph, Value, set_sockets
from .projection import projected

BELOW_ONE = 1 - 2.0**-24
"""The largest float32 below 1: a point on the far border is not the first of the next repetition."""


def shell(
    name: str,
    maps: Sequence[MapInfo],
    size: tuple[int, int],
    extension: str = "REPEAT",
    tiles: Tiles | None = None,
    projection: str = FLAT,
) -> bpy.types.ShaderNodeTree:
    """A node group with the sockets of a decoder, and no nodes yet.

    Inputs: Vector, the texture coordinates, as of an Image Texture node (but a group can't know that nothing is linked:
    link a Texture Coordinate or UV Map node), and LOD, 0 = full detail. Outputs: for each map "<name>" (the color that
    an Image Texture node gives: scene-linear, grays in all channels) and "<name> Alpha" where it has alpha.
    size        width and height of the texture, texels
    extension   what is outside of 0..1, as in an Image Texture node: one of EXTENSIONS
    tiles       the UDIM tiles that the stack is joined from; with extension "UDIM"
    projection  how texture coordinates are found, as in an Image Texture node: one of PROJECTIONS

    Cycles holds 255 floats per material: that is enough for one decoder of any K and number of planes, or some smaller ones.
    """
    if extension not in EXTENSIONS:
        raise ImageGSError(f"{name}: extension {extension} can't be decoded; use {', '.join(EXTENSIONS)}")
    if projection not in PROJECTIONS:
        raise ImageGSError(f"{name}: projection {projection} can't be decoded; use {', '.join(PROJECTIONS)}")
    tree = border.new_tree(name)
    EXTENSION.write(tree, extension)
    PROJECTION.write(tree, projection)
    SIZE.write(tree, (tiles.width, tiles.height) if tiles else size)
    if tiles:
        TILES.write(tree, tile_numbers(tiles))
    interface(tree, maps)
    return tree


def fill(parts: Parts, tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo], tables: NodeTables) -> None:
    """Put the nodes and images of a decoder into a group that has its sockets and nothing else, or is a copy of another's."""
    graph, decoder = Graph(tree, parts.copied), parts.decoder
    images = table_images.create_images(parts, tables)
    reader = Reader(graph, images, tables)
    with graph.frame("Texture coordinates"):
        inputs = graph.inputs()
        point, inside = upright(projected(inputs["Vector"], decoder.projection), decoder, tables)
        position = point.cross(reader.setting("units"))
    with graph.frame("Block, cell"):
        cell = reader.cell(point)
    sums = Sums(reader)
    for number in range(tables.layout.candidates // tables.layout.per_texel):
        with graph.frame("Candidates"):  # few values alive at a time
            for place in reader.places(wait_for(sums.done(), cell) if number else cell, number):
                sums.add(reader.candidate(place, position))
    with graph.frame("Planes"):
        groups, covered = sums.blended()
        level = levels.limited(inputs["LOD"], tables)
        down = point.times_plus((1, -1, 0), (0, 1, 0))
        coarse = levels.planes(graph, parts, down, level, groups[-1].value, tables, images)
        hole = covered.times_plus(-1 / COVERED, 1.0).max(0.0) if covered else None
        planes = PlaneValues(graph, _faded(graph, groups, coarse, levels.share(level, tables), hole))
    with graph.frame("Maps"):
        graph.output(ending_at(decoder, map_outputs(maps, planes), inside, maps, lod.average(tables.tail)))
    graph.arrange()


def interface(tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo]) -> None:
    """Give a group the sockets of a decoder."""
    outputs = []
    for info in maps:
        outputs.append((info.name, "NodeSocketColor"))
        if "A" in info.channels:
            outputs.append((f"{info.name} Alpha", "NodeSocketFloat"))
    vector, level = set_sockets(tree, [("Vector", "NodeSocketVector"), ("LOD", "NodeSocketFloat")], outputs)
    border.change(vector, hide_value=True)
    border.change(
        level,
        min_value=0.0,
        max_value=MAX_LOD,
        default_value=0.0,
        description="Level of detail: 0 is full detail, each level halves the resolution",
    )


def wrapped(uv: Value, decoder: Decoder, tables: NodeTables | Tables) -> tuple[Value, Value | None]:
    """Texture coordinates 0 <= x, y < 1, y down; and 1 inside, 0 outside where the texture ends."""
    tiles, extension = decoder.tiles, decoder.extension
    if tiles:
        return udim.place(uv, tiles)
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


def upright(uv: Value, decoder: Decoder, tables: NodeTables) -> tuple[Value, Value | None]:
    """wrapped() with y up and z = 0; of a texture that repeats the far border itself, 1, can be reached."""
    if decoder.extension == "REPEAT" and not decoder.tiles:
        return uv.graph.vector_math("WRAP", uv, (1, 1, 0), (0, 0, 0)), None
    point, inside = wrapped(uv, decoder, tables)
    return point.times_plus((1, -1, 0), (0, 1, 0)), inside


def _faded(graph: Graph, groups: list[Group], coarse: list[Value], share: Value, hole: Value | None) -> list[Group]:
    """The planes of the Gaussians, faded into the coarse levels.

    hole   how much the coarse levels count where no Gaussian reaches; None for streams without holes
    """
    found = []
    for value, planes in groups:
        lanes = [0.0 if plane is None else coarse[plane] for plane in planes]
        texels = graph.combine(*lanes) if value.is_vector else coarse[planes[0] or 0]
        fine = value if hole is None else texels.times_plus(hole, value)
        found.append(Group(graph.mix(fine, texels, share), planes))
    return found


class PlaneValues:
    """The decoded planes, 0..1, as scalars or three at a time."""

    def __init__(self, graph: Graph, groups: Sequence[Group]) -> None:
        self.graph = graph
        self._spots = {
            plane: (value, lane) for value, planes in groups for lane, plane in enumerate(planes) if plane is not None
        }

    def scalar(self, plane: int) -> Value:
        """One plane."""
        value, lane = self._spots[plane]
        return value.lanes[lane] if value.is_vector else value

    def vector(self, planes: Sequence[int]) -> Value:
        """Three planes, without a node where they lie together."""
        values, lanes = zip(*(self._spots[plane] for plane in planes), strict=True)
        if lanes == (0, 1, 2) and len({value.socket for value in values}) == 1:
            return values[0]
        return self.graph.combine(*(self.scalar(plane) for plane in planes))


def ending_at(
    decoder: Decoder,
    outputs: dict[str, Value],
    inside: Value | None,
    maps: Sequence[MapInfo],
    average: np.ndarray,
) -> dict[str, Value]:
    """The outputs where `inside` is 1; elsewhere black, or where tiles are missing the average of the planes."""
    if inside is None:
        return outputs
    if decoder.tiles is None:
        return {name: value * inside for name, value in outputs.items()}
    colors = udim.outside(maps, average)
    graph = inside.graph
    return {
        name: graph.mix(
            graph.combine(*colors[name]) if value.is_vector else graph.constant(colors[name][0]), value, inside
        )
        for name, value in outputs.items()
    }


def map_outputs(maps: Sequence[MapInfo], planes: PlaneValues) -> dict[str, Value]:
    """What the decoder gives for each map, by output socket."""
    outputs = {}
    for info in maps:
        letters = dict(zip(info.channels, info.sources, strict=True))
        color = [letters.get(letter, letters.get("L")) for letter in "RGB"]
        outputs[info.name] = _color([c or Channel("constant") for c in color], planes, info.color_space)
        if "A" in letters:
            outputs[f"{info.name} Alpha"] = _scalar(letters["A"], planes)
    return outputs


def _color(channels: Sequence[Channel], planes: PlaneValues, space: ColorSpace) -> Value:
    """Three channels as the color that an Image Texture node gives."""
    if all(c.kind == "plane" for c in channels):
        unit = planes.vector([c.plane for c in channels])
    else:
        unit = planes.graph.combine(*(_unit(c, planes) for c in channels))
    color = _ranged(unit, channels)
    return _scene_linear(color) if space is ColorSpace.SRGB else color


def _unit(channel: Channel, planes: PlaneValues) -> Value | float:
    """A channel as 0..1, before it is put in its range."""
    if channel.kind == "constant":
        return 0.0
    x = planes.scalar(channel.plane)
    if channel.kind == "plane":
        return x
    y = planes.scalar(channel.plane_y)
    rest = y.times_plus(1.0 - y, -0.25)  # with X = 2 x - 1: (1 - X^2 - Y^2) / 4 = x (1 - x) + y (1 - y) - 1/4
    return x.times_plus(1.0 - x, rest).sqrt() + 0.5


def _scalar(channel: Channel, planes: PlaneValues) -> Value:
    unit = _unit(channel, planes)
    return _ranged(unit, [channel]) if isinstance(unit, Value) else planes.graph.constant(channel.low)


def _ranged(unit: Value, channels: Sequence[Channel]) -> Value:
    """low + (high - low) * unit."""
    if all((c.low, c.high) == (0.0, 1.0) for c in channels):
        return unit
    low, span = [c.low for c in channels], [c.high - c.low for c in channels]
    return unit.times_plus(span, low) if unit.is_vector else unit.times_plus(span[0], low[0])


def _scene_linear(color: Value) -> Value:
    """The exact sRGB curve (IEC 61966-2-1): a line up to 0.04045, a power above, added up piece by piece."""
    bend = 0.04045
    above = color.max(bend)
    return (color - above).times_plus(1 / 12.92, above.times_plus(1 / 1.055, 0.055 / 1.055) ** 2.4)
