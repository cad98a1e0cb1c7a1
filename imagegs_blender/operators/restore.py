"""Put the original image nodes of materials back."""

from __future__ import annotations

import bpy

from ..blend import border
from ..core.errors import ImageGSError
from ..scene import replace
from ..workflow import selection
from .messages import counted, say


class IMAGEGS_OT_restore(bpy.types.Operator):
    """Bring back the original image textures of the chosen materials, with every link as it was"""

    bl_idname = "imagegs.restore"
    bl_label = "Restore Originals"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_originals(cls, context)

    def execute(self, context: bpy.types.Context) -> border.Result:
        try:
            count = replace.restore(selection.chosen(context))
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, say("{nodes} restored").format(nodes=counted(count, "image node", "image nodes")))
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_restore)
