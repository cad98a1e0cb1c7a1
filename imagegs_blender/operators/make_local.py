"""Make linked materials part of this file, so that they can be compressed."""

from __future__ import annotations

import bpy

from ..blend import border
from ..workflow import selection
from .messages import say


class IMAGEGS_OT_make_local(bpy.types.Operator):
    """Make the selected objects' linked materials part of this file, so that they can be compressed"""

    bl_idname = "imagegs.make_local"
    bl_label = "Make Materials Local"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not any(map(_is_linked, selection.materials(context.selected_objects))):
            cls.poll_message_set("No material of the selection is linked")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> border.Result:
        bpy.ops.object.make_local(type="SELECT_OBDATA_MATERIAL")
        left = [m.name for m in selection.materials(context.selected_objects) if _is_linked(m)]
        if left:
            text = say("{name}: could not be made local; compress it in the file that it is linked from")
            self.report({"ERROR"}, text.format(name=left[0]))
            return {"CANCELLED"}
        return {"FINISHED"}


def _is_linked(material: bpy.types.Material) -> bool:
    return material.library is not None or material.override_library is not None


register, unregister = border.registered(IMAGEGS_OT_make_local)
