"""Remove the originals that compressed materials keep."""

from __future__ import annotations

import bpy

from ..blend import border
from ..scene import cost, drop
from ..workflow import selection
from .messages import counted, say


class IMAGEGS_OT_drop_originals(bpy.types.Operator):
    """Remove the original image textures of the chosen compressed materials. Files on disk stay"""

    bl_idname = "imagegs.drop_originals"
    bl_label = "Drop Originals"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_originals(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> border.Result:
        images, kept = drop.droppable(selection.chosen(context))
        freed = cost.images(images)
        packed = sum(image.packed_file.size for image in images if image.packed_file)
        message = say(
            "{images}: {memory:.1f} MB of memory and {disk:.1f} MB of this file are freed. "
            "They can't be restored after saving; files on disk stay."
        ).format(images=counted(len(images), "image", "images"), memory=freed.memory / 1e6, disk=packed / 1e6)
        for image in kept:
            message += "\n" + say("kept: {what}").format(what=image)
        return border.window_manager(context).invoke_confirm(
            self, event, title=say("Drop Originals?"), message=message, confirm_text=say("Drop"), icon="WARNING"
        )

    def execute(self, context: bpy.types.Context) -> border.Result:
        removed, kept = drop.drop_originals(selection.chosen(context))
        for image in kept:
            self.report({"INFO"}, say("kept: {what}").format(what=image))
        self.report({"INFO"}, say("{images} removed").format(images=counted(len(removed), "image", "images")))
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_drop_originals)
