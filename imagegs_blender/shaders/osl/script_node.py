"""The decoder as an OSL script node: Cycles on the CPU, with the level of detail of each pixel's footprint.

The node names a compiled script (script.py) in a folder that ends with Blender; a saved .blend holds no more than that name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy

from ...blend.decoder import Decoder
from ...blend.properties import SCRIPT
from ...core.decoding import lod
from ...core.decoding.tables import Tables
from ...core.errors import ImageGSError
from ...core.textures.texture_stack import MapInfo
from ..body import Parts
from ..nodes import node_group, udim
from ..nodes.candidates import Group
from ..nodes.graph import Graph, Value
from ..nodes.projection import projected
from . import script


def prepare(tables: Tables) -> Path:
    """The script of a stack, written to a folder of this session.

    Raises ImageGSError where this Blender can't compile OSL, or the script can't be written.
    """
    try:
        import oslquery  # noqa: F401  part of Blender
    except ImportError:
        raise ImageGSError(
            "decoder OSL: this Blender comes without Open Shading Language; choose Nodes or Baked"
        ) from None
    folder = Path(bpy.app.tempdir) / "imagegs"
    folder.mkdir(parents=True, exist_ok=True)
    return script.write(tables, folder)


def fill(parts: Parts, tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo], tables: Tables) -> None:
    """Put the script node into a group that has the sockets of a decoder and nothing else.

    Raises ImageGSError as prepare() does.
    """
    path = prepare(tables)
    graph, decoder = Graph(tree), parts.decoder
    with graph.frame("Script"):
        inputs = graph.inputs()
        uv, tiles = projected(inputs["Vector"], decoder.projection), decoder.tiles
        if decoder.extension == "REPEAT":  # the script wraps: here a jump would look like a huge footprint
            point, inside = uv.times_plus((1, -1, 0), (0, 1, 0)), None
        else:
            point, inside = node_group.wrapped(uv, decoder, tables)
        node = _node(graph, -(-tables.layout.plane_count // 3))
        _show(node, path)
        smooth = udim.stretched(uv, tiles) if tiles else point
        tree.links.new(point.socket, node.inputs["Vector"])
        tree.links.new(smooth.socket, node.inputs["Smooth"])
        tree.links.new(inputs["LOD"].socket, node.inputs["LOD"])
        count = tables.layout.plane_count
        three = [tuple(p if p < count else None for p in range(i, i + 3)) for i in range(0, count, 3)]
        groups = [Group(Value(graph, output), planes) for output, planes in zip(node.outputs, three, strict=True)]
    with graph.frame("Maps"):
        planes = node_group.PlaneValues(graph, groups)
        outputs = node_group.map_outputs(maps, planes)
        graph.output(node_group.ending_at(decoder, outputs, inside, maps, lod.average(tables.tail)))
    graph.arrange()


def update(decoder: Decoder, tables: Tables) -> None:
    """Write the script again: files of an earlier session are gone."""
    path = prepare(tables)
    for node in decoder.scripts():
        _show(node, path)


def _node(graph: Graph, colors: int) -> bpy.types.ShaderNodeScript:
    """A script node with the sockets of the script."""
    node = graph.node("ShaderNodeScript", "imagegs.osl")
    SCRIPT.write(node, True)
    for name in ("Vector", "Smooth"):
        node.inputs.new("NodeSocketVector", name)
    for name in ("LOD", "Footprint"):
        node.inputs.new("NodeSocketFloat", name)
    node.inputs["Footprint"].default_value = 1.0
    for i in range(colors):
        node.outputs.new("NodeSocketColor", f"Planes{i}")
    return node


def _show(node: bpy.types.ShaderNodeScript, path: Path) -> None:
    node.mode = "EXTERNAL"  # forgets the path
    node.filepath = str(path)
