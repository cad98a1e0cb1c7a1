"""Decoders in the place of Image Texture nodes, and back.

The originals stay in their tree, unlinked, in one frame. What each was linked to is written on it (blend.record.Original),
so that restore() can put every link back, in this session or a later one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy

from ..blend import border, removal
from ..blend.decoder import Decoder, decoder_nodes, decoders, is_decoder, is_decoder_node
from ..blend.properties import HELPER, ORIGINAL
from ..blend.record import Link, Original
from . import stand_ins
from .material_stack import Sampling, StackPlan, TreeRef

FRAME = "Image-GS originals"


def replace(stack: StackPlan, decoders: dict[Sampling, Decoder]) -> None:
    """Link the decoder of their sampling wherever the stack's Image Texture nodes are linked.

    A decoder needs an input "Vector" and for each map an output "<name>", and "<name> Alpha" where "A" is used.
    Nodes of one tree that share their coordinates and sampling share one decoder. Raises ImageGSError, and changes nothing,
    where a node is not there any more.
    """
    together: dict[tuple[TreeRef, str, Sampling], list[tuple[bpy.types.ShaderNodeTexImage, str]]] = defaultdict(list)
    for map_plan in stack.maps:
        for plan in map_plan.nodes:
            together[plan.tree, plan.vector, plan.sampling].append((plan.find(), map_plan.name))
    for (_, _, sampling), nodes in together.items():
        tree = border.owner(nodes[0][0])
        instance = _add_decoder(tree, decoders[sampling], nodes[0][0])
        for node, map_name in nodes:
            _take_place(tree, node, instance, map_name)


def restore(materials: Iterable[bpy.types.Material]) -> int:
    """Put the Image Texture nodes of these materials, and of the node groups they use, back as they were.

    Links that were made to a decoder since are moved to the image as well; sockets that were linked to something else
    since keep that. Removes decoders, and what belongs to them, that nothing uses any more. Returns the number of
    nodes put back; a tree whose originals were dropped is left as it is. Raises ImageGSError, and changes nothing, where
    what is written on a node is damaged.
    """
    within = list(trees(materials))
    written = {tree: {node: Original.of(node) for node in originals(tree)} for tree in within}
    stand_ins.back(within)
    count = sum(map(len, written.values()))
    for tree, replaced in written.items():
        while replaced:
            node = next(iter(replaced))
            original = replaced.pop(node)
            others = {(other.decoder, other.map) for other in replaced.values()}
            _put_back(tree, node, original, last=(original.decoder, original.map) not in others)
        _tidy(tree)
    remove_unused_decoders()
    return count


@contextmanager
def originals_shown(materials: Iterable[bpy.types.Material]) -> Iterator[None]:
    """The originals back in place for as long as the context lasts, then the decoders again, as they were."""
    materials = list(materials)
    stand_ins.back(list(trees(materials)))
    shown: list[_Shown] = []
    for tree in list(trees(materials)):
        together: dict[str, list[tuple[bpy.types.ShaderNodeTexImage, str]]] = defaultdict(list)
        for node in originals(tree):
            original = Original.of(node)
            together[original.decoder].append((node, original.map))
        for name, nodes in together.items():
            instance = tree.nodes.get(name)
            if instance is not None and is_decoder_node(instance):
                settings = {key: getattr(instance, key) for key in ("name", "label", "width", "hide", "mute")}
                settings["location"] = tuple(instance.location)
                level = border.value(border.input_of(instance, "LOD"))
                shown.append(_Shown(Decoder(border.tree_of(instance)), nodes, settings, level))
    kept = {entry.decoder.tree: entry.decoder.tree.use_fake_user for entry in shown}
    for group in kept:
        group.use_fake_user = True
    restore(materials)
    try:
        yield
    finally:
        for entry in shown:
            owner = border.owner(entry.nodes[0][0])
            instance = _add_decoder(owner, entry.decoder, entry.nodes[0][0])
            for key, value in entry.settings.items():
                setattr(instance, key, value)
            border.set_value(border.input_of(instance, "LOD"), entry.lod)
            for node, map_name in entry.nodes:
                _take_place(owner, node, instance, map_name)
        for group, fake in kept.items():
            group.use_fake_user = fake


@dataclass(frozen=True)
class _Shown:
    """An instance of a decoder that makes room for its originals for a while."""

    decoder: Decoder
    nodes: list[tuple[bpy.types.ShaderNodeTexImage, str]]
    settings: dict[str, Any]
    lod: float


def trees(materials: Iterable[bpy.types.Material], linked: bool = False) -> Iterator[bpy.types.NodeTree]:
    """The trees of these materials and every node group inside them, each once; not the decoders'.

    linked   also those that belong to another file
    """
    own = (m.node_tree for m in materials if linked or m.library is None)
    stack: list[bpy.types.NodeTree] = [tree for tree in own if tree]
    seen: set[int] = set()
    while stack:
        tree = stack.pop()
        if tree.as_pointer() in seen:
            continue
        seen.add(tree.as_pointer())
        yield tree
        inner = (getattr(node, "node_tree", None) for node in tree.nodes)
        stack += [t for t in inner if t and (linked or not t.library) and not is_decoder(t)]


def originals(tree: bpy.types.NodeTree) -> list[bpy.types.ShaderNodeTexImage]:
    """The replaced Image Texture nodes of a tree."""
    return ORIGINAL.nodes(tree.nodes, bpy.types.ShaderNodeTexImage)


def remove_unused_decoders() -> None:
    """Remove the decoders of the open file that no node uses, with the groups and images that only they use."""
    for decoder in decoders():
        if decoder.linked or decoder.tree.users:
            continue
        held = [*decoder.trees()[1:], *decoder.images(), *decoder.parts.values()]
        if decoder.shared is not None:
            held.append(decoder.shared)
        removal.remove([decoder.tree, *held])  # a group comes before those inside it


def remove_empty_frames(tree: bpy.types.NodeTree) -> None:
    """Remove the frames of a tree that held its originals and hold nothing any more."""
    for frame in [n for n in tree.nodes if n.bl_idname == "NodeFrame" and HELPER.is_on(n)]:
        if not any(node.parent == frame for node in tree.nodes):
            tree.nodes.remove(frame)


def _add_decoder(
    tree: bpy.types.NodeTree, decoder: Decoder, node: bpy.types.ShaderNodeTexImage
) -> bpy.types.ShaderNodeGroup:
    """An instance of a decoder where an Image Texture node is, fed with the same coordinates."""
    instance = tree.nodes.new("ShaderNodeGroup")
    assert isinstance(instance, bpy.types.ShaderNodeGroup)
    instance.node_tree = decoder.tree
    instance.width = 240
    instance.parent = node.parent
    instance.location = node.location
    into = border.links(border.input_of(node, "Vector"))
    source = next((border.source(link) for link in into if not link.is_muted), None)
    if source is None:
        uv = tree.nodes.new("ShaderNodeTexCoord")
        HELPER.write(uv, True)
        uv.parent = instance.parent
        uv.location = (instance.location.x - 220, instance.location.y)
        uv.hide = True
        source = uv.outputs["UV"]
    tree.links.new(source, instance.inputs["Vector"])
    return instance


def _take_place(
    tree: bpy.types.NodeTree, node: bpy.types.ShaderNodeTexImage, instance: bpy.types.ShaderNodeGroup, map_name: str
) -> None:
    """Move the node's output links to a decoder, and the node, with a record of its links, into the frame."""
    links = [link for output in border.outputs(node) for link in border.links(output)]
    vector = next(iter(border.links(border.input_of(node, "Vector"))), None)
    Original(
        decoder=instance.name,
        map=map_name,
        links=tuple(map(Link.of, links)),
        vector=Link.of(vector) if vector else None,
        parent=node.parent.name if node.parent else None,
        location=(node.location.x, node.location.y),
        hide=node.hide,
        select=node.select,
    ).write(node)
    for link in links:
        output = instance.outputs.get(_output_name(map_name, border.source(link).identifier))
        target, muted = border.target(link), link.is_muted
        tree.links.remove(link)
        if output is not None:
            tree.links.new(output, target).is_muted = muted
    if vector:
        tree.links.remove(vector)
    node.parent = _frame(tree)
    node.hide = True
    node.select = False
    node.location = (0, -40 * len(originals(tree)))


