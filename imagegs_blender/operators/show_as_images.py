"""Compressed materials shown as images, for exporters that know no decoders, and as Gaussians again."""

from __future__ import annotations

import bpy

from ..blend import border
from ..workflow import as_images, selection
from .messages import counted, say


class IMAGEGS_OT_show_as_images(bpy.types.Operator):
    """Let the chosen materials show ordinary images, as FBX, OBJ and USD export need. Saved files keep the Gaussians"""

    bl_idname = "imagegs.show_as_images"
    bl_label = "Show as Images"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_decoders(cls, context)

    def execute(self, context: bpy.types.Context) -> border.Result:
        count, messages = as_images.show(selection.chosen(context))
        for message in messages:
            self.report({"ERROR"}, message)
        if count:
            text = say("{decoders} shown as images until you press Show as Gaussians")
            self.report({"INFO"}, text.format(decoders=counted(count, "decoder", "decoders")))
        elif not messages:
            self.report({"WARNING"}, say("No decoder is left to show as images"))
        return {"FINISHED"} if count else {"CANCELLED"}


class IMAGEGS_OT_show_as_gaussians(bpy.types.Operator):
    """Let the chosen materials decode Gaussians again. Links that were made to the images meanwhile are kept"""

    bl_idname = "imagegs.show_as_gaussians"
    bl_label = "Show as Gaussians"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not as_images.is_shown(bpy.data.materials):
            cls.poll_message_set("No compressed material is shown as images")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> border.Result:
        count = as_images.hide(selection.chosen(context))
        if not count:
            self.report({"WARNING"}, say("The chosen materials show no images: choose others, or Whole File"))
            return {"CANCELLED"}
        text = say("{decoders} shown as Gaussians")
        self.report({"INFO"}, text.format(decoders=counted(count, "decoder", "decoders")))
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_show_as_images, IMAGEGS_OT_show_as_gaussians)
