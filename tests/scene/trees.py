"""Materials to test with, and dumps of node trees to compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image

from imagegs_blender.blend import removal


def image(name: str, folder: Path, channels: str = "RGB", size: tuple[int, int] = (32, 32), space: str = "sRGB") -> Any:
    """An 8-bit PNG of smooth noise in a folder, loaded as an image datablock."""
    rng = np.random.default_rng(sum(map(ord, name)))
    small = rng.integers(0, 256, (4, 4, len(channels)), np.uint8)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[len(channels)]
    path = folder / f"{name}.png"
    Image.fromarray(small.squeeze(), mode).resize(size, Image.Resampling.BICUBIC).save(path)
    loaded = bpy.data.images.load(str(path))
    loaded.name = name
    loaded.colorspace_settings.name = space
    return loaded


def deep(name: str, folder: Path) -> Any:
    """A float EXR of random values 0..1, Linear Rec.709, loaded as an image datablock."""
    made = bpy.data.images.new("made", 32, 32, float_buffer=True)
    made.pixels.foreach_set(np.random.default_rng(2).random(32 * 32 * 4, np.float32))
    made.filepath_raw, made.file_format = str(folder / f"{name}.exr"), "OPEN_EXR"
    made.save()
    bpy.data.images.remove(made)
    loaded = bpy.data.images.load(str(folder / f"{name}.exr"))
    loaded.name = name
    return loaded


def in_space(name: str) -> Callable[[Any], None]:
    """Lets the image of an Image Texture node be in a color space."""

    def change(node: Any) -> None:
        node.image.colorspace_settings.name = name

    return change


def material(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree]:
    """A material with a Principled BSDF and a Material Output, linked, and its tree."""
    made = bpy.data.materials.new(name)
    made.use_fake_user = True
    if made.node_tree is None:
        made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return made, tree


def texture(tree: bpy.types.NodeTree, picture: bpy.types.Image, *targets: tuple[str, str, str]) -> Any:
    """An Image Texture node, with its outputs linked to inputs: (output, node, input) each."""
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = picture
    for output, target, socket in targets:
        tree.links.new(node.outputs[output], tree.nodes[target].inputs[socket])
    return node


def add(tree: bpy.types.NodeTree, kind: str, source: bpy.types.NodeSocket | None = None, socket: str | int = 0) -> Any:
    """A new node, its input linked from a source."""
    node = tree.nodes.new(kind)
    if source is not None:
        tree.links.new(source, node.inputs[socket])
    return node


def group(name: str, inputs: dict[str, str], outputs: dict[str, str]) -> Any:
    """An empty node group with sockets {name: type}, its Group Input and Group Output inside."""
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    for side, sockets in (("INPUT", inputs), ("OUTPUT", outputs)):
        for socket, kind in sockets.items():
            tree.interface.new_socket(socket, in_out=side, socket_type=f"NodeSocket{kind}")
    tree.nodes.new("NodeGroupInput")
    tree.nodes.new("NodeGroupOutput")
    return tree


def names() -> dict[str, list[str]]:
    """The images and groups of the open file; not what blend/removal.py leaves of some until it is closed."""
    return {
        collection: sorted(part.name for part in getattr(bpy.data, collection) if not removal.is_left(part))
        for collection in ("images", "node_groups")
    }


def dump(tree: bpy.types.NodeTree) -> dict[str, Any]:
    """All of a tree that a user could notice: nodes with every setting and socket value, and links."""
    return {"nodes": {node.name: _settings(node) for node in tree.nodes}, "links": sorted(map(_link, tree.links))}


def _settings(node: bpy.types.Node) -> dict[str, Any]:
    skipped = {"rna_type", "inputs", "outputs", "internal_links", "dimensions", "image_user", "location_absolute"}
    names = [p.identifier for p in node.bl_rna.properties if p.identifier not in skipped]
    sockets = {f"{s.identifier} value": _plain(getattr(s, "default_value", None)) for s in node.inputs}
    return {name: _plain(getattr(node, name)) for name in names} | sockets | {"custom": sorted(node.keys())}


def _plain(value: Any) -> Any:
    if isinstance(value, bpy.types.ID | bpy.types.Node):
        return value.name
    if isinstance(value, str | int | float | bool | None):
        return value
    numbers = hasattr(value, "__len__") and all(isinstance(v, int | float) for v in value)
    return [round(v, 6) for v in value] if numbers else type(value).__name__


def _link(link: bpy.types.NodeLink) -> tuple:
    ends = (link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier)
    return (*ends, link.is_muted)
