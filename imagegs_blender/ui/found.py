"""What a press would do: what it would take and how long, the stacks, and what is left as it is."""

from __future__ import annotations

import bpy

from ..blend import border
from ..core.errors import ImageGSError
from ..operators.messages import counted
from ..operators.messages import shown as _
from ..operators.settings import IMAGEGS_PG_settings
from ..scene.material_stack import Plan, StackPlan
from ..scene.skipped import lines
from ..workflow import forecast, summary
from .text import columns, duration, named, wrapped


def draw(layout: bpy.types.UILayout, context: bpy.types.Context, materials: list[bpy.types.Material]) -> None:
    """The estimate, and the plan."""
    settings: IMAGEGS_PG_settings = border.ours(context.scene).imagegs
    try:
        fit = settings.fit_settings()
    except ImageGSError as error:
        wrapped(layout, str(error), icon="ERROR")
        return
    plan = forecast.plan(materials, None if settings.even_if_not_smaller else fit)
    if plan.stacks:
        _draw_estimate(layout, forecast.estimate(plan, fit))
    _draw_plan(layout, plan)


def _draw_estimate(layout: bpy.types.UILayout, guess: forecast.Estimate) -> None:
    column = layout.column(align=True)
    unknown = _("by quality")
    bytes_after = unknown if guess.bytes is None else _("up to {size}").format(size=summary.size(guess.bytes))
    memory_after = unknown if guess.memory is None else _("about {size}").format(size=summary.size(guess.memory))
    rows = ((_("File"), guess.before.disk, bytes_after), (_("Memory"), guess.before.memory, memory_after))
    for name, before, after in rows:
        column.label(text=_("{name}: {before} now, {after} then").format(
            name=name, before=summary.size(before), after=after
        ))  # fmt: skip
    column.label(text=_("Takes about {time}").format(time=duration(guess.seconds)), icon="TIME")


def _draw_plan(layout: bpy.types.UILayout, plan: Plan) -> None:
    left = [skipped for skipped in plan.skipped if not skipped.reason.startswith("already compressed")]
    if plan.stacks:
        header, body = layout.panel("imagegs_found", default_closed=len(plan.stacks) > 4)
        stacks = counted(len(plan.stacks), "texture stack", "texture stacks")
        header.label(text=_("Found: {stacks}").format(stacks=stacks))
        for stack in plan.stacks if body is not None else ():
            _draw_stack(body, stack, is_open=len(plan.stacks) <= 2)
    if left:
        header, body = layout.panel("imagegs_left", default_closed=False)
        header.label(text=_("Left as they are: {count}").format(count=len(left)))
        if body is not None:
            column = body.column(align=True)
            for line in lines(left):
                wrapped(column, line)
            if any(skipped.reason.startswith("linked from") for skipped in left):
                body.operator("imagegs.make_local", icon="LINKED")


def _draw_stack(layout: bpy.types.UILayout, stack: StackPlan, is_open: bool) -> None:
    """A line that unfolds to the maps of a stack."""
    width = columns()
    header, body = layout.panel(f"imagegs_stack {stack.name}", default_closed=not is_open)
    named(header, stack.name, width - 14, icon="MATERIAL")
    header.label(translate=False, text=f"{stack.largest.width} x {stack.largest.height}")
    if body is None:
        return
    box = body.column(align=True)
    if len(stack.materials) > 1:
        wrapped(box, ", ".join(stack.materials))
    for m in stack.maps:
        image = bpy.data.images.get((m.image.name, m.image.library or None))
        row = box.split(factor=0.5)
        if image is not None and image.preview is not None:
            named(row, m.image.name, width // 2 - 2, icon_value=image.preview.icon_id)
        else:
            named(row, m.image.name, width // 2 - 2, icon="IMAGE_DATA")
        named(row, _(", ".join(m.labels)), width // 2 + 3)
    for note in forecast.notes(stack):
        wrapped(box, note, icon="INFO")
