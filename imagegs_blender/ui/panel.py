"""The Image-GS panel: the same in the 3D Viewport, the Shader Editor and Material properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoders
from ..blend.properties import KINDS
from ..core.errors import ImageGSError
from ..operators.messages import counted
from ..operators.messages import shown as _
from ..operators.settings import IMAGEGS_PG_settings
from ..scene.material_stack import Plan, StackPlan
from ..scene.skipped import lines as skipped_lines
from ..workflow import as_images, forecast, levels, rebuild, run, selection, summary, uv_changes
from ..workflow.compress import Phase
from .text import wrapped

if TYPE_CHECKING:
    _Base = bpy.types.Panel
else:
    _Base = object  # the classes of each place are the panels


class _Panel(_Base):
    bl_label = "Image-GS"
    bl_category = "Image-GS"

    def draw(self, context: bpy.types.Context) -> None:
        layout = border.layout(self)
        if run.current is not None:
            _draw_progress(layout, run.current)
            return
        for problem in rebuild.problems():
            wrapped(layout.column(align=True), problem, icon="ERROR")
        materials = selection.chosen(context)
        _draw_scope(layout, context, materials)
        settings: IMAGEGS_PG_settings = border.ours(context.scene).imagegs
        _draw_settings(layout, settings)
        if materials:
            _draw_forecast(layout, materials, settings)
            _draw_compressed(layout, context, materials)


class _Memory(_Base):
    bl_label = "Compressed in This File"
    bl_category = "Image-GS"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = border.layout(self)
        compressed = decoders()
        for decoder in compressed:
            s = summary.of(decoder)
            row = layout.row()
            row.label(translate=False, text=decoder.short_name, icon="ERROR" if s.problem else "NODETREE")
            users = counted(decoder.tree.users, "user", "users")
            row.label(text=_("{size}, {users}").format(size=summary.size(s.after.disk), users=users))
        if compressed:
            layout.label(text=_("Saved on disk: {size}").format(size=summary.size(summary.saved(compressed))))
            layout.operator("imagegs.copy_report", icon="COPYDOWN")
        else:
            layout.label(text="Nothing is compressed yet", icon="INFO")
        _draw_memory(layout, border.scene(context))


def _draw_scope(layout: bpy.types.UILayout, context: bpy.types.Context, materials: list[bpy.types.Material]) -> None:
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


_BUTTON = {
    selection.ACTIVE: "Compress Active Material",
    selection.SELECTED: "Compress Selected Materials",
    selection.FILE: "Compress Whole File",
}


def _draw_progress(layout: bpy.types.UILayout, work: run.Run) -> None:
    """The run in progress: overall, its material, quality so far, time left, and a button to stop."""
    update = work.update
    column = layout.column()
    left = work.seconds_left
    text = (
        f"{work.whole:.0%}"
        if left is None
        else _("{percent:.0%}, {time} left").format(percent=work.whole, time=_time(left))
    )
    column.progress(factor=work.whole, text=text)
    if update is not None:
        box = column.box().column(align=True)
        for index, name in enumerate(update.names):
            row = box.row()
            if index < update.fitted:
                row.label(translate=False, text=name, icon="CHECKMARK")
            elif index == update.index:
                row.progress(factor=work.part, text=name)
                quality = "" if work.psnr is None else f", {work.psnr:.1f} dB"
                box.label(text=f"{_(work.phase)}{quality}", icon="BLANK1")
            else:
                row.label(translate=False, text=name, icon="DOT")
        if update.phase is Phase.BUILDING:
            box.label(text=_(work.phase), icon="BLANK1")
    column.label(text="Nothing changes before it is finished", icon="INFO")
    row = layout.row()
    row.scale_y = 1.4
    row.operator("imagegs.cancel", icon="CANCEL", text="Cancel (Esc)")


def _draw_settings(layout: bpy.types.UILayout, settings: IMAGEGS_PG_settings) -> None:
    row = layout.row(align=True)
    for preset in ("fast", "balanced", "high"):
        row.prop_enum(settings, "preset", preset)
    column = layout.column(align=True)
    column.row(align=True).prop(settings, "rate", expand=True)
    column.prop(settings, {"SIZE": "max_kilobytes", "BPP": "bpp", "QUALITY": "target_psnr"}[settings.rate])
    column.prop(settings, "even_if_not_smaller")
    header, body = layout.panel("imagegs_importance", default_closed=True)
    header.label(text="Where Detail Goes")
    if body is not None:
        body.prop(settings, "ignore_unused")
        body.row(align=True).prop(settings, "importance", expand=True)
        if settings.importance == "IMAGE":
            body.template_ID(settings, "importance_image", open="image.open")
        elif settings.importance == "ATTRIBUTE":
            body.prop(settings, "importance_attribute")
        body.prop(settings, "seed")


def _draw_forecast(
    layout: bpy.types.UILayout, materials: list[bpy.types.Material], settings: IMAGEGS_PG_settings
) -> None:
    """What a press would do."""
    try:
        fit = settings.fit_settings()
    except ImageGSError as error:
        layout.label(text=str(error), icon="ERROR")
        return
    plan = forecast.plan(materials, None if settings.even_if_not_smaller else fit)
    if plan.stacks:
        guess = forecast.estimate(plan, fit)
        size = (
            _("size follows from quality")
            if guess.bytes is None
            else _("up to {size}").format(size=summary.size(guess.bytes))
        )
        layout.label(text=_("Estimate: {size}, about {time}").format(size=size, time=_time(guess.seconds)), icon="TIME")
    _draw_plan(layout, plan)


def _draw_plan(layout: bpy.types.UILayout, plan: Plan) -> None:
    left = [skipped for skipped in plan.skipped if not skipped.reason.startswith("already compressed")]
    if not plan.stacks and not left:
        return
    header, body = layout.panel("imagegs_found", default_closed=False)
    stacks = counted(len(plan.stacks), "texture stack", "texture stacks")
    header.label(text=_("Found: {stacks}").format(stacks=stacks))
    if body is None:
        return
    for stack in plan.stacks:
        _draw_stack(body, stack)
    if left:
        box = body.box().column(align=True)
        box.label(text="Left as they are:", icon="INFO")
        for line in skipped_lines(left):
            wrapped(box, line)
        if any(skipped.reason.startswith("linked from") for skipped in left):
            box.operator("imagegs.make_local", icon="LINKED")


def _draw_stack(layout: bpy.types.UILayout, stack: StackPlan) -> None:
    box = layout.box().column(align=True)
    channels = sum(len(m.channels) for m in stack.maps)
    row = box.row()
    row.label(translate=False, text=", ".join(stack.materials), icon="MATERIAL")
    size = _("{width} x {height}, {channels} channels").format(
        width=stack.largest.width, height=stack.largest.height, channels=channels
    )
    row.label(text=size)
    for m in stack.maps:
        image = bpy.data.images.get((m.image.name, m.image.library or None))
        row = box.row()
        if image is not None and image.preview is not None:
            row.label(translate=False, text=m.image.name, icon_value=image.preview.icon_id)
        else:
            row.label(translate=False, text=m.image.name, icon="IMAGE_DATA")
        row.label(text=", ".join(m.labels))
    for other in forecast.sharing(stack):
        wrapped(
            box, _("Shares images with {name}: select both and press Recompress to share one stack").format(name=other)
        )


def _draw_compressed(
    layout: bpy.types.UILayout, context: bpy.types.Context, materials: list[bpy.types.Material]
) -> None:
    used = selection.decoders(materials)
    if not used:
        return
    header, body = layout.panel("imagegs_compressed", default_closed=False)
    header.label(text=_("Compressed: {count}").format(count=len(used)))
    if body is None:
        return
    _draw_lod(body, context, materials)
    row = body.row(align=True)
    row.prop(context.scene, "imagegs_lod_by_distance")
    if border.ours(context.scene).imagegs_lod_by_distance:
        row.prop(context.scene, "imagegs_lod_bias", text="Bias")
    body.prop(context.scene, "imagegs_max_detail")
    _draw_kinds(body, [decoder for decoder in used if decoder.is_sound])
    for decoder in used:
        _draw_summary(body, decoder)
        if uv_changes.is_outgrown(decoder):
            _draw_outgrown(body, selection.has_originals(materials))
    grid = body.column(align=True)
    grid.operator("imagegs.compare", icon="IMAGE_ALPHA")
    grid.operator("imagegs.copy_report", icon="COPYDOWN")
    grid.operator("imagegs.recompress", icon="FILE_REFRESH")
    grid.operator("imagegs.restore", icon="LOOP_BACK")
    grid.operator("imagegs.drop_originals", icon="TRASH")
    grid.operator("imagegs.bake", icon="RENDER_STILL")
    if as_images.shows_originals(materials):
        grid.operator("imagegs.show_originals", icon="HIDE_OFF", depress=True)
    elif as_images.is_shown(materials):
        wrapped(grid, _("Shown as images: saved files keep the Gaussians"))
        grid.operator("imagegs.show_as_gaussians", icon="NODETREE", depress=True)
    else:
        grid.operator("imagegs.show_originals", icon="HIDE_OFF")
        grid.operator("imagegs.show_as_images", icon="IMAGE_DATA")
    row = grid.row(align=True)
    row.operator("imagegs.export_stream", icon="EXPORT")
    row.operator("imagegs.import_stream", icon="IMPORT")


def _draw_lod(layout: bpy.types.UILayout, context: bpy.types.Context, materials: list[bpy.types.Material]) -> None:
    """The finest LOD of all; moving the slider gives all of them one."""
    found = levels.levels(materials)
    text = _("LOD") if len(found) < 2 else _("LOD ({least:g} to {most:g})").format(least=min(found), most=max(found))
    layout.prop(border.ours(context.scene).imagegs, "lod", text=text, slider=True)


def _draw_kinds(layout: bpy.types.UILayout, decoders: list[Decoder]) -> None:
    kinds = {decoder.kind for decoder in decoders}
    row = layout.row(align=True)
    for kind in KINDS:
        name = kind.title() if kind != "OSL" else kind
        row.operator("imagegs.set_decoder", text=name, depress=kind in kinds).kind = kind
    packed = bool(decoders) and all(decoder.self_contained for decoder in decoders)
    layout.operator("imagegs.self_contained", icon="PACKAGE", depress=packed).keep = not packed


def _draw_summary(layout: bpy.types.UILayout, decoder: Decoder) -> None:
    s = summary.of(decoder)
    box = layout.box().column(align=True)
    box.label(translate=False, text=decoder.name, icon="NODETREE")
    if s.problem:
        wrapped(box, s.problem, icon="ERROR")
        return
    if decoder.linked:
        box.label(text="Linked from another file", icon="LINKED")
    if s.before.disk:
        sizes = (summary.size(s.before.disk), summary.size(s.after.disk), s.ratio)
        box.label(text=_("Disk {} to {} ({:.1f} times smaller)").format(*sizes))
    box.label(text=_("Memory {} to {}").format(summary.size(s.before.memory), summary.size(s.after.memory)))
    for name, feeds, value, angle in s.maps:
        row = box.row()
        row.label(text=feeds or name)
        row.label(text=summary.decibels(value) + ("" if angle is None else f", {angle:.1f}\N{DEGREE SIGN}"))


def _draw_outgrown(layout: bpy.types.UILayout, can_recompress: bool) -> None:
    """Meshes show parts of a texture that were left out."""
    remedy = (
        "press Recompress" if can_recompress else "its originals were dropped: bring them back to compress it again"
    )
    text = _("UVs have changed since: parts of this texture were left out; {remedy}")
    wrapped(layout.column(align=True), text.format(remedy=_(remedy)), icon="ERROR")


def _draw_memory(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    images, decoders, costliest = summary.scene_memory(scene)
    box = layout.box().column(align=True)
    box.label(text="Texture memory of this scene:", icon="MEMORY")
    box.label(text=_("Images {images}, decoders {decoders}").format(
        images=summary.size(images.memory), decoders=summary.size(decoders.memory)
    ))  # fmt: skip
    for image, cost in costliest[:8]:
        row = box.row()
        row.label(translate=False, text=image.name, icon="IMAGE_DATA")
        row.label(text=summary.size(cost.memory))


def _time(seconds: float) -> str:
    return _("{} s").format(max(1, round(seconds))) if seconds < 90 else _("{} min").format(round(seconds / 60))


def _places(base: type, name: str) -> list[type]:
    """The panel once for each place that shows it."""
    places: dict[str, dict[str, Any]] = {
        "view3d": {"bl_space_type": "VIEW_3D", "bl_region_type": "UI"},
        "node": {"bl_space_type": "NODE_EDITOR", "bl_region_type": "UI", "poll": classmethod(_in_shader_editor)},
        "material": {"bl_space_type": "PROPERTIES", "bl_region_type": "WINDOW", "bl_context": "material"},
    }
    return [type(f"IMAGEGS_PT_{name}_{place}", (base, bpy.types.Panel), options) for place, options in places.items()]


def _in_shader_editor(cls: type, context: bpy.types.Context) -> bool:
    space = context.space_data
    return isinstance(space, bpy.types.SpaceNodeEditor) and space.tree_type == "ShaderNodeTree"


register, unregister = border.registered(*_places(_Panel, "compress"), *_places(_Memory, "file"))
