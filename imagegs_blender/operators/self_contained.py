"""Files that render where the add-on is not installed: decoders saved with the tables that they read."""

from __future__ import annotations

import bpy

from ..blend import border
from ..core.errors import ImageGSError
from ..shaders.decoder import pack, unpack
from ..workflow import selection
from .messages import counted, say


class IMAGEGS_OT_self_contained(bpy.types.Operator):
    """Save everything that the chosen materials need to render without this add-on. The file becomes larger"""

    bl_idname = "imagegs.self_contained"
    bl_label = "Self-Contained"
    bl_options = {"REGISTER", "UNDO"}

    keep: bpy.props.BoolProperty(name="Self-Contained", default=True)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_decoders(cls, context)

    def execute(self, context: bpy.types.Context) -> border.Result:
        decoders = [decoder for decoder in selection.chosen_decoders(context) if not decoder.linked]
        try:
            for decoder in decoders:
                if self.keep:
                    pack(decoder)
                else:
                    unpack(decoder)
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        text = (
            say("{decoders} will be saved with their tables")
            if self.keep
            else say("{decoders} will be saved as streams")
        )
        self.report({"INFO"}, text.format(decoders=counted(len(decoders), "decoder", "decoders")))
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_self_contained)
