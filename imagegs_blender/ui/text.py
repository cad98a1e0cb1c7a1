"""Words in panels: how many fit, sentences in several lines, names shortened in their middle."""

from __future__ import annotations

from typing import Literal

import bpy

from ..operators.messages import shown as _

Icon = Literal["BLANK1", "ERROR", "IMAGE_DATA", "INFO", "MATERIAL", "MEMORY", "NODETREE", "NONE"]

_CHARACTER, _MARGIN = 6.3, 64
"""Width of a letter of the interface, on average, and what a line needs beside its letters: pixels at scale 1."""

_DEFAULT_WIDTH = 280
"""Of a sidebar as Blender opens it, pixels at scale 1."""


def columns() -> int:
    """Letters that fit beside an icon into a line of the panel that is being drawn."""
    region, preferences = bpy.context.region, bpy.context.preferences
    scale = preferences.system.ui_scale if preferences is not None else 1.0
    width = region.width / scale if region is not None and region.width > 1 else _DEFAULT_WIDTH
    return max(16, int((width - _MARGIN) / _CHARACTER))


def wrapped(layout: bpy.types.UILayout, text: str, icon: Icon = "BLANK1") -> None:
    """Labels do not wrap: a long sentence, already translated, takes several, the first with the icon."""
    line, width = "", columns()
    for word in text.split():
        if line and len(line) + len(word) + 1 > width:
            layout.label(text=line, icon=icon, translate=False)
            line, icon = "", "BLANK1"
        line = f"{line} {word}".strip()
    layout.label(text=line, icon=icon, translate=False)


def named(layout: bpy.types.UILayout, name: str, width: int, icon: Icon = "NONE", icon_value: int = 0) -> None:
    """A name, already translated, in at most so many letters; its tooltip has all of them where they don't fit."""
    short = shortened(name, width)
    if short == name:
        layout.label(text=name, icon=icon, icon_value=icon_value, translate=False)
        return
    row = layout.row()
    row.alignment = "LEFT"
    button = row.operator(
        "imagegs.whole_name", text=short, icon=icon, icon_value=icon_value, emboss=False, translate=False
    )
    setattr(button, "name", name)  # noqa: B010  its annotations know no properties


def shortened(name: str, width: int) -> str:
    """A name in at most so many letters: its beginning and its end, which tell it from others like it."""
    if len(name) <= width:
        return name
    end = (width - 3) // 2
    return f"{name[: width - 3 - end]}...{name[len(name) - end :]}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    return _("{} s").format(max(1, round(seconds))) if seconds < 90 else _("{} min").format(round(seconds / 60))
