"""Sentences in panels."""

from __future__ import annotations

from typing import Literal

import bpy

Icon = Literal["BLANK1", "ERROR", "INFO"]


def wrapped(layout: bpy.types.UILayout, text: str, width: int = 46, icon: Icon = "BLANK1") -> None:
    """Labels do not wrap: a long sentence takes several, the first with the icon."""
    line = ""
    for word in text.split():
        if line and len(line) + len(word) + 1 > width:
            layout.label(text=line, icon=icon)
            line, icon = "", "BLANK1"
        line = f"{line} {word}".strip()
    layout.label(text=line, icon=icon)
