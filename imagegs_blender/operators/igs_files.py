"""Export a stack as a .igs file, and import one as a decoder in the active material."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..blend import storage
from ..core import files
from ..core.encoding.report import FitReport
from ..core.errors import ImageGSError
from ..core.igs import stream
from ..core.textures.texture_stack import MapInfo, Role
from ..shaders import decoder
from ..workflow import rebuild, selection
from .messages import counted, say

_INPUTS = {
    "Base Color": ("basecolor", "base_color", "diff", "albedo", "color"),
    "Roughness": ("rough",),
    "Metallic": ("metal",),
    "Alpha": ("opacity", "alpha"),
}
"""Principled BSDF inputs, and what the name of a map for each holds."""


class IMAGEGS_OT_export_stream(bpy.types.Operator):
    """Save the active material's compressed textures as a .igs file"""

    bl_idname = "imagegs.export_stream"
    bl_label = "Export .igs"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.igs", options={"HIDDEN"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_decoders(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.filepath = f"{_chosen(context).name.removeprefix('Image-GS ')}.igs"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath)).with_suffix(".igs")
        try:
            files.write(path, storage.stream(_chosen(context)))
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, say("{path}: {size:,} bytes").format(path=path, size=path.stat().st_size))
        return {"FINISHED"}


class IMAGEGS_OT_import_stream(bpy.types.Operator):
    """Add the decoder of a .igs file to the active object's material"""

    bl_idname = "imagegs.import_stream"
    bl_label = "Import .igs"
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.igs", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        material = context.object and context.object.active_material
        if not material or material.library or material.node_tree is None:
            cls.poll_message_set("Select an object with a material of this file that uses nodes")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            data = _read(path)
            read = stream.read(data)
            extension = "REPEAT" if read.gaussians.wrap else "EXTEND"
            group = decoder.create(f"Image-GS {path.stem}", read, extension, detail=rebuild.wanted_detail())
        except ImageGSError as error:
            self.report({"ERROR"}, f"{path.name}: {error}")
            return {"CANCELLED"}
        storage.store(
            group,
            data,
            {"settings": {}, "report": FitReport.of_stream(read, len(data)).to_json(), "extension": extension},
        )
        _add(context.object.active_material.node_tree, group, read.maps)
        maps = counted(len(read.maps), "map", "maps")
        text = say("{path}: {maps}, {count:,} Gaussians")
        self.report({"INFO"}, text.format(path=path.name, maps=maps, count=len(read.gaussians)))
        return {"FINISHED"}


def _chosen(context: bpy.types.Context) -> bpy.types.ShaderNodeTree:
    """The decoder of the active material, else the first of the selection."""
    active = context.object and context.object.active_material
    found = selection.decoders([active]) if active else []
    return (found or selection.decoders(selection.materials(context.selected_objects)))[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageGSError(f"can't be read ({error.strerror}); choose a .igs file") from error


def _add(tree: bpy.types.NodeTree, group: bpy.types.ShaderNodeTree, maps: tuple[MapInfo, ...]) -> None:
    """A decoder node with the active UV map, linked to the inputs of a Principled BSDF that its maps are named for."""
    node = tree.nodes.new("ShaderNodeGroup")
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


_CLASSES = (IMAGEGS_OT_export_stream, IMAGEGS_OT_import_stream)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
