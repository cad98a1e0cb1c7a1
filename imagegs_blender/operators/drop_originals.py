"""Remove the originals that compressed materials keep."""

from __future__ import annotations

import bpy

from ..scene import replace
from . import selection


class IMAGEGS_OT_drop_originals(bpy.types.Operator):
    """Remove the original image textures of the selected objects' compressed materials. Files on disk stay"""

    bl_idname = "imagegs.drop_originals"
    bl_label = "Drop Originals"
    bl_options = {"REGISTER", "UNDO"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        removed = replace.drop_originals(selection.materials(context.selected_objects))
        self.report({"INFO"}, f"{len(removed)} images removed")
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(IMAGEGS_OT_drop_originals)


def unregister() -> None:
    bpy.utils.unregister_class(IMAGEGS_OT_drop_originals)
