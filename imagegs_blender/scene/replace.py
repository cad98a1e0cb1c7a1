"""Decoders in the place of Image Texture nodes, and back.

The originals stay in their tree, unlinked, in one frame. What they were linked to is written on each of them, so that
restore() can put every link back, in this session or a later one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy

from ..blend import storage
from . import walk
from .material_stack import StackPlan, TreeRef

FRAME = "Image-GS originals"

_ORIGINAL = walk.ORIGINAL

_HELPER = "imagegs_helper"
"""Custom property that marks nodes that replace() added and restore() removes."""


def replace(stack: StackPlan, group: bpy.types.ShaderNodeTree) -> None:
    """Link `group`, the stack's decoder, wherever the stack's Image Texture nodes are linked.

    The group needs an input "Vector" and for each map an output "<name>", and "<name> Alpha" where "A" is used.
    Nodes of one tree that share their coordinates share one decoder. Raises ImageGSError, and changes nothing, where
    a node is not there any more.
    """
    together: dict[tuple[TreeRef, str], list[tuple[bpy.types.ShaderNodeTexImage, str]]] = defaultdict(list)
    for map_plan in stack.maps:
        for node_plan in map_plan.nodes:
            together[node_plan.tree, node_plan.vector].append((node_plan.find(), map_plan.name))
    for nodes in together.values():
        tree = nodes[0][0].id_data
        decoder = _add_decoder(tree, group, nodes[0][0])
        for node, map_name in nodes:
            _take_place(tree, node, decoder, map_name)


def restore(materials: Iterable[bpy.types.Material]) -> int:
    """Put the Image Texture nodes of these materials, and of the node groups they use, back as they were.

    Links that were made to a decoder since are moved to the image as well; sockets that were linked to something else
    since keep that. Removes decoders, and what belongs to them, that nothing uses any more. Returns the number of
    nodes put back; a tree whose originals were dropped is left as it is.
    """
    count = 0
    for tree in list(trees(materials)):
        for node in originals(tree):
            _put_back(tree, node)
            count += 1
        _tidy(tree)
    remove_unused_decoders()
    return count


@contextmanager
def originals_shown(materials: Iterable[bpy.types.Material]) -> Iterator[None]:
    """The originals back in place for as long as the context lasts, then the decoders again, as they were."""
    materials = list(materials)
    shown: list[_Shown] = []
    for tree in list(trees(materials)):
        together: dict[str, list[tuple[bpy.types.ShaderNodeTexImage, str]]] = defaultdict(list)
        for node in originals(tree):
            record = json.loads(node[_ORIGINAL])
            together[record["decoder"]].append((node, record["map"]))
        for name, nodes in together.items():
            decoder = tree.nodes.get(name)
            if decoder is not None and walk.is_decoder_node(decoder):
                place = {key: getattr(decoder, key) for key in ("name", "label", "width", "hide", "mute")}
                place["location"] = tuple(decoder.location)
                shown.append(_Shown(decoder.node_tree, nodes, place, decoder.inputs["LOD"].default_value))
    kept = {entry.group: entry.group.use_fake_user for entry in shown}
    for group in kept:
        group.use_fake_user = True
    restore(materials)
    try:
        yield
    finally:
        for entry in shown:
            owner: Any = entry.nodes[0][0].id_data
            decoder = _add_decoder(owner, entry.group, entry.nodes[0][0])
            for key, value in entry.place.items():
                setattr(decoder, key, value)
            decoder.inputs["LOD"].default_value = entry.lod
            for node, map_name in entry.nodes:
                _take_place(owner, node, decoder, map_name)
        for group, fake in kept.items():
            group.use_fake_user = fake


@dataclass(frozen=True)
class _Shown:
    """A decoder node that makes room for its originals for a while."""

    group: bpy.types.ShaderNodeTree
    nodes: list[tuple[bpy.types.ShaderNodeTexImage, str]]
    place: dict[str, Any]
    lod: float


def droppable(materials: Iterable[bpy.types.Material]) -> list[bpy.types.Image]:
    """The images that drop_originals would remove, as far as that can be told before: those only replaced nodes use."""
    count: dict[bpy.types.Image, int] = defaultdict(int)
    for tree in trees(materials):
        for node in originals(tree):
            if node.image is not None:
                count[node.image] += 1
    return [image for image, uses in count.items() if image.users - image.use_fake_user <= uses and not image.library]


def drop_originals(materials: Iterable[bpy.types.Material]) -> list[str]:
    """Remove the replaced nodes of these materials, and their images where nothing else uses them.

    Returns the names of the removed images. Files on disk are never touched.
    """
    images: set[bpy.types.Image] = set()
    for tree in list(trees(materials)):
        for node in originals(tree):
            if node.image is not None:
                images.add(node.image)
            tree.nodes.remove(node)
        _remove_empty_frames(tree)
    removed = [image.name for image in images if image.users - image.use_fake_user == 0 and not image.library]
    for name in removed:
        bpy.data.images.remove(bpy.data.images[name, None])
    return sorted(removed)


def trees(materials: Iterable[bpy.types.Material]) -> Iterator[bpy.types.NodeTree]:
    """The trees of these materials and every local node group inside them, each once; not the decoders'."""
    stack = [m.node_tree for m in materials if m.node_tree and not m.library]
    seen: set[int] = set()
    while stack:
        tree = stack.pop()
        if tree.as_pointer() in seen:
            continue
        seen.add(tree.as_pointer())
        yield tree
        inner = (getattr(node, "node_tree", None) for node in tree.nodes)
        stack += [t for t in inner if t and not t.library and not storage.is_decoder(t)]