def _put_back(tree: bpy.types.NodeTree, node: bpy.types.ShaderNodeTexImage, original: Original, last: bool) -> None:
    """Link a replaced node as it was; the last of its map takes the links made to the decoder since."""
    decoder = _instance(tree, original)

    def is_ours(node: bpy.types.Node | None) -> bool:
        return node == decoder if decoder is not None else _decodes(node)

    for link in original.links:
        source = border.by_identifier(border.outputs(node), link.from_socket)
        target = _find(tree, link.to_node, link.to_socket, "inputs")
        if source is None or target is None:
            continue
        if all(is_ours(other.from_node) for other in border.links(target)):
            tree.links.new(source, target).is_muted = link.muted
    if decoder is not None and last:
        for identifier in ("Color", "Alpha"):
            output = decoder.outputs.get(_output_name(original.map, identifier))
            for link in list(border.links(output)) if output is not None else ():
                tree.links.new(border.output_of(node, identifier), border.target(link))
    if original.vector and not border.input_of(node, "Vector").is_linked:
        source = _find(tree, original.vector.from_node, original.vector.from_socket, "outputs")
        if source is not None:
            tree.links.new(source, border.input_of(node, "Vector")).is_muted = original.vector.muted
    node.parent = tree.nodes.get(original.parent) if original.parent else None
    node.location = original.location
    node.hide, node.select = original.hide, original.select
    ORIGINAL.remove(node)


