"""The run in progress: all of it, its stacks, quality so far, time left, and a button to stop."""

from __future__ import annotations

import bpy

from ..operators.messages import shown as _
from ..workflow import run
from ..workflow.compress import Phase
from .text import duration, wrapped


def draw(layout: bpy.types.UILayout, work: run.Run) -> None:
    """The bars of a run, in the place of the panel."""
    update = work.update
    column = layout.column()
    if update is not None and update.phase is Phase.PREPARING:
        wrapped(column, _("Preparing for this computer: this happens once"), icon="INFO")
        column.progress(factor=work.part, text=f"{work.part:.0%}")
        _draw_end(layout)
        return
    left = work.seconds_left
    text = f"{work.whole:.0%}"
    if left is not None:
        text = _("{percent:.0%}, {time} left").format(percent=work.whole, time=duration(left))
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
    _draw_end(layout)


def _draw_end(layout: bpy.types.UILayout) -> None:
    wrapped(layout, _("Nothing changes before it is finished"), icon="INFO")
    row = layout.row()
    row.scale_y = 1.4
    row.operator("imagegs.cancel", icon="CANCEL", text="Cancel (Esc)")