def originals(tree: bpy.types.NodeTree) -> list[bpy.types.ShaderNodeTexImage]:
    """The replaced Image Texture nodes of a tree."""
    return [node for node in tree.nodes if _ORIGINAL in node]


def remove_unused_decoders() -> None:
    """Remove the decoders of the open file that no node uses, with the groups inside and the images only they use."""
    trees = [g for g in storage.decoders() if not g.library and g.users == 0]
    images: dict[bpy.types.Image, None] = {}  # each once
    for tree in trees:  # grows
        inner = dict.fromkeys(node.node_tree for node in tree.nodes if getattr(node, "node_tree", None))
        images |= dict.fromkeys(node.image for node in tree.nodes if getattr(node, "image", None))
        bpy.data.node_groups.remove(tree)
        trees += [t for t in inner if t.users == 0 and not t.library]
    for image in images:
        if image.users == 0:
            bpy.data.images.remove(image)


def _add_decoder(
    tree: bpy.types.NodeTree, group: bpy.types.ShaderNodeTree, node: bpy.types.ShaderNodeTexImage
) -> bpy.types.ShaderNodeGroup:
    """A group node where an Image Texture node is, fed with the same coordinates."""
    decoder = tree.nodes.new("ShaderNodeGroup")
    decoder.node_tree = group
    decoder.width = 240
    decoder.parent = node.parent
    decoder.location = node.location
    source = next((link.from_socket for link in node.inputs["Vector"].links if not link.is_muted), None)
    if source is None:
        uv = tree.nodes.new("ShaderNodeTexCoord")
        uv[_HELPER] = True
        uv.parent = decoder.parent
        uv.location = (decoder.location.x - 220, decoder.location.y)
        uv.hide = True
        source = uv.outputs["UV"]
    tree.links.new(source, decoder.inputs["Vector"])
    return decoder


def _take_place(
    tree: bpy.types.NodeTree, node: bpy.types.ShaderNodeTexImage, decoder: bpy.types.ShaderNodeGroup, map_name: str
) -> None:
    """Move the node's output links to the decoder, and the node, with a record of its links, into the frame."""
    links = [link for output in node.outputs for link in output.links]
    vector = next(iter(node.inputs["Vector"].links), None)
    node[_ORIGINAL] = json.dumps(
        {
            "decoder": decoder.name,
            "map": map_name,
            "links": [_link_record(link) for link in links],
            "vector": _link_record(vector) if vector else None,
            "parent": node.parent.name if node.parent else None,
            "location": [node.location.x, node.location.y],
            "hide": node.hide,
            "select": node.select,
        }
    )
    for link in links:
        output = decoder.outputs.get(_output_name(map_name, link.from_socket.identifier))
        target, muted = link.to_socket, link.is_muted
        tree.links.remove(link)
        if output is not None:
            tree.links.new(output, target).is_muted = muted
    if vector:
        tree.links.remove(vector)
    node.parent = _frame(tree)
    node.hide = True
    node.select = False
    node.location = (0, -40 * len(originals(tree)))


