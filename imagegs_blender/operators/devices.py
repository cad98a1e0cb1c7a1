"""What fits run on: the device, the graphics card, and the button that looks for them."""

from __future__ import annotations

import textwrap

import bpy

from ..blend import border
from ..core.decoding import renderer
from ..core.devices.here import Here
from ..core.errors import ImageGSError
from ..core.process import looking
from ..core.settings import DEVICES
from . import addon

_TIPS = {
    "auto": ("Auto", "The graphics card where there is one that works, else the processor"),
    "cpu": ("Processor", "The processor, on every computer"),
    "gpu": ("Graphics Card", "A card of any maker, by its own driver"),
    "cuda": ("CUDA", "An NVIDIA card, by a Python that is set up for it"),
}
_ITEMS = [(name, *_TIPS[name]) for name in DEVICES]


def forget() -> None:
    """What was detected is not so any more."""
    global _detected
    _detected = None


def _changed_device(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    decode_as_preferred()


def decode_as_preferred() -> None:
    """What the preferences say of fits goes for decoding, too, where Blender's own GPU can't be reached."""
    chosen = addon.preferences()
    if chosen:
        renderer.preferred = (chosen.device if chosen.device in renderer.PLACES else "auto", chosen.adapter)


def _adapters(self: bpy.types.AddonPreferences, context: bpy.types.Context, typed: str) -> list[str]:
    """Graphics cards that Detect Devices found and that fit what is typed."""
    return [name for name in (_detected.adapters if _detected else []) if typed.lower() in name.lower()]


class DevicePreferences:
    """The part of the add-on's preferences that is about devices."""

    device: bpy.props.EnumProperty(
        name="Device", description="What fits run on", items=_ITEMS, default=_ITEMS[0][0], update=_changed_device
    )
    adapter: bpy.props.StringProperty(
        name="Graphics Card",
        description="Name of the graphics card that fits run on, or part of it. Empty: the first one",
        search=_adapters, update=_changed_device,
    )  # fmt: skip

    def draw_devices(self, layout: bpy.types.UILayout) -> None:
        layout.prop(self, "device")
        row = layout.row()
        row.active = self.device in ("auto", "gpu")
        row.prop(self, "adapter")
        self.draw_python(layout)
        row = layout.row()
        row.operator("imagegs.detect_devices", icon="VIEWZOOM")
        for line in _detected.lines if _detected else ():
            for part in textwrap.wrap(line, 90):
                layout.label(text=part, icon="DOT", translate=False)

    def draw_python(self, layout: bpy.types.UILayout) -> None:
        """ExternalPython has one to draw."""

    def chosen_python(self) -> str | None:
        """The program file of the Python that runs fits; None is Blender's own."""
        python = getattr(self, "python", "")
        return bpy.path.abspath(python) if python else None


class IMAGEGS_OT_detect_devices(bpy.types.Operator):
    """Look for what fits can run on here: the processor and graphics cards; takes some seconds"""

    bl_idname = "imagegs.detect_devices"
    bl_label = "Detect Devices"

    def execute(self, context: bpy.types.Context) -> border.Result:
        global _detected
        chosen = addon.preferences()
        try:
            _detected = looking.devices(chosen.chosen_python() if chosen else None)
        except ImageGSError as error:
            _detected = None
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, "; ".join(_detected.lines))
        return {"FINISHED"}


_detected: Here | None = None
"""The devices that were there when somebody asked."""

register, unregister = border.registered(IMAGEGS_OT_detect_devices)
