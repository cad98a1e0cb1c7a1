"""The decoder as an OSL script node: Cycles on the CPU and OptiX, with the level of detail of each pixel's footprint.

OSL reads files, not Blender's images: the tables are written as EXR files of float32 to a folder that outlives the
render, and the script is written for them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..core import images, lod
from ..core.errors import ImageGSError
from ..core.gaussians import CUTOFF, EPS
from ..core.stack import Depth, MapInfo
from ..core.tables import Tables
from . import node_group, udim
from .expression import Graph, Value

SCRIPT = "imagegs_script"
"""Custom property of a script node: it decodes."""

TEXT = "imagegs_text"
"""Custom property of a text that we wrote."""


def check() -> None:
    """Raises ImageGSError where this Blender can't compile OSL."""
    try:
        import oslquery  # noqa: F401  part of Blender
    except ImportError:
        raise ImageGSError("decoder OSL: this Blender comes without Open Shading Language; choose Nodes or Baked") from None


def fill(tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo], tables: Tables, folder: Path) -> None:
    """Put the script node into an empty decoder, with its tables in `folder`, which must exist.

    Raises ImageGSError where a table can't be written or the script does not compile.
    """
    graph = Graph(tree)
    with graph.frame("Script"):
        inputs = graph.inputs()
        tiles = udim.tiles_of(tree)
        if tree[node_group.EXTENSION] == "REPEAT":  # the script wraps: here a jump would look like a huge footprint
            point, inside = inputs["Vector"].times_plus((1, -1, 0), (0, 1, 0)), None
        else:
            point, inside = node_group.wrapped(inputs["Vector"], tree, tables)
        node = graph.node("ShaderNodeScript", "imagegs.osl")
        node[SCRIPT] = True
        node.mode = "INTERNAL"
        node.script = bpy.data.texts.new(f"{tree.name}.osl")
        node.script[TEXT] = True
        update(tree, tables, folder)
        smooth = udim.stretched(inputs["Vector"], tiles) if tiles else point
        tree.links.new(point.socket, node.inputs["Vector"])
        tree.links.new(smooth.socket, node.inputs["Smooth"])
        tree.links.new(inputs["LOD"].socket, node.inputs["LOD"])
        colors = [Value(graph, node.outputs[f"Planes{i}"]) for i in range(-(-tables.planes // 3))]
        count = tables.texels - 2
        rest = [lane for color in colors[count:] for lane in color.lanes][: tables.planes - 3 * count]
    with graph.frame("Maps"):
        planes = node_group.Planes(graph, tables, colors[:count], rest)
        outputs = node_group.map_outputs(graph, maps, planes)
        graph.output(node_group.ending_at(tree, outputs, inside, maps, lod.average(tables.tail)))
    graph.arrange()


def update(tree: bpy.types.ShaderNodeTree, tables: Tables, folder: Path) -> None:
    """Write the tables and the script again: files of an earlier session are gone."""
    shapes = {}
    for name, texels in tables.arrays().items():
        unit = texels.astype(np.float32) / 255 if texels.dtype == np.uint8 else texels
        height, width = (1 << (n - 1).bit_length() for n in unit.shape[:2])
        padded = np.pad(unit, ((0, height - unit.shape[0]), (0, width - unit.shape[1]), (0, 0)), mode="edge")
        images.write(folder / f"{name.replace(' ', '')}.exr", padded, Depth.F32, "RGBA")
        shapes[name] = (width, height)
    for node in script_nodes(tree):
        node.script.clear()
        node.script.write(_source(tables, folder, shapes))
        _compile(node)


def script_nodes(tree: bpy.types.ShaderNodeTree) -> list[bpy.types.ShaderNodeScript]:
    """The script nodes of a decoder."""
    return [node for node in tree.nodes if SCRIPT in node]


def _source(tables: Tables, folder: Path, shapes: dict[str, tuple[int, int]]) -> str:
    text = (Path(__file__).parent / "imagegs.osl").read_text(encoding="utf-8")
    tail, planes = tables.tail, tables.planes
    add = []
    for sheet in range(len(tail.sheets)):
        width, height = shapes[f"texels {sheet}"]
        add.append(f'        TEXEL("@FOLDER@/texels{sheet}.exr", cx, cy, {width}, {height}, rgb, a);')
        for plane in range(planes):
            number, channel = lod.slot(plane, planes)
            if number == sheet:
                add.append(f"        out[{plane}] += share * {'a' if channel == 3 else f'rgb[{channel}]'};")
    threes = [[f"out[{p}]" if p < planes else "0" for p in range(i, i + 3)] for i in range(0, planes, 3)]
    words: dict[str, Any] = {
        "ADD_SHEETS": "\n".join(add),
        "OUTPUTS": ",\n".join(f"    output color Planes{i} = 0" for i in range(len(threes))),
        "RESULTS": "\n".join(f"    Planes{i} = color({', '.join(three)});" for i, three in enumerate(threes)),
        "FOLDER": folder.as_posix(),
        "SHEETS": len(tail.sheets), "PLANES": planes, "TEXELS": tables.texels, "CANDIDATES": tables.candidates,
        "TOPK": tables.topk, "FIRST": tail.first, "LAST": tail.last, "DETAIL": tail.detail,
        "WIDTH": tables.width, "HEIGHT": tables.height,
        "COLUMNS": tables.blocks.shape[1], "ROWS": tables.blocks.shape[0], "CUTOFF": CUTOFF, "EPS": EPS,
        "PER_ROW": tables.gaussians.shape[1] // tables.texels,
        "ROW": "1.0 - ((y) + 0.5) / (h)" if _bottom_up() else "((y) + 0.5) / (h)",
    }  # fmt: skip
    for name in ("gaussians", "blocks", "cells", "levels"):
        words[f"{name.upper()}_W"], words[f"{name.upper()}_H"] = shapes[name]
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def _bottom_up() -> bool:
    """Whether texture() counts rows from the bottom of a file."""
    return bpy.app.version >= (5, 1)


def _compile(node: bpy.types.ShaderNodeScript) -> None:
    import cycles.osl  # the add-on that is part of Blender
    messages: list[str] = []

    def report(kind: set[str], message: str) -> None:
        messages.append(message)

    cycles.osl.update_script_node(node, report)
    if not node.outputs:
        raise ImageGSError(f"{node.script.name}: the OSL script does not compile here: {'; '.join(messages)}")


def folder_for(tree: bpy.types.ShaderNodeTree) -> Path:
    """A folder of this session for the tables of a decoder."""
    path = Path(bpy.app.tempdir) / "imagegs" / f"{os.getpid()}-{tree.session_uid}"
    path.mkdir(parents=True, exist_ok=True)
    return path
