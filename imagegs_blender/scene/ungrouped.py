"""Decoders that a person has ungrouped: no saved file would hold what is left of them in the tree, so they are put back."""

from __future__ import annotations

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoders
from ..blend.properties import BODY
from . import replace


def put_back() -> None:
    """Let nodes that stand for the body of a decoder stand for the decoder again, with all links."""
    bodies = {decoder.body: decoder for decoder in decoders() if decoder.body is not None and not decoder.linked}
    for tree in replace.trees(bpy.data.materials):
        for node in BODY.nodes(tree.nodes, bpy.types.ShaderNodeGroup):
            if node.node_tree in bodies:
                _put_back(tree, node, bodies[node.node_tree])


def _put_back(tree: bpy.types.NodeTree, node: bpy.types.ShaderNodeGroup, decoder: Decoder) -> None:
    sources = [(border.source(link), socket.name) for socket in node.inputs for link in border.links(socket)]
    targets = [(socket.name, border.target(link)) for socket in border.outputs(node) for link in border.links(socket)]
    node.node_tree, node.label, node.width = decoder.tree, "", 240
    BODY.remove(node)
    for source, name in sources:
        tree.links.new(source, border.input_of(node, name))
    for name, target in targets:
        tree.links.new(border.output_of(node, name), target)
