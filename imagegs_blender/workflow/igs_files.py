"""A decoder's stream as a .igs file, and back as a decoder in a material."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..blend.decoder import Decoder
from ..blend.record import Record
from ..core import files
from ..core.encoding.report import FitReport
from ..core.errors import ImageGSError
from ..core.igs import stream as igs
from ..core.textures.texture_stack import MapInfo, Role
from ..shaders.decoder import create
from .max_detail import wanted_detail

_INPUTS = {
    "Base Color": ("basecolor", "base_color", "diff", "albedo", "color"),
    "Roughness": ("rough",),
    "Metallic": ("metal",),
    "Alpha": ("opacity", "alpha"),
}
"""Principled BSDF inputs, and the words in the name of a map that is for each."""


def export(decoder: Decoder, path: Path) -> None:
    """Write a decoder's stream. Raises ImageGSError where it is lost, or the file can't be written."""
    files.write(path, decoder.data)


def load(path: Path, material: bpy.types.Material) -> Decoder:
    """Add the decoder of a .igs file to a material, linked to what its maps are named for.

    Raises ImageGSError where the file can't be read, or is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageGSError(f"{path.name}: can't be read ({error.strerror}); choose a .igs file") from error
    try:
        stream = igs.read(data)
    except ImageGSError as error:
        raise ImageGSError(f"{path.name}: {error}") from error
    extension = "REPEAT" if stream.gaussians.wrap else "EXTEND"
    record = Record(report=FitReport.of_stream(stream, len(data)), extension=extension)
    decoder = create(f"Image-GS {path.stem}", stream, data, record, detail=wanted_detail())
    assert material.node_tree is not None  # import's poll asks for one
    _add(material.node_tree, decoder.tree, stream.maps)
    return decoder


def _add(tree: bpy.types.NodeTree, group: bpy.types.ShaderNodeTree, maps: tuple[MapInfo, ...]) -> None:
    """A decoder node with the active UV map, linked to the inputs of a Principled BSDF that its maps are named for."""
    node = tree.nodes.new("ShaderNodeGroup")
    assert isinstance(node, bpy.types.ShaderNodeGroup)
    node.node_tree, node.width = group, 240
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    tree.links.new(coordinates.outputs["UV"], node.inputs["Vector"])
    shader = next((n for n in tree.nodes if n.bl_idname == "ShaderNodeBsdfPrincipled"), None)
    if shader is None:
        return
    node.location = (shader.location.x - 560, shader.location.y)
    coordinates.location = (node.location.x - 220, node.location.y)
    for info in maps:
        if info.role is Role.NORMAL and not shader.inputs["Normal"].is_linked:
            bump = tree.nodes.new("ShaderNodeNormalMap")
            bump.location = (shader.location.x - 220, shader.location.y - 400)
            tree.links.new(node.outputs[info.name], bump.inputs["Color"])
            tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
            continue
        for socket, words in _INPUTS.items():
            if not shader.inputs[socket].is_linked and any(word in info.name.lower() for word in words):
                tree.links.new(node.outputs[info.name], shader.inputs[socket])
                break
