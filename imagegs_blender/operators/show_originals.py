"""The kept originals of compressed materials in the viewport, to look at the difference."""

from __future__ import annotations

import bpy

from ..blend import border
from ..core.errors import ImageGSError
from ..workflow import as_images, selection


class IMAGEGS_OT_show_originals(bpy.types.Operator):
    """Switch between the kept originals and the compressed textures, to compare how they render. Nothing is lost"""

    bl_idname = "imagegs.show_originals"
    bl_label = "Show Originals"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_originals(cls, context)

    def execute(self, context: bpy.types.Context) -> border.Result:
        materials = selection.chosen(context)
        if as_images.shows_originals(materials):
            as_images.hide(materials)
            return {"FINISHED"}
        try:
            as_images.show_originals(materials)
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_show_originals)
