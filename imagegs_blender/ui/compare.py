"""The comparison's controls in the Image Editor's sidebar."""

from __future__ import annotations

import bpy

from ..blend import border
from ..operators.messages import shown as _
from ..workflow import comparison
from .text import wrapped


class IMAGEGS_PT_compare(bpy.types.Panel):
    bl_label = "Compare"
    bl_category = "Image-GS"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"

    def draw(self, context: bpy.types.Context) -> None:
        layout = border.layout(self)
        pair = comparison.current
        if pair is None or bpy.data.node_groups.get((pair.decoder, None)) is None:
            layout.operator("imagegs.compare")
            return
        settings = border.ours(context.scene).imagegs_compare
        layout.prop(settings, "map", text="")
        layout.column(align=True).prop(settings, "view", expand=True)
        if settings.view == "SPLIT":
            layout.prop(settings, "divider", slider=True)
        elif settings.view == "DIFFERENCE":
            layout.prop(settings, "gain")
        layout.prop(settings, "lod", slider=True)
        if comparison.problem:
            wrapped(layout, comparison.problem, icon="ERROR")
            return
        layout.label(text=_("Decoded on the {device}").format(device=pair.device))
        layout.label(text=_("{count:,} Gaussians").format(count=len(pair.gaussians)))
        if pair.psnr is None:
            layout.label(text="The original was dropped", icon="INFO")
        else:
            layout.label(text=_("PSNR {:.2f} dB").format(pair.psnr))
            layout.label(text="Unused texels do not count", icon="INFO")


register, unregister = border.registered(IMAGEGS_PT_compare)
