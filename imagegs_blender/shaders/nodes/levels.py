"""The coarse levels of detail as shader nodes (core/decoding/lod.py): four closest texels, blended; two levels, blended.

    index   = clamp(LOD, first, last) - first
    planes  = (1 - part) * level(floor(index)) + part * level(floor(index) + 1),  part = index - floor(index)

The nodes that read one level are a group of their own, used twice.
"""

from __future__ import annotations

import bpy

from ...blend import border
from ...blend.properties import FINEST, TABLE
from ...core.decoding import lod
from ...core.decoding.node_tables import NodeTables
from ...core.decoding.sheets import ALPHA, locate
from ..body import LEVEL_TREE, Parts
from ..table_images import LEVELS, TEXELS, address
from .candidates import wait_for
from .graph import Graph, Texel, Value, set_sockets


def limited(level: Value, tables: NodeTables) -> Value:
    """max(LOD, Tail.detail), in a node that table_images.show() finds again."""
    found = level.max(float(tables.tail.detail))
    node = border.node_of(found.socket)
    node.label = "Max Detail"
    FINEST.write(node, True)
    return found


def share(level: Value, tables: NodeTables) -> Value:
    """lod.share: (level / first)^FADE."""
    part = (level * (1 / tables.tail.first)).clamp(0.0, 1.0)
    found = part
    for _ in range(lod.FADE - 1):
        found = found * part
    return found


def planes(
    graph: Graph,
    parts: Parts,
    point: Value,
    level: Value,
    after: Value,
    tables: NodeTables,
    images: dict[str, bpy.types.Image],
) -> list[Value]:
    """lod.texels: every plane as a scalar.

    after   one of the planes of the Gaussians: no level is read before it is there (see candidates.py). Where LOD is a
            constant that leaves the Gaussians out, so does this dependence
    """
    after = after.lanes[0] if after.is_vector else after
    done = graph.mix(after, graph.constant(0.0), share(level, tables))
    point = wait_for(done, point)
    tail = tables.tail
    tree = _level_tree(parts, tables, images)
    index = level.clamp(tail.first, tail.last) - float(tail.first)
    low = index.floor()
    fine = graph.group(tree, {"Point": point, "Level": low})
    point = wait_for(fine["RGB 0"], point)
    coarse = graph.group(tree, {"Point": point, "Level": (low + 1.0).min(float(tail.last - tail.first))})
    part = index - low
    blended = {key: graph.mix(fine[key], coarse[key], part) for key in fine}
    found = []
    for plane in range(tables.layout.plane_count):
        sheet, channel = locate(plane, tables.layout.plane_count)
        found.append(blended[f"A {sheet}"] if channel == ALPHA else blended[f"RGB {sheet}"].lanes[channel])
    return found


def _level_tree(parts: Parts, tables: NodeTables, images: dict[str, bpy.types.Image]) -> bpy.types.ShaderNodeTree:
    """A group that reads a level: inputs Point and Level, outputs "RGB i" and "A i" of every sheet."""
    tree = parts.tree(LEVEL_TREE)
    slots = [locate(plane, tables.layout.plane_count) for plane in range(tables.layout.plane_count)]
    sheets = range(len(tables.tail.sheets))
    given = []
    for sheet in sheets:
        given.append((f"RGB {sheet}", "NodeSocketVector"))
        if (sheet, ALPHA) in slots:
            given.append((f"A {sheet}", "NodeSocketFloat"))
    set_sockets(tree, [("Point", "NodeSocketVector"), ("Level", "NodeSocketFloat")], given)
    graph = Graph(tree, parts.copied)

    def texel(table: str, vector: Value, number: int = 0) -> Texel:
        found = graph.image(images[table], vector, f"{table} {number}", "EXTEND")
        TABLE.write(found.node, table)
        address(found.node, table, number, tables)
        return found

    with graph.frame("One level"):
        inputs = graph.inputs()
        box = texel(LEVELS, inputs["Level"])
        left, top, width = box.rgb.lanes
        place = inputs["Point"].times_plus(graph.combine(width, box.a), (-0.5, -0.5, 0))
        corner = place.floor() + graph.combine(left, top)
        across, down, _ = place.fraction().lanes
        outputs = {}
        for sheet in sheets:
            four = [texel(f"{TEXELS} {sheet}", corner, number) for number in range(4)]
            outputs[f"RGB {sheet}"] = _square([one.rgb for one in four], across, down)
            corner = wait_for(outputs[f"RGB {sheet}"], corner)
            if (sheet, ALPHA) in slots:
                outputs[f"A {sheet}"] = _square([one.a for one in four], across, down)
        graph.output(outputs)
    graph.arrange()
    return tree


def _square(four: list[Value], across: Value, down: Value) -> Value:
    """Four texels, row by row, blended by where a point is between their centers, 0..1 across and down."""
    upper = (four[1] - four[0]).times_plus(across, four[0])
    lower = (four[3] - four[2]).times_plus(across, four[2])
    return (lower - upper).times_plus(down, upper)
