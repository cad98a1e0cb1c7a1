"""Which Image Texture nodes a material's output depends on, and what each is used for.

Walks node trees backwards from the Material Output, through reroutes and nested groups, with an explicit stack.
Sockets are told apart by identifier, never by label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import bpy

from ..blend import border
from ..blend.decoder import is_decoder_node
from ..blend.properties import ORIGINAL
from ..core.textures.texture_stack import Role
from . import stand_ins

Path = tuple[bpy.types.ShaderNodeGroup, ...]
"""The group nodes entered on the way from a material's own tree down to a node, outermost first."""


@dataclass(frozen=True)
class Want:
    """What is asked of a socket: the letters of the channels that matter, the role, and a name for printing."""

    channels: str
    role: Role
    label: str


@dataclass(frozen=True)
class ImageUse:
    """One way in which a texture node is used: asked for `want`, in the tree at the end of `path`."""

    tree: bpy.types.NodeTree
    node: bpy.types.ShaderNodeTexImage | bpy.types.ShaderNodeTexEnvironment
    path: Path
    want: Want


@dataclass(frozen=True)
class DecoderUse:
    """A decoder of ours that the material already uses."""

    tree: bpy.types.NodeTree
    node: bpy.types.ShaderNodeGroup


@dataclass(frozen=True)
class _Visit:
    """An input socket whose sources are to be looked at."""

    socket: bpy.types.NodeSocket
    path: Path
    want: Want


def image_uses(material: bpy.types.Material) -> Iterator[ImageUse | DecoderUse]:
    """Every use of a texture node, or of a decoder, that an active Material Output of the material depends on."""
    tree = material.node_tree
    assert tree is not None  # obstacles.in_material keeps materials without nodes away
    ends = tree.get_output_node("ALL"), tree.get_output_node("CYCLES"), tree.get_output_node("EEVEE")
    outputs = {node.as_pointer(): node for node in ends if node is not None}
    stack = [_Visit(s, (), Want("RGB", Role.DATA, s.name.lower())) for n in outputs.values() for s in n.inputs]
    seen: set[tuple] = set()
    while stack:
        visit = stack.pop()
        for source in _sources(visit.socket):
            node = border.node_of(source)
            key = (tuple(n.as_pointer() for n in visit.path), node.as_pointer(), source.identifier, visit.want)
            if key in seen:
                continue
            seen.add(key)
            if is_decoder_node(node):
                yield DecoderUse(border.owner(node), node)
            elif (shown := stand_ins.node_of(border.owner(node), node)) is not None:
                yield DecoderUse(border.owner(node), shown)
            elif isinstance(node, bpy.types.ShaderNodeTexImage | bpy.types.ShaderNodeTexEnvironment) and not node.mute:
                want = replace(visit.want, channels="A") if source.identifier == "Alpha" else visit.want
                yield ImageUse(border.owner(node), node, visit.path, want)
            stack.extend(_steps(source, visit.path, visit.want))


def texture_space(socket: bpy.types.NodeSocket, path: Path = ()) -> str:
    """Where a Vector input gets its coordinates, as text: equal texts mean equal coordinates.

    Follows reroutes and muted nodes, and group borders as far as `path` says how they were entered; with an empty
    path the text is about the socket's own tree only. An Image Texture's unlinked Vector input is the active UV map.
    """
    source = next(_sources(socket), None)
    while source is not None:
        step = _border(source, path)
        if step is None:
            return _describe(source, path)
        entered, path = step
        if entered is None:
            return "constant"
        source = next(_sources(entered), None)
        if source is None:
            return "constant"
    return "UV" if isinstance(socket.node, bpy.types.ShaderNodeTexImage) else "constant"


def unconnected_images(material: bpy.types.Material) -> Iterator[str]:
    """The images of texture nodes, in a material and in the groups inside, that no output of the material depends on.

    By name, one for each node. Originals that a decoder replaced are none of them, nor what stands in for a decoder.
    """
    assert material.node_tree is not None  # obstacles.in_material keeps materials without nodes away
    shown = {use.node.as_pointer() for use in image_uses(material)}
    trees: list[bpy.types.NodeTree] = [material.node_tree]
    for tree in trees:  # grows
        for node in tree.nodes:
            if isinstance(node, bpy.types.ShaderNodeGroup) and not is_decoder_node(node):
                if node.node_tree is not None and node.node_tree not in trees:
                    trees.append(node.node_tree)
            elif isinstance(node, bpy.types.ShaderNodeTexImage | bpy.types.ShaderNodeTexEnvironment):
                if stand_ins.node_of(tree, node) is not None:
                    continue
                if node.image is not None and not ORIGINAL.is_on(node) and node.as_pointer() not in shown:
                    yield node.image.name


def foreign_coordinates(socket: bpy.types.NodeSocket, path: Path = ()) -> str | None:
    """The name of coordinates other than UV that a Vector input depends on, e.g. "Generated"; None without any.

    Where there are some, how large texels are on a mesh, and which ones it shows, does not follow from its UV maps.
    """
    stack = [_Visit(socket, path, Want("RGB", Role.DATA, "vector"))]
    seen: set[tuple] = set()
    while stack:
        visit = stack.pop()
        for source in _sources(visit.socket):
            node = border.node_of(source)
            key = (tuple(n.as_pointer() for n in visit.path), node.as_pointer(), source.identifier)
            if key in seen:
                continue
            seen.add(key)
            if node.bl_idname == "ShaderNodeTexCoord" and source.identifier != "UV":
                return source.name
            if isinstance(node, bpy.types.ShaderNodeAttribute):
                return f"Attribute {node.attribute_name}"
            if node.bl_idname == "ShaderNodeNewGeometry":
                return f"Geometry {source.name}"
            stack.extend(_steps(source, visit.path, visit.want))
    return None


