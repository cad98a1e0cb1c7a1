"""The add-on's preferences: the preset of new scenes, threads, where caches are, and what devices.py adds."""

from __future__ import annotations

import os
from typing import Any

import bpy

from ..blend import border
from ..core.edition import COMPLETE
from ..core.settings import PRESETS
from . import addon
from .devices import DevicePreferences, decode_as_preferred

if COMPLETE:
    from .external_python import ExternalPython
else:

    class ExternalPython:  # type: ignore[no-redef]  # one of the two is defined
        """Fits run in Blender's own."""


_PRESET_TIPS = {
    "fast": "A usable result in well under a minute for a 1K material",
    "balanced": "Good quality in a few minutes",
    "high": "The best quality for the size; takes several times as long as Balanced",
    "paper": "The recipe of the Image-GS paper: slow, for comparisons",
}
PRESET_ITEMS = [(name, name.title(), _PRESET_TIPS.get(name, "")) for name in PRESETS]


def _changed_preset(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    _use_default_preset()


@bpy.app.handlers.persistent
def _use_default_preset(*_: object) -> None:
    """Scenes in which nobody has chosen a preset take the preferences' one."""
    chosen = addon.preferences()
    for scene in bpy.data.scenes if chosen else ():
        if scene.library is None and not border.ours(scene).imagegs.is_property_set("preset"):
            border.ours(scene).imagegs.preset = chosen.default_preset


class IMAGEGS_AP_preferences(ExternalPython, DevicePreferences, bpy.types.AddonPreferences):
    """Preferences of the add-on."""

    bl_idname = addon.PACKAGE

    threads: bpy.props.IntProperty(
        name="Threads", description="Processor threads for a fit; 0: all of them", default=0, min=0, max=os.cpu_count()
    )
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
        self.draw_devices(layout)
        layout.prop(self, "cache_folder")


def where() -> dict[str, str]:
    """What fits run on by the preferences, as options of FitSettings."""
    chosen = addon.preferences()
    return {"device": chosen.device, "adapter": chosen.adapter} if chosen else {}


def worker_options() -> dict[str, Any]:
    """What the preferences say about the fit's process, as options of worker.Worker."""
    chosen = addon.preferences()
    if chosen is None:
        return {}
    environment = {}
    if chosen.threads:
        environment["NUMBA_NUM_THREADS"] = str(chosen.threads)
    if chosen.cache_folder:
        environment["NUMBA_CACHE_DIR"] = bpy.path.abspath(chosen.cache_folder)
    return {"python": chosen.chosen_python(), "environment": environment}


def register() -> None:
    bpy.utils.register_class(IMAGEGS_AP_preferences)
    decode_as_preferred()
    bpy.app.handlers.load_post.append(_use_default_preset)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_use_default_preset)
    bpy.utils.unregister_class(IMAGEGS_AP_preferences)
