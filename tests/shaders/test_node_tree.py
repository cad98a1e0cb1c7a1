"""The nodes of a decoder, as text, are those that were kept: a change of the graph is seen, and meant.

Each line is one node: its name, operation or label, and inputs, a number or the output that is linked. After a change
that is meant, renew the text, read its diff, and raise core.decoding.layout.VERSION where old nodes can't read new tables:

    python -m tests.shaders.test_node_tree
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.core.decoding import node_tables as tables
from imagegs_blender.core.decoding.layout import Layout
from imagegs_blender.core.textures.texture_stack import MapInfo
from imagegs_blender.shaders import decoder as builder
from imagegs_blender.shaders.decoder import from_tables
from tests.samples import HEIGHT, MAPS, WIDTH, scattered

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


@pytest.mark.parametrize(
    "other",
    [{}, {"topk": 10}, {"maps": MAPS[:2]}, {"maps": MAPS[:1], "planes": 4}, {"extension": "CLIP"}, {"count": 900}],
    ids=str,
)
def test_a_decoder_that_begins_as_a_copy_is_as_if_it_were_built_anew(other: dict[str, Any]) -> None:
    """Also where the other was built in another way, or changed by hand: that costs time only."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    builder._latest.clear()
    anew = made("Stack")
    (alike,) = builder._latest
    pattern = made("Other", seed=1, **other).body
    assert pattern is not None
    edited = next(node for node in pattern.nodes if node.bl_idname == "ShaderNodeMath")
    edited.operation, edited["mine"] = "SINE", 1
    pattern.links.new(edited.outputs[0], edited.inputs[2])
    builder._latest[alike] = pattern.session_uid
    copy = made("Stack")
    assert copy.body is not None and anew.body is not None
    assert content(copy.body) == content(anew.body)
    ours = {*copy.trees(), *copy.images()}
    for one in (anew, Decoder(pattern)):
        assert not ours & {*one.trees(), *one.images()}


def made(
    name: str,
    seed: int = 0,
    count: int = 600,
    planes: int = 7,
    topk: int = 4,
    maps: Sequence[MapInfo] = MAPS,
    extension: str = "REPEAT",
) -> Decoder:
    """A decoder of random Gaussians."""
    built = tables.build(scattered(count, WIDTH, HEIGHT, planes, topk=topk, seed=seed), maps)
    return from_tables(name, maps, built, extension)


def content(tree: bpy.types.ShaderNodeTree) -> list[Any]:
    """All that a tree's pixels, and its look, come from: its sockets, nodes and links, and the groups inside it."""
    nodes = list(tree.nodes)
    links = [
        (link.from_node, link.from_socket.name, link.to_node, list(link.to_node.inputs).index(link.to_socket))
        for link in tree.links
    ]
    return [
        [(item.name, item.in_out, item.socket_type) for item in tree.interface.items_tree],
        [facts(node, nodes) for node in nodes],
        sorted((nodes.index(start), output, nodes.index(end), i) for start, output, end, i in links),
    ]


def facts(node: Any, nodes: list[bpy.types.Node]) -> list[Any]:
    """All that counts of a node but its name and its links."""
    settings = ("operation", "data_type", "clamp_factor", "interpolation", "extension", "projection")
    found = [node.bl_idname, node.label, node.hide, node.location[:], [getattr(node, key, None) for key in settings]]
    found += [node.parent and nodes.index(node.parent), sorted((key, str(value)) for key, value in node.items())]
    if node.bl_idname == "ShaderNodeTexImage":
        mapping = node.texture_mapping
        found += [mapping.scale[:], mapping.translation[:], np.array(node.image.pixels).tobytes()]
    for socket in filter(lambda socket: socket.enabled, [*node.inputs, *node.outputs]):
        value = None if socket.is_linked else getattr(socket, "default_value", None)
        found.append((socket.name, value if isinstance(value, float | int | str | None) else tuple(value)))
    return [*found, content(node.node_tree) if getattr(node, "node_tree", None) else None]


if __name__ == "__main__":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    KEPT.write_text(decoder_text(), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)
