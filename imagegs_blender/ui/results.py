"""What is compressed: its level of detail, its decoder, what can be done with it, and what came of it."""

from __future__ import annotations

import bpy

from ..blend import border
from ..blend.decoder import Decoder
from ..blend.properties import KINDS
from ..operators.messages import shown as _
from ..workflow import as_images, auto_kind, levels, reach, render_cost, selection, summary, uv_changes
from .text import columns, named, wrapped


def draw(layout: bpy.types.UILayout, context: bpy.types.Context, materials: list[bpy.types.Material]) -> None:
    """Nothing where nothing is compressed."""
    used = selection.decoders(materials)
    if not used:
        return
    header, body = layout.panel("imagegs_compressed", default_closed=False)
    header.label(text=_("Compressed: {count}").format(count=len(used)))
    if body is None:
        return
    _draw_lod(body, context, materials)
    sound = [decoder for decoder in used if decoder.is_sound]
    _draw_kinds(body, context, sound)
    _draw_actions(body, materials, sound)
    can_recompress = selection.has_originals(materials)
    for decoder in used:
        _draw_summary(body, decoder, can_recompress, is_open=len(used) == 1)
    body.operator("imagegs.copy_report", icon="COPYDOWN")


def _draw_lod(layout: bpy.types.UILayout, context: bpy.types.Context, materials: list[bpy.types.Material]) -> None:
    """The finest LOD of all; moving the slider gives all of them one."""
    found = levels.levels(materials)
    text = _("LOD") if len(found) < 2 else _("LOD ({least:g} to {most:g})").format(least=min(found), most=max(found))
    column = layout.column(align=True)
    column.prop(border.ours(context.scene).imagegs, "lod", text=text, slider=True)
    row = column.row(align=True)
    row.prop(context.scene, "imagegs_lod_by_distance")
    if border.ours(context.scene).imagegs_lod_by_distance:
        row.prop(context.scene, "imagegs_lod_bias", text="Bias")
    row = column.split(factor=0.45)
    row.label(text="Max Detail")
    row.prop(context.scene, "imagegs_max_detail", text="")


def _draw_kinds(layout: bpy.types.UILayout, context: bpy.types.Context, decoders: list[Decoder]) -> None:
    """The kind of decoder, and what it costs."""
    kinds = {decoder.kind for decoder in decoders}
    column = layout.column(align=True)
    row = column.row(align=True)
    is_auto = any(decoder.is_auto for decoder in decoders)
    row.operator("imagegs.set_decoder", text="Auto", depress=is_auto).kind = "AUTO"
    for kind in KINDS:
        name = kind.title() if kind != "OSL" else kind
        row.operator("imagegs.set_decoder", text=name, depress=kind in kinds).kind = kind
    if is_auto:
        wrapped(column, _("Auto: {reason}").format(reason=auto_kind.reason(border.scene(context))), icon="INFO")
    for kind in (kind for kind in KINDS if kind in kinds):
        wrapped(column, render_cost.text(kind, decoders, border.scene(context)), icon="MEMORY")


def _draw_actions(layout: bpy.types.UILayout, materials: list[bpy.types.Material], decoders: list[Decoder]) -> None:
    as_originals = as_images.shows_originals(materials)
    column = layout.column(align=True)
    column.operator("imagegs.compare", icon="IMAGE_ALPHA")
    column.operator("imagegs.show_originals", icon="HIDE_OFF", depress=as_originals)
    column.operator("imagegs.recompress", icon="FILE_REFRESH")
    column.operator("imagegs.restore", icon="LOOP_BACK")
    column.operator("imagegs.drop_originals", icon="TRASH")
    is_shown = as_images.is_shown(materials) and not as_originals
    header, body = layout.panel("imagegs_share", default_closed=not is_shown)
    header.label(text="Export and Share")
    if body is None:
        return
    column = body.column(align=True)
    if is_shown:
        column.operator("imagegs.show_as_gaussians", icon="NODETREE", depress=True)
        wrapped(column, _("Shown as images: saved files keep the Gaussians"), icon="INFO")
    else:
        column.operator("imagegs.show_as_images", icon="IMAGE_DATA")
    packed = bool(decoders) and all(decoder.self_contained for decoder in decoders)
    column.operator("imagegs.self_contained", icon="PACKAGE", depress=packed).keep = not packed
    column.operator("imagegs.bake", icon="RENDER_STILL")
    row = column.row(align=True)
    row.operator("imagegs.export_stream", icon="EXPORT")
    row.operator("imagegs.import_stream", icon="IMPORT")


def _draw_summary(layout: bpy.types.UILayout, decoder: Decoder, can_recompress: bool, is_open: bool) -> None:
    """A line that unfolds to the report; what is wrong is shown in any case."""
    s = summary.of(decoder)
    width = columns()
    header, body = layout.panel(f"imagegs_report {decoder.name}", default_closed=not is_open)
    is_low = s.psnr is not None and s.psnr < reach.LOW
    named(header, decoder.short_name, width - 12, icon="ERROR" if s.problem or is_low else "NODETREE")
    if s.problem:
        wrapped(layout.column(align=True), s.problem, icon="ERROR")
        return
    header.label(text=summary.decibels(s.psnr))
    if uv_changes.is_outgrown(decoder):
        _draw_outgrown(layout, can_recompress)
    if body is None:
        return
    box = body.column(align=True)
    if decoder.linked:
        box.label(text="Linked from another file", icon="LINKED")
    if s.before.disk:
        sizes = (summary.size(s.before.disk), summary.size(s.after.disk), s.ratio)
        wrapped(box, _("Disk {} to {}, {:.1f} times smaller").format(*sizes))
    box.label(
        text=_("Memory {} to {}").format(summary.size(s.before.memory), summary.size(s.after.memory)), icon="BLANK1"
    )
    for name, feeds, value, angle in s.maps:
        row = box.split(factor=0.6)
        named(row, _(feeds or name), int(0.6 * width), icon="BLANK1")
        row.label(text=summary.decibels(value) + ("" if angle is None else f", {angle:.1f}\N{DEGREE SIGN}"))
    if is_low:
        wrapped(box, _("{:.1f} dB in all: visible up close").format(s.psnr), icon="ERROR")
        size = reach.size(s)
        if size is not None and can_recompress and not decoder.linked:
            text = _("About {size} would reach {psnr:.0f} dB").format(size=summary.size(size), psnr=reach.GOOD)
            box.operator("imagegs.reach_quality", text=text, icon="FILE_REFRESH").decoder = decoder.name


def _draw_outgrown(layout: bpy.types.UILayout, can_recompress: bool) -> None:
    """Meshes show parts of a texture that were left out."""
    remedy = (
        "press Recompress" if can_recompress else "its originals were dropped: bring them back to compress it again"
    )
    text = _("UVs have changed since: parts of this texture were left out; {remedy}")
    wrapped(layout.column(align=True), text.format(remedy=_(remedy)), icon="ERROR")
