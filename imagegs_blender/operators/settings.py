"""What a person sets before pressing the button, kept in the scene."""

from __future__ import annotations

import bpy

from ..blend import border
from ..blend.amount import Amount
from ..core.settings import FitSettings
from ..scene.coverage import Importance
from ..workflow import levels, selection
from .preferences import PRESET_ITEMS, where

IMPORTANCE_ITEMS = [
    ("NONE", "None", "Every part of the textures counts the same"),
    ("IMAGE", "Image", "A gray image in the layout of the textures: white parts get more detail, black parts less"),
    ("ATTRIBUTE", "Vertex Paint", "A color attribute of the meshes: light parts get more detail, dark parts less"),
]

WEIGH_ITEMS = [
    ("ALIKE", "Alike", "Every map is kept equally well"),
    (
        "USE",
        "By Use",
        "As much as a map matters in a lit render: normal maps most, then colors, then roughness and the like",
    ),
    (
        "RENDER",
        "By Render",
        "As much as a map matters in small renders of this very material, which take some seconds; alike where there are none",
    ),
    (
        "CAMERA",
        "By Camera",
        "As much as a map, and a part of it, matters to the cameras of this scene in small renders; alike where there is none",
    ),
]


def _lod(self: IMAGEGS_PG_settings) -> float:
    return min(levels.levels(selection.chosen(bpy.context)), default=0.0)


def _set_lod(self: IMAGEGS_PG_settings, level: float) -> None:
    levels.set_levels(selection.chosen(bpy.context), level)


class IMAGEGS_PG_settings(Amount, bpy.types.PropertyGroup):
    """Settings of the next press of the button."""

    preset: bpy.props.EnumProperty(
        name="Preset", description="How much time to spend", items=PRESET_ITEMS, default="balanced"
    )
    seed: bpy.props.IntProperty(
        name="Seed", description="The same seed and settings give the same result", default=0, min=0
    )
    even_if_not_smaller: bpy.props.BoolProperty(
        name="Even If Not Smaller",
        description="Compress textures, too, that would take no less of the file: for less memory, or levels of detail",
        default=False,
    )
    ignore_unused: bpy.props.BoolProperty(
        name="Ignore Unused Texels",
        description="Spend nothing on parts of the textures that no mesh in the file shows",
        default=True,
    )
    weigh: bpy.props.EnumProperty(
        name="Maps Count",
        description="How much the maps of a material count beside each other",
        items=WEIGH_ITEMS, default="ALIKE",
    )  # fmt: skip
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
        description="Level of detail of the chosen materials: 0 is full detail, each level halves the resolution",
        min=0.0, max=16.0, soft_max=8.0, precision=1, get=_lod, set=_set_lod,
    )  # fmt: skip

    def fit_settings(self) -> FitSettings:
        """Raises ImageGSError where they can't be met."""
        weigh = self.weigh.lower()
        return FitSettings.preset(self.preset, seed=self.seed, weigh=weigh, **where(), **self.amount())

    def weighting(self) -> Importance:
        """Which texels count. Raises ImageGSError where the chosen mask is missing."""
        image = self.importance_image.name if self.importance_image else ""
        return Importance.of(
            self.ignore_unused,
            image if self.importance == "IMAGE" else None,
            self.importance_attribute if self.importance == "ATTRIBUTE" else None,
        )


def register() -> None:
    bpy.utils.register_class(IMAGEGS_PG_settings)
    border.Scene.imagegs = bpy.props.PointerProperty(type=IMAGEGS_PG_settings)


def unregister() -> None:
    del border.Scene.imagegs
    bpy.utils.unregister_class(IMAGEGS_PG_settings)
