"""Choose how the selected materials' decoders decode."""

from __future__ import annotations

import bpy

from ..blend import storage
from ..core.errors import ImageGSError
from ..core.igs import stream
from ..shaders import decoder
from ..shaders.glsl import compute
from ..workflow import limits, rebuild, selection

_ITEMS = {
    decoder.NODES: ("Nodes", "Shader nodes: EEVEE, and Cycles on every device"),
    decoder.OSL: ("OSL", "A script: Cycles on the CPU and OptiX only, with Open Shading Language switched on"),
    decoder.BAKED: ("Baked", "Ordinary images at the chosen LOD: the fastest to render, the most memory"),
}


class IMAGEGS_OT_set_decoder(bpy.types.Operator):
    """Choose how the selected materials' textures are decoded when they render"""

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

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            for group in selection.decoders(selection.materials(context.selected_objects)):
                read = stream.read(storage.stream(group))
                decoder.set_kind(group, self.kind, read, detail=rebuild.wanted_detail())
            rebuild.follow_levels()
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for warning in limits.too_many(selection.materials(context.selected_objects)):
            self.report({"WARNING"}, warning)
        if self.kind == decoder.BAKED:
            reason = compute.missing()
            self.report({"INFO"}, f"Decoded on the CPU: {reason}" if reason else "Decoded on the GPU")
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(IMAGEGS_OT_set_decoder)


def unregister() -> None:
    bpy.utils.unregister_class(IMAGEGS_OT_set_decoder)
