"""A layout that remembers what is drawn into it.

Blender makes a UILayout only for a panel in a window. This one stands for it where there is none: it takes the same
calls, holds every property, operator and icon against Blender's own lists, and keeps the words.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bpy

ICONS = set(bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys())


class Layout:
    """words: all that can be read, in order. buttons: operators by name. properties: names of those drawn."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.buttons: list[str] = []
        self.properties: list[str] = []
        self.icons: list[str] = []

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def row(self, align: bool = False) -> Layout:
        return self

    column = row

    def split(self, factor: float = 0.0) -> Layout:
        assert 0 < factor < 1
        return self

    def box(self) -> Layout:
        return self

    def panel(self, idname: str, default_closed: bool = False) -> tuple[Layout, Layout]:
        return self, self

    def label(self, text: str = "", icon: str = "NONE", icon_value: int = 0, translate: bool = True) -> None:
        self._say(text, icon)

    def progress(self, text: str = "", factor: float = 0.0) -> None:
        assert 0 <= factor <= 1
        self._say(text)

    def prop(self, data: Any, name: str, text: str = "", icon: str = "NONE", **options: bool) -> None:
        assert name in data.bl_rna.properties, name
        assert set(options) <= {"slider", "expand", "toggle"}
        self.properties.append(name)
        self._say(text or data.bl_rna.properties[name].name, icon)

    def prop_enum(self, data: Any, name: str, value: str) -> None:
        items = data.bl_rna.properties[name].enum_items
        assert value in items, value
        self.properties.append(name)
        self._say(items[value].name)

    def template_ID(self, data: Any, name: str, open: str = "") -> None:  # noqa: A002  Blender's own name
        self.prop(data, name)

    def operator(self, idname: str, text: str = "", icon: str = "NONE", **options: bool | int) -> SimpleNamespace:
        assert set(options) <= {"depress", "emboss", "icon_value", "translate"}
        room, name = idname.split(".")
        kind = getattr(getattr(bpy.ops, room), name).get_rna_type()
        self.buttons.append(name)
        self._say(text or kind.name, icon)
        return SimpleNamespace(**dict.fromkeys(kind.properties.keys()))

    def menu(self, idname: str, text: str = "") -> None:
        self._say(text or getattr(bpy.types, idname).bl_label)

    def _say(self, text: str, icon: str = "NONE") -> None:
        assert icon in ICONS, icon
        self.words.append(text)
        self.icons.append(icon)


def drawn(panel: type[bpy.types.Panel]) -> Layout:
    """What a panel draws now."""
    layout = Layout()
    panel.draw(SimpleNamespace(layout=layout), bpy.context)
    return layout
