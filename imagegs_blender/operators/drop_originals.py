"""Remove the originals that compressed materials keep."""

from __future__ import annotations

import bpy

from ..scene import memory, replace
from . import selection


class IMAGEGS_OT_drop_originals(bpy.types.Operator):
    """Remove the original image textures of the selected objects' compressed materials. Files on disk stay"""

    bl_idname = "imagegs.drop_originals"
    bl_label = "Drop Originals"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_originals(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        images = replace.droppable(selection.materials(context.selected_objects))
        cost = memory.images(images)
        packed = sum(image.packed_file.size for image in images if image.packed_file)
        message = (
            f"{len(images)} images go: {cost.memory / 1e6:.1f} MB of memory, {packed / 1e6:.1f} MB of this file. "
            "They can't be restored after saving; files on disk stay."
        )
        return context.window_manager.invoke_confirm(
            self, event, title="Drop Originals?", message=message, confirm_text="Drop", icon="WARNING"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        removed = replace.drop_originals(selection.materials(context.selected_objects))
        self.report({"INFO"}, f"{len(removed)} images removed")
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(IMAGEGS_OT_drop_originals)


def unregister() -> None:
    bpy.utils.unregister_class(IMAGEGS_OT_drop_originals)
