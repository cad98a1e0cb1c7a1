"""What fits run on, where there is a choice: the device, another Python, and the button that looks for devices."""

from __future__ import annotations

import textwrap

import bpy

from ..blend import border
from ..core.errors import ImageGSError
from ..core.process import interpreter
from ..core.settings import DEVICES
from . import addon

_TIPS = {
    "auto": ("Auto", "A CUDA GPU where there is one, else the processor"),
    "cpu": ("CPU", "The processor"),
    "cuda": ("CUDA", "An NVIDIA GPU; needs PyTorch, see External Python"),
}
_ITEMS = [(name, *_TIPS[name]) for name in DEVICES]


def _changed_python(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    global _detected
    _detected = None


class DevicePreferences:
    """The part of the add-on's preferences that is about devices."""

    device: bpy.props.EnumProperty(name="Device", description="What fits run on", items=_ITEMS, default=_ITEMS[0][0])
    python: bpy.props.StringProperty(
        name="External Python",
        description="A Python that runs the fits instead of Blender's own, for CUDA: one with imagegs-blender[cuda]",
        subtype="FILE_PATH", update=_changed_python,
    )  # fmt: skip

    def draw_devices(self, layout: bpy.types.UILayout) -> None:
        layout.prop(self, "device")
        layout.prop(self, "python")
        row = layout.row()
        row.operator("imagegs.detect_devices", icon="VIEWZOOM")
        for line in textwrap.wrap(_detected or "", 90):
            layout.label(text=line, icon="INFO", translate=False)

    def chosen_python(self) -> str | None:
        """The program file of the Python that runs fits; None is Blender's own."""
        return bpy.path.abspath(self.python) if self.python else None


class IMAGEGS_OT_detect_devices(bpy.types.Operator):
    """Look for what fits can run on here: the processor, and CUDA; takes some seconds"""

    bl_idname = "imagegs.detect_devices"
    bl_label = "Detect Devices"

    def execute(self, context: bpy.types.Context) -> border.Result:
        global _detected
        chosen = addon.preferences()
        try:
            _detected = interpreter.devices(chosen.chosen_python() if chosen else None)
        except ImageGSError as error:
            _detected = str(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, _detected)
        return {"FINISHED"}


_detected: str | None = None
"""The devices that were there when somebody asked, in words."""

register, unregister = border.registered(IMAGEGS_OT_detect_devices)
