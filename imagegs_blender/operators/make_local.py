"""Make linked materials part of this file, so that they can be compressed."""

from __future__ import annotations

import bpy

from ..workflow import selection
from .messages import say


class IMAGEGS_OT_make_local(bpy.types.Operator):
    """Make the selected objects' linked materials part of this file, so that they can be compressed"""

    bl_idname = "imagegs.make_local"
    bl_label = "Make Materials Local"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not any(m.library or m.override_library for m in selection.materials(context.selected_objects)):
            cls.poll_message_set("No material of the selection is linked")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        bpy.ops.object.make_local(type="SELECT_OBDATA_MATERIAL")
        left = [m.name for m in selection.materials(context.selected_objects) if m.library or m.override_library]
        if left:
            text = say("{name}: could not be made local; compress it in the file that it is linked from")
            self.report({"ERROR"}, text.format(name=left[0]))
            return {"CANCELLED"}
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(IMAGEGS_OT_make_local)


def unregister() -> None:
    bpy.utils.unregister_class(IMAGEGS_OT_make_local)
