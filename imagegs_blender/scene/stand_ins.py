"""Image Texture nodes that stand in for decoders, for exporters and whatever else knows images only.

A decoder's node stays in its tree, without links to its outputs. Each stand-in says which node it stands for, and which map
it shows, so that back() can move its links back: those made meanwhile too, also in a later session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import bpy

from ..blend import border
from ..blend.decoder import Decoder, is_decoder_node
from ..blend.properties import MAP, STAND_IN, UDIM


def put(
    tree: bpy.types.NodeTree,
    instance: bpy.types.ShaderNodeGroup,
    images: Mapping[str, bpy.types.Image],
) -> list[bpy.types.ShaderNodeTexImage]:
    """Move the links from a decoder's node to Image Texture nodes, one for each map that is linked; returns these nodes.

    images   of every map, by name
    """
    decoder = Decoder(border.tree_of(instance))
    vector = next((border.source(link) for link in border.links(border.input_of(instance, "Vector"))), None)
    nodes: list[bpy.types.ShaderNodeTexImage] = []
    for name, image in images.items():
        outputs = {output.name: output for output in border.outputs(instance) if output.is_linked}
        linked = {"Color": outputs.get(name), "Alpha": outputs.get(f"{name} Alpha")}
        if not any(linked.values()):
            continue
        node: Any = tree.nodes.new("ShaderNodeTexImage")
        node.image, node.parent = image, instance.parent
        node.extension = "REPEAT" if decoder.extension == UDIM else decoder.extension
        node.projection = decoder.projection
        node.location = (instance.location.x, instance.location.y - 300 * len(nodes))
        MAP.write(node, name)
        STAND_IN.write(node, instance.name)
        if vector is not None:
            tree.links.new(vector, node.inputs["Vector"])
        for key, socket in linked.items():
            if socket is not None:
                _move(tree, socket, border.output_of(node, key))
        nodes.append(node)
    return nodes


def back(trees: Iterable[bpy.types.NodeTree]) -> int:
    """Remove the stand-ins of these trees and move their links back to decoders; returns the number of decoders' nodes.

    A stand-in whose decoder's node is gone stays: an image is better than nothing. Images that only stand-ins showed are
    removed.
    """
    images: set[bpy.types.Image] = set()
    decoders: set[int] = set()
    for tree in trees:
        for node in [node for node in tree.nodes if STAND_IN.is_on(node)]:
            instance = node_of(tree, node)
            if instance is None or not isinstance(node, bpy.types.ShaderNodeTexImage):
                STAND_IN.remove(node)
                continue
            decoders.add(instance.as_pointer())
            name = MAP.read(node)
            for key, output in (("Color", name), ("Alpha", f"{name} Alpha")):
                target = instance.outputs.get(output)
                if target is not None:
                    _move(tree, border.output_of(node, key), target)
            if node.image is not None:
                images.add(node.image)
            tree.nodes.remove(node)
    for image in images:
        if not image.users:
            bpy.data.images.remove(image)
    return len(decoders)


def node_of(tree: bpy.types.NodeTree, stand_in: bpy.types.Node) -> bpy.types.ShaderNodeGroup | None:
    """The decoder's node that a stand-in stands for; None where it is gone, or where the node is no stand-in."""
    node = tree.nodes.get(STAND_IN.read(stand_in)) if STAND_IN.is_on(stand_in) else None
    return node if node is not None and is_decoder_node(node) else None


def _move(tree: bpy.types.NodeTree, source: bpy.types.NodeSocket, target: bpy.types.NodeSocket) -> None:
    """Let all links of one output come from another."""
    for link in list(border.links(source)):
        end, muted = border.target(link), link.is_muted
        tree.links.remove(link)
        tree.links.new(target, end).is_muted = muted
