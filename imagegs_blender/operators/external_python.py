"""The preference that lets another Python than Blender's own run the fits."""

from __future__ import annotations

import bpy

from . import devices


def _changed(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    devices.forget()


class ExternalPython:
    """The part of the add-on's preferences that is about another Python."""

    python: bpy.props.StringProperty(
        name="External Python",
        description="A Python that runs the fits instead of Blender's own, for CUDA: one with imagegs-blender[cuda]",
        subtype="FILE_PATH", update=_changed,
    )  # fmt: skip

    def draw_python(self, layout: bpy.types.UILayout) -> None:
        layout.prop(self, "python")
