"""The add-on's preferences: threads, device, caches."""

from __future__ import annotations

import os
import textwrap
from typing import Any

import bpy

from ..blend import border
from ..core.errors import ImageGSError
from ..core.process import interpreter
from ..core.settings import DEVICES, PRESETS

PACKAGE = __package__.rpartition(".")[0]

_PRESET_TIPS = {
    "fast": "A usable result in well under a minute for a 1K material",
    "balanced": "Good quality in a few minutes",
    "high": "The best quality for the size; takes several times as long as Balanced",
    "paper": "The recipe of the Image-GS paper: slow, for comparisons",
}
PRESET_ITEMS = [(name, name.title(), _PRESET_TIPS.get(name, "")) for name in PRESETS]
_DEVICE_TIPS = {
    "auto": ("Auto", "A CUDA GPU where there is one, else the processor"),
    "cpu": ("CPU", "The processor"),
    "cuda": ("CUDA", "An NVIDIA GPU; needs PyTorch, see External Python"),
}
DEVICE_ITEMS = [(name, *_DEVICE_TIPS[name]) for name in DEVICES]


def _changed_python(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    global _detected
    _detected = None


def _changed_preset(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    _use_default_preset()


@bpy.app.handlers.persistent
def _use_default_preset(*_: object) -> None:
    """Scenes in which nobody has chosen a preset take the preferences' one."""
    chosen = preferences()
    for scene in bpy.data.scenes if chosen else ():
        if scene.library is None and not border.ours(scene).imagegs.is_property_set("preset"):
            border.ours(scene).imagegs.preset = chosen.default_preset


class IMAGEGS_AP_preferences(bpy.types.AddonPreferences):
    """Preferences of the add-on."""

    bl_idname = PACKAGE

    threads: bpy.props.IntProperty(
        name="Threads", description="Processor threads for a fit; 0: all of them", default=0, min=0, max=os.cpu_count()
    )
    device: bpy.props.EnumProperty(
        name="Device", description="What fits run on", items=DEVICE_ITEMS, default=DEVICE_ITEMS[0][0]
    )
    python: bpy.props.StringProperty(
        name="External Python",
        description="A Python that runs the fits instead of Blender's own, for CUDA: one with imagegs-blender[cuda]",
        subtype="FILE_PATH", update=_changed_python,
    )  # fmt: skip
    cache_folder: bpy.props.StringProperty(
        name="Cache Folder",
        description="Where compiled code is kept, so that later fits start faster. Empty: the extension's own folder",
        subtype="DIR_PATH",
    )
    default_preset: bpy.props.EnumProperty(
        name="Default Preset",
        description="The preset of scenes in which none was chosen yet",
        items=PRESET_ITEMS,
        default="balanced",
        update=_changed_preset,
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = border.layout(self)
        layout.use_property_split = True
        layout.prop(self, "default_preset")
        layout.prop(self, "threads")
        layout.prop(self, "device")
        layout.prop(self, "python")
        row = layout.row()
        row.operator("imagegs.detect_devices", icon="VIEWZOOM")
        for line in textwrap.wrap(_detected or "", 90):
            layout.label(text=line, icon="INFO", translate=False)
        layout.prop(self, "cache_folder")


class IMAGEGS_OT_detect_devices(bpy.types.Operator):
    """Look for what fits can run on here: the processor, and CUDA; takes some seconds"""

    bl_idname = "imagegs.detect_devices"
    bl_label = "Detect Devices"

    def execute(self, context: bpy.types.Context) -> border.Result:
        global _detected
        try:
            _detected = interpreter.devices(worker_options().get("python"))
        except ImageGSError as error:
            _detected = str(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, _detected)
        return {"FINISHED"}


_detected: str | None = None
"""The devices that were there when somebody asked, in words."""


def device() -> str:
    """The device of the preferences."""
    chosen = preferences()
    return chosen.device if chosen else DEVICE_ITEMS[0][0]


def preferences() -> IMAGEGS_AP_preferences | None:
    """The add-on's preferences; None where it is not enabled as an add-on (scripts, tests)."""
    everyone = bpy.context.preferences
    assert everyone is not None
    addon = everyone.addons.get(PACKAGE)
    return addon.preferences if addon else None


def worker_options() -> dict[str, Any]:
    """What the preferences say about the fit's process, as options of worker.Worker."""
    chosen = preferences()
    if chosen is None:
        return {}
    environment = {}
    if chosen.threads:
        environment["NUMBA_NUM_THREADS"] = str(chosen.threads)
    if chosen.cache_folder:
        environment["NUMBA_CACHE_DIR"] = bpy.path.abspath(chosen.cache_folder)
    python = bpy.path.abspath(chosen.python) if chosen.python else None
    return {"python": python, "environment": environment}


_CLASSES = (IMAGEGS_AP_preferences, IMAGEGS_OT_detect_devices)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.app.handlers.load_post.append(_use_default_preset)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_use_default_preset)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
