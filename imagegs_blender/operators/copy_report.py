"""Copy what compression did to the file as text."""

from __future__ import annotations

import bpy

from ..blend import border
from ..blend.decoder import decoders
from ..workflow.summary import memory_text, saved, size, text
from .messages import counted, say


class IMAGEGS_OT_copy_report(bpy.types.Operator):
    """Copy the report about all compressed textures of this file, and the texture memory of the scene, as text"""

    bl_idname = "imagegs.copy_report"
    bl_label = "Copy Report"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not decoders():
            cls.poll_message_set("Nothing in this file is compressed yet")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> border.Result:
        total = f"Saved on disk: {size(saved(decoders()))}"
        border.window_manager(context).clipboard = "\n".join(
            [text(decoders()), total, memory_text(border.scene(context))]
        )
        self.report(
            {"INFO"}, say("Report about {stacks} copied").format(stacks=counted(len(decoders()), "stack", "stacks"))
        )
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_copy_report)
