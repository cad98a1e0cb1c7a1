"""What a person chooses before a press: which materials, how large or how good, and where detail goes."""

from __future__ import annotations

import bpy

from ..blend import amount, border
from ..blend.amount import Amount
from ..operators.messages import counted
from ..operators.messages import shown as _
from ..operators.presets import IMAGEGS_MT_presets
from ..operators.settings import IMAGEGS_PG_settings
from ..workflow import selection
from .text import wrapped

_BUTTON = {
    selection.ACTIVE: "Compress Active Material",
    selection.SELECTED: "Compress Selected Materials",
    selection.FILE: "Compress Whole File",
}


def draw_scope(layout: bpy.types.UILayout, context: bpy.types.Context, materials: list[bpy.types.Material]) -> None:
    """What the buttons are about, and the big button."""
    scope = selection.scope(context)
    column = layout.column(align=True)
    column.prop(context.scene, "imagegs_scope", text="")
    if not materials:
        wrapped(column, _(selection.NOTHING[scope]), icon="INFO")
    elif scope == selection.ACTIVE:
        column.label(translate=False, text=materials[0].name, icon="MATERIAL")
    else:
        column.label(text=counted(len(materials), "material", "materials"), icon="MATERIAL")
    row = layout.row(align=True)
    row.scale_y = 1.6
    row.operator("imagegs.compress", text=_BUTTON[scope], icon="TEXTURE")
    if selection.decoders(materials):
        row.operator("imagegs.recompress", text="", icon="FILE_REFRESH")


def draw_settings(layout: bpy.types.UILayout, context: bpy.types.Context, materials: list[bpy.types.Material]) -> None:
    """The scene's settings, and in the place of its size or quality the active material's own."""
    settings: IMAGEGS_PG_settings = border.ours(context.scene).imagegs
    row = layout.row(align=True)
    row.menu("IMAGEGS_MT_presets", text=_(IMAGEGS_MT_presets.bl_label))  # the name of the one chosen last
    row.operator("imagegs.preset_add", text="", icon="ADD")
    row.operator("imagegs.preset_add", text="", icon="REMOVE").remove_active = True
    row = layout.row(align=True)
    for preset in ("fast", "balanced", "high"):
        row.prop_enum(settings, "preset", preset)
    own = [material for material in materials if amount.of(material).has_own]
    if selection.scope(context) == selection.ACTIVE and materials and materials[0].library is None:
        remembered = amount.of(materials[0])
        _draw_amount(layout, remembered if own else settings)
        layout.prop(remembered, "has_own")
    else:
        _draw_amount(layout, settings)
        if own:
            text = _("A size or quality of its own: {materials}")
            wrapped(layout, text.format(materials=counted(len(own), "material", "materials")), icon="INFO")
    layout.prop(settings, "even_if_not_smaller")
    _draw_importance(layout, settings)


def _draw_amount(layout: bpy.types.UILayout, chosen: Amount) -> None:
    column = layout.column(align=True)
    column.row(align=True).prop(chosen, "rate", expand=True)
    column.prop(chosen, chosen.decisive)


def _draw_importance(layout: bpy.types.UILayout, settings: IMAGEGS_PG_settings) -> None:
    header, body = layout.panel("imagegs_importance", default_closed=True)
    header.label(text="Where Detail Goes")
    if body is None:
        return
    body.prop(settings, "ignore_unused")
    body.prop(settings, "weigh")
    body.row(align=True).prop(settings, "importance", expand=True)
    if settings.importance == "IMAGE":
        body.template_ID(settings, "importance_image", open="image.open")
    elif settings.importance == "ATTRIBUTE":
        body.prop(settings, "importance_attribute")
    body.prop(settings, "seed")
