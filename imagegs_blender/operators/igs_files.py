"""Export a stack as a .igs file, and import one as a decoder in the active material."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..blend import border
from ..core.errors import ImageGSError
from ..workflow import igs_files, selection
from .messages import counted, say


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

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> border.Result:
        self.filepath = f"{selection.active_decoder(context).short_name}.igs"
        border.window_manager(context).fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> border.Result:
        path = Path(bpy.path.abspath(self.filepath)).with_suffix(".igs")
        try:
            igs_files.export(selection.active_decoder(context), path)
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
        if not material or material.library is not None or material.node_tree is None:
            cls.poll_message_set("Select an object with a material of this file that uses nodes")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> border.Result:
        border.window_manager(context).fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> border.Result:
        path = Path(bpy.path.abspath(self.filepath))
        material = context.object.active_material if context.object else None
        assert material is not None  # poll
        try:
            stream = igs_files.load(path, material).stream
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        maps = counted(len(stream.maps), "map", "maps")
        text = say("{path}: {maps}, {count:,} Gaussians")
        self.report({"INFO"}, text.format(path=path.name, maps=maps, count=len(stream.codes)))
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_export_stream, IMAGEGS_OT_import_stream)
