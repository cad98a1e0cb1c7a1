"""The whole of a name that a panel had to shorten: a label has no tooltip of its own, a button has."""

from __future__ import annotations

import bpy

from ..blend import border
from .messages import say


class IMAGEGS_OT_whole_name(bpy.types.Operator):
    """Copy the whole name"""

    bl_idname = "imagegs.whole_name"
    bl_label = "Copy Name"
    bl_options = {"INTERNAL"}

    name: bpy.props.StringProperty(options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return f"{properties.name}\n{say('Click to copy this name')}"

    def execute(self, context: bpy.types.Context) -> border.Result:
        border.window_manager(context).clipboard = self.name
        self.report({"INFO"}, say("{name} copied").format(name=self.name))
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_whole_name)