def _put_back(tree: bpy.types.NodeTree, node: bpy.types.ShaderNodeTexImage) -> None:
    record = json.loads(node[_ORIGINAL])
    decoder = tree.nodes.get(record["decoder"])
    replaced = decoder is not None and walk.is_decoder_node(decoder)
    for entry in record["links"]:
        target = _find(tree, entry["to_node"], entry["to_socket"], "inputs")
        if target is None:
            continue
        if all(replaced and link.from_node == decoder for link in target.links):
            tree.links.new(_socket(node.outputs, entry["from_socket"]), target).is_muted = entry["muted"]
    if replaced:
        for identifier in ("Color", "Alpha"):
            output = decoder.outputs.get(_output_name(record["map"], identifier))
            for link in list(output.links) if output is not None and not _other_claims(tree, node, record) else ():
                tree.links.new(node.outputs[identifier], link.to_socket)
    if record["vector"] and not node.inputs["Vector"].is_linked:
        source = _find(tree, record["vector"]["from_node"], record["vector"]["from_socket"], "outputs")
        if source is not None:
            tree.links.new(source, node.inputs["Vector"]).is_muted = record["vector"]["muted"]
    node.parent = tree.nodes.get(record["parent"]) if record["parent"] else None
    node.location = record["location"]
    node.hide, node.select = record["hide"], record["select"]
    del node[_ORIGINAL]


def _other_claims(tree: bpy.types.NodeTree, node: bpy.types.Node, record: dict[str, Any]) -> bool:
    """Whether another original of the same map waits to be put back: the last one takes the links made since."""
    others = (json.loads(other[_ORIGINAL]) for other in originals(tree) if other != node)
    return any((other["decoder"], other["map"]) == (record["decoder"], record["map"]) for other in others)


def _tidy(tree: bpy.types.NodeTree) -> None:
    """Remove decoders and helpers that feed nothing any more, and an empty frame."""
    for node in list(tree.nodes):
        if walk.is_decoder_node(node) and not any(output.is_linked for output in node.outputs):
            tree.nodes.remove(node)
    for node in list(tree.nodes):
        if _HELPER in node and not any(output.is_linked for output in node.outputs):
            tree.nodes.remove(node)
    _remove_empty_frames(tree)


def _frame(tree: bpy.types.NodeTree) -> bpy.types.NodeFrame:
    """The frame of the tree's originals, below all other nodes."""
    for node in tree.nodes:
        if node.bl_idname == "NodeFrame" and _HELPER in node:
            return node
    lowest = min((node.location.y - node.height for node in tree.nodes if node.parent is None), default=0)
    left = min((node.location.x for node in tree.nodes if node.parent is None), default=0)
    frame = tree.nodes.new("NodeFrame")
    frame.label, frame[_HELPER] = FRAME, True
    frame.location = (left, lowest - 200)
    return frame


def _remove_empty_frames(tree: bpy.types.NodeTree) -> None:
    for frame in [n for n in tree.nodes if n.bl_idname == "NodeFrame" and _HELPER in n]:
        if not any(node.parent == frame for node in tree.nodes):
            tree.nodes.remove(frame)


def _output_name(map_name: str, identifier: str) -> str:
    return f"{map_name} Alpha" if identifier == "Alpha" else map_name


def _link_record(link: bpy.types.NodeLink) -> dict[str, Any]:
    return {
        "from_node": link.from_node.name,
        "from_socket": link.from_socket.identifier,
        "to_node": link.to_node.name,
        "to_socket": link.to_socket.identifier,
        "muted": link.is_muted,
    }


def _find(tree: bpy.types.NodeTree, node: str, identifier: str, side: str) -> bpy.types.NodeSocket | None:
    found = tree.nodes.get(node)
    return None if found is None else _socket(getattr(found, side), identifier)


def _socket(sockets: Iterable[bpy.types.NodeSocket], identifier: str) -> bpy.types.NodeSocket | None:
    return next((socket for socket in sockets if socket.identifier == identifier), None)
