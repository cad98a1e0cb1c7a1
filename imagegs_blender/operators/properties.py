"""What a person sets before pressing the button, kept in the scene; and the add-on's preferences."""

from __future__ import annotations

import os
import textwrap
from dataclasses import fields
from typing import Any

import bpy

from ..core import worker
from ..core.errors import ImageGSError
from ..core.settings import DEFAULT_BPP, DEVICES, PRESETS, FitSettings
from ..scene import memory, replace
from ..scene.coverage import Importance
from . import selection

PACKAGE = __package__.rpartition(".")[0]

_PRESET_TIPS = {
    "fast": "A usable result in well under a minute for a 1K material",
    "balanced": "Good quality in a few minutes",
    "high": "The best quality for the size; takes several times as long as Balanced",
    "paper": "The recipe of the Image-GS paper: slow, for comparisons",
}
PRESET_ITEMS = [(name, name.title(), _PRESET_TIPS.get(name, "")) for name in PRESETS]
RATE_ITEMS = [
    ("SIZE", "Size", "Kilobytes for each material's maps together"),
    ("BPP", "Bits per Pixel", "Bits for each pixel of a material's largest map, all its maps together"),
    ("QUALITY", "Quality", "The quality to reach, in dB; the size follows from the pictures"),
]
_DEVICE_TIPS = {
    "auto": ("Auto", "A CUDA GPU where there is one, else the processor"),
    "cpu": ("CPU", "The processor"),
    "cuda": ("CUDA", "An NVIDIA GPU; needs PyTorch, see External Python"),
}
DEVICE_ITEMS = [(name, *_DEVICE_TIPS[name]) for name in DEVICES]
IMPORTANCE_ITEMS = [
    ("NONE", "None", "Every part of the textures counts the same"),
    ("IMAGE", "Image", "A grey image in the layout of the textures: white parts get more detail, black parts less"),
    ("ATTRIBUTE", "Vertex Paint", "A color attribute of the meshes: light parts get more detail, dark parts less"),
]

_OPTIONS = {field.name for field in fields(FitSettings)}


_RATES = [
    item for item in RATE_ITEMS if {"SIZE": "max_bytes", "QUALITY": "target_psnr"}.get(item[0], "bpp") in _OPTIONS
]


def _set_lod(self: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    for tree in replace.trees(selection.materials(context.selected_objects)):
        for node in memory.decoder_nodes(tree):
            node.inputs["LOD"].default_value = self.lod


class IMAGEGS_PG_settings(bpy.types.PropertyGroup):
    """Settings of the next press of the button."""

    preset: bpy.props.EnumProperty(
        name="Preset", description="How much time to spend", items=PRESET_ITEMS, default="balanced"
    )
    rate: bpy.props.EnumProperty(
        name="Set", description="What decides how large the result becomes", items=_RATES, default=_RATES[0][0]
    )
    max_kilobytes: bpy.props.FloatProperty(
        name="KB per Material",
        description="The most that the maps of one material may take in the file, in kilobytes (1000 bytes)",
        default=200.0, min=1.0, soft_max=5000.0, max=65536.0, precision=0, step=1000,
    )  # fmt: skip
    bpp: bpy.props.FloatProperty(
        name="Bits per Pixel",
        description="Bits for each pixel of a material's largest map, all its maps together",
        default=DEFAULT_BPP, min=0.01, soft_max=8.0, max=64.0, precision=2, step=5,
    )  # fmt: skip
    target_psnr: bpy.props.FloatProperty(
        name="Quality (dB)",
        description="The quality to reach, averaged over a material's maps. 30 is visible up close, 35 good, 40 excellent",
        default=35.0, min=15.0, max=55.0, precision=1, step=50,
    )  # fmt: skip
    seed: bpy.props.IntProperty(
        name="Seed", description="The same seed and settings give the same result", default=0, min=0
    )
    ignore_unused: bpy.props.BoolProperty(
        name="Ignore Unused Texels",
        description="Spend nothing on parts of the textures that no mesh in the file shows",
        default=True,
    )
    importance: bpy.props.EnumProperty(
        name="Importance", description="Where detail matters most", items=IMPORTANCE_ITEMS, default="NONE"
    )
    importance_image: bpy.props.PointerProperty(
        name="Image", description="White parts get more detail, black parts less", type=bpy.types.Image
    )
    importance_attribute: bpy.props.StringProperty(
        name="Color Attribute", description="Name of a painted color attribute of the meshes", default=""
    )

    lod: bpy.props.FloatProperty(
        name="LOD",
        description="Level of detail of the selected materials: 0 is full detail, each level halves the resolution",
        default=0.0, min=0.0, max=16.0, soft_max=8.0, precision=1, update=_set_lod,
    )  # fmt: skip

    def fit_settings(self) -> FitSettings:
        """Raises ImageGSError where they can't be met."""
        amount: dict[str, float] = {"bpp": self.bpp}
        if self.rate == "SIZE":
            amount = {"max_bytes": round(self.max_kilobytes * 1000)}
        elif self.rate == "QUALITY":
            amount = {"target_psnr": self.target_psnr}
        return FitSettings.preset(self.preset, seed=self.seed, device=device(), **amount)

    def weighting(self) -> Importance:
        """Which texels count. Raises ImageGSError where the chosen mask is missing."""
        if self.importance == "IMAGE" and self.importance_image is None:
            raise ImageGSError("Importance is set to Image, but no image is chosen: choose one, or set it to None")
        if self.importance == "ATTRIBUTE" and not self.importance_attribute:
            raise ImageGSError(
                "Importance is set to Vertex Paint, but no color attribute is named: name it, or set None"
            )
        image = self.importance_image.name if self.importance == "IMAGE" else None
        attribute = self.importance_attribute if self.importance == "ATTRIBUTE" else None
        return Importance(self.ignore_unused, image, attribute)


@bpy.app.handlers.persistent
def _use_default_preset(*_: object) -> None:
    """Scenes in which nobody has chosen a preset take the preferences' one."""
    chosen = preferences()
    for scene in bpy.data.scenes if chosen else ():
        if not scene.library and not scene.imagegs.is_property_set("preset"):
            scene.imagegs.preset = chosen.default_preset


def _changed_python(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    global _detected
    _detected = None


def _changed_preset(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    _use_default_preset()


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
        layout = self.layout
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

    def execute(self, context: bpy.types.Context) -> set[str]:
        global _detected
        try:
            _detected = worker.devices(worker_options().get("python"))
        except ImageGSError as error:
            _detected = str(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, _detected)
        return {"FINISHED"}


_detected: str | None = None
"""What was found when somebody asked, in words."""


def device() -> str:
    """The device of the preferences."""
    chosen = preferences()
    return chosen.device if chosen else DEVICE_ITEMS[0][0]


def preferences() -> IMAGEGS_AP_preferences | None:
    """The add-on's preferences; None where it is not enabled as an add-on (scripts, tests)."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon else None


def worker_options() -> dict[str, Any]:
    """What the preferences say about the fit's process, as options of worker.Job."""
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


_CLASSES = (IMAGEGS_PG_settings, IMAGEGS_AP_preferences, IMAGEGS_OT_detect_devices)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.imagegs = bpy.props.PointerProperty(type=IMAGEGS_PG_settings)
    bpy.app.handlers.load_post.append(_use_default_preset)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_use_default_preset)
    del bpy.types.Scene.imagegs
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