def _instance(tree: bpy.types.NodeTree, original: Original) -> bpy.types.ShaderNodeGroup | None:
    """The decoder's node that took the place of an original; also where grouping or pasting gave it another name."""
    named = tree.nodes.get(original.decoder)
    if named is not None and is_decoder_node(named):
        return named
    return next((node for node in decoder_nodes(tree) if original.map in node.outputs), None)


def _decodes(node: bpy.types.Node | None) -> bool:
    """Whether a node is a decoder's, or a group that has one inside."""
    inside = node.node_tree if isinstance(node, bpy.types.ShaderNodeGroup) else None
    return is_decoder(inside) or (inside is not None and any(map(_decodes, inside.nodes)))


def _tidy(tree: bpy.types.NodeTree) -> None:
    """Remove decoders and helpers that feed nothing any more, and an empty frame."""
    for instance in list(decoder_nodes(tree)):
        if not any(output.is_linked for output in instance.outputs):
            tree.nodes.remove(instance)
    for node in list(tree.nodes):
        if HELPER.is_on(node) and not any(output.is_linked for output in node.outputs):
            tree.nodes.remove(node)
    remove_empty_frames(tree)


def _frame(tree: bpy.types.NodeTree) -> bpy.types.NodeFrame:
    """The frame of the tree's originals, below all other nodes."""
    for node in tree.nodes:
        if isinstance(node, bpy.types.NodeFrame) and HELPER.is_on(node):
            return node
    lowest = min((node.location.y - node.height for node in tree.nodes if node.parent is None), default=0)
    left = min((node.location.x for node in tree.nodes if node.parent is None), default=0)
    frame = tree.nodes.new("NodeFrame")
    assert isinstance(frame, bpy.types.NodeFrame)
    frame.label = FRAME
    HELPER.write(frame, True)
    frame.location = (left, lowest - 200)
    return frame


def _output_name(map_name: str, identifier: str) -> str:
    return f"{map_name} Alpha" if identifier == "Alpha" else map_name


def _find(tree: bpy.types.NodeTree, node: str, identifier: str, side: str) -> bpy.types.NodeSocket | None:
    owner = tree.nodes.get(node)
    return None if owner is None else border.by_identifier(getattr(owner, side), identifier)
