"""Choose how the chosen materials' decoders decode."""

from __future__ import annotations

import bpy

from ..blend import border
from ..blend.properties import BAKED, BAKED_ON, NODES, OSL
from ..core.errors import ImageGSError
from ..shaders.decoder import set_kind
from ..shaders.glsl import compute
from ..workflow import auto_kind, limits, render_cost, selection
from ..workflow.levels import follow_levels
from ..workflow.max_detail import wanted_detail

AUTO = "AUTO"

_ITEMS = {
    AUTO: ("Auto", "What suits this scene, its engine and the memory of this computer, also when these change"),
    NODES: ("Nodes", "Shader nodes: EEVEE, and Cycles on every device"),
    OSL: ("OSL", "A script: Cycles on the CPU only, with Open Shading Language switched on"),
    BAKED: ("Baked", "Ordinary images at the chosen LOD: the fastest to render, the most memory"),
}


class IMAGEGS_OT_set_decoder(bpy.types.Operator):
    """Choose how the chosen materials' textures are decoded when they render"""

    bl_idname = "imagegs.set_decoder"
    bl_label = "Decoder"
    bl_options = {"REGISTER", "UNDO"}

    kind: bpy.props.EnumProperty(name="Decoder", items=[(kind, *text) for kind, text in _ITEMS.items()])

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_decoders(cls, context)

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return _ITEMS[properties.kind][1]

    def execute(self, context: bpy.types.Context) -> border.Result:
        try:
            if self.kind == AUTO:
                auto_kind.begin(selection.chosen_decoders(context), border.scene(context))
            else:
                for decoder in selection.chosen_decoders(context):
                    set_kind(decoder, self.kind, detail=wanted_detail())
            follow_levels()
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for warning in limits.too_many(selection.chosen(context)):
            self.report({"WARNING"}, str(warning))
        if self.kind == OSL and render_cost.is_on_card(border.scene(context)):
            self.report({"WARNING"}, f"OSL: {render_cost.OSL_ON_CARD}")
        if self.kind == BAKED:
            where = {BAKED_ON.read(decoder.tree) for decoder in selection.chosen_decoders(context)}
            reason = compute.missing()
            why = f": {reason}" if reason and where == {"CPU"} else ""
            self.report({"INFO"}, f"Decoded on the {', '.join(sorted(filter(None, where)))}{why}")
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_set_decoder)
