"""The nodes of a decoder, as text, are those that were kept: a change of the graph is seen, and meant.

Each line is one node: its name, operation or label, and inputs, a number or the output that is linked. After a change
that is meant, renew the text, read its diff, and raise core.decoding.layout.VERSION where old nodes can't read new tables:

    python -m tests.shaders.test_node_tree
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np

from imagegs_blender.core.decoding import tables
from imagegs_blender.core.decoding.layout import Layout
from imagegs_blender.shaders.decoder import from_tables
from tests.samples import HEIGHT, MAPS, WIDTH

KEPT = Path(__file__).parent / "node_tree.txt"

SET = {"ShaderNodeMath": 3, "ShaderNodeVectorMath": 3, "ShaderNodeCombineXYZ": 3}
"""Nodes whose inputs count where nothing is linked, and how many do."""


def decoder_text() -> str:
    """All trees of a small decoder: K = 2 of 4 candidates, planes of one and of two channels, clipped."""
    layout = Layout(candidates=4, topk=2, deep=(False,) * 4 + (True,) * 3, first=2, last=7)
    built = tables.constant(np.linspace(0.25, 0.75, 7, dtype=np.float32), layout, WIDTH, HEIGHT)
    decoder = from_tables("Stack", MAPS, built, "CLIP")
    trees = [line for tree in decoder.trees()[1:] for line in lines(tree)]
    return "\n".join([str(decoder.layout), *trees, ""])


def lines(tree: bpy.types.ShaderNodeTree) -> Iterator[str]:
    yield f"\n{tree.name}"
    for node in tree.nodes:
        if node.bl_idname == "NodeFrame":
            yield f"[{node.label}]"
            continue
        what = [node.name, getattr(node, "operation", ""), node.label]
        count = SET.get(node.bl_idname, 0)
        inputs = [text for i, socket in enumerate(node.inputs) if (text := source(socket, i < count))]
        if node.bl_idname == "ShaderNodeValue":
            inputs = [number(node.outputs[0].default_value)]
        yield f"{' '.join(filter(None, what))}({', '.join(inputs)})"


def source(socket: bpy.types.NodeSocket, is_set: bool) -> str:
    """The output that an input is linked to; its number where nothing is and it is set; else nothing."""
    if socket.is_linked:
        output = socket.links[0].from_socket
        return f"{output.node.name}.{output.name}"
    return number(socket.default_value) if is_set else ""


def number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "(" + " ".join(f"{one:.5g}" for one in value) + ")"  # type: ignore[attr-defined]


def test_the_nodes_are_those_that_were_kept() -> None:
    assert decoder_text().splitlines() == KEPT.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    KEPT.write_text(decoder_text(), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)