def _sources(socket: bpy.types.NodeSocket) -> Iterator[bpy.types.NodeSocket]:
    """The output sockets that feed an input socket."""
    if socket.enabled:
        yield from (border.source(link) for link in border.links(socket) if link.is_valid and not link.is_muted)


def _border(source: bpy.types.NodeSocket, path: Path) -> tuple[bpy.types.NodeSocket | None, Path] | None:
    """The one input socket that an output socket merely passes on, and the path there.

    None for nodes that compute something; a socket of None where nothing is passed on.
    """
    node = border.node_of(source)
    if node.mute:
        passed = (border.source(link) for link in node.internal_links if link.to_socket == source)
        return next(passed, None), path
    if node.bl_idname == "NodeReroute":
        return node.inputs[0], path
    if node.bl_idname == "NodeGroupInput" and path:
        return border.by_identifier(path[-1].inputs, source.identifier), path[:-1]
    if isinstance(node, bpy.types.ShaderNodeGroup) and not is_decoder_node(node):
        inner = [] if node.node_tree is None else list(node.node_tree.nodes)
        ends = (n for n in inner if isinstance(n, bpy.types.NodeGroupOutput))
        end = next((n for n in ends if n.is_active_output), None)
        return (border.by_identifier(end.inputs, source.identifier) if end else None), (*path, node)
    return None


def _steps(source: bpy.types.NodeSocket, path: Path, want: Want) -> Iterator[_Visit]:
    """The input sockets that an output socket depends on, and what is asked of each."""
    step = _border(source, path)
    if step is not None:
        socket, path = step
        if socket is not None:
            yield _Visit(socket, path, want)
        return
    node = border.node_of(source)
    for socket in node.inputs:
        yield _Visit(socket, path, _asked(node, source, socket, want))


def _asked(node: bpy.types.Node, source: bpy.types.NodeSocket, socket: bpy.types.NodeSocket, want: Want) -> Want:
    """What a node asks of one of its inputs when `want` is asked of its output."""
    data = Want("RGB", Role.DATA, socket.name.lower())
    single = Role.NORMAL if want.role is Role.NORMAL else Role.DATA
    match node:
        case bpy.types.ShaderNodeSeparateColor() if node.mode == "RGB":
            return Want(source.identifier[0], single, want.label)
        case bpy.types.ShaderNodeSeparateXYZ():
            return Want("RGB"["XYZ".index(source.identifier)], single, want.label)
        case bpy.types.ShaderNodeNormalMap() if socket.identifier == "Color":
            return Want("RGB", Role.NORMAL if node.space == "TANGENT" else Role.DATA, "normal")
        case bpy.types.ShaderNodeBump() if socket.identifier == "Normal":
            return want
        case bpy.types.ShaderNodeBump() | bpy.types.ShaderNodeDisplacement() if socket.identifier == "Height":
            return replace(data, label="height")
        case bpy.types.ShaderNodeValToRGB():
            return replace(data, label=want.label)
        case bpy.types.ShaderNodeTexImage() | bpy.types.ShaderNodeTexEnvironment():
            return replace(data, label="coordinates")
    if source.type == "SHADER":
        return want if socket.type == "SHADER" else _shader_input(socket)
    if socket.identifier.startswith(("Fac", "Factor")):
        return replace(data, label="mask")
    return replace(want, channels="RGB")


def _shader_input(socket: bpy.types.NodeSocket) -> Want:
    """The role of a shader's own input, by its type and name: "Base Color" is a color, "Alpha" coverage."""
    if socket.identifier == "Alpha":
        return Want("RGB", Role.ALPHA, "alpha")
    label = socket.name.lower().replace("base color", "basecolor").removesuffix(" color")
    return Want("RGB", Role.COLOR if socket.type == "RGBA" else Role.DATA, label)


def _describe(source: bpy.types.NodeSocket, path: Path) -> str:
    """An output socket as text: the UV map or Mapping it stands for, else the node's own name in its tree."""
    node = border.node_of(source)
    if isinstance(node, bpy.types.ShaderNodeTexCoord) and source.identifier == "UV" and not node.from_instancer:
        return "UV"
    if isinstance(node, bpy.types.ShaderNodeUVMap) and not node.from_instancer:
        return f"UV {node.uv_map!r}" if node.uv_map else "UV"
    if isinstance(node, bpy.types.ShaderNodeMapping):
        coordinates, *others = border.inputs(node)
        if not any(s.is_linked for s in others):
            settings = [s for s in others if s.enabled]
            values = ", ".join(f"{s.name} {tuple(round(v, 6) for v in border.value(s))}" for s in settings)
            return f"Mapping({texture_space(coordinates, path)}, {node.vector_type}, {values})"
    trail = "/".join(n.name for n in path)
    return f"{border.owner(node).name}/{trail}{'/' if trail else ''}{node.name}.{source.identifier}"
