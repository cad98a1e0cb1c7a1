"""How much compressed textures may take: chosen for a scene, and for each material that has a size or quality of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from ..core.settings import DEFAULT_BPP

_RATE_ITEMS = [
    ("SIZE", "Size", "Kilobytes for each material's maps together"),
    ("BPP", "Bits per Pixel", "Bits for each pixel of a material's largest map, all its maps together"),
    ("QUALITY", "Quality", "The quality to reach, in dB; the size follows from the pictures"),
]


DECISIVE = {"SIZE": "max_kilobytes", "BPP": "bpp", "QUALITY": "target_psnr"}
"""The property that decides, by rate."""


def as_setting(rate: str, value: float) -> dict[str, float]:
    """The property that decides as a setting of a fit, by name."""
    return {"max_bytes": round(1000 * value)} if rate == "SIZE" else {DECISIVE[rate]: value}


class Amount:
    """Properties of a group: `rate` says which of the others decides."""

    rate: bpy.props.EnumProperty(
        name="Set", description="What decides how large the result becomes", items=_RATE_ITEMS, default="SIZE"
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

    def amount(self) -> dict[str, float]:
        """The amount as a setting of a fit, by name."""
        return as_setting(self.rate, getattr(self, self.decisive))

    @property
    def decisive(self) -> str:
        """The name of the property that decides."""
        return DECISIVE[self.rate]


class IMAGEGS_PG_material(Amount, bpy.types.PropertyGroup):
    """What a material remembers."""

    has_own: bpy.props.BoolProperty(
        name="A Size of Its Own",
        description="This material keeps a size or quality of its own, whatever is set for the others",
        default=False,
    )


def of(material: bpy.types.Material) -> IMAGEGS_PG_material:
    """What a material remembers."""
    anyone: Any = material
    return anyone.imagegs


def own(name: str) -> dict[str, float]:
    """The amount of its own that a material of the open file has, as Amount.amount(); empty where it has none."""
    remembered = getattr(bpy.data.materials.get((name, None)), "imagegs", None)  # nothing is known before register()
    return remembered.amount() if remembered is not None and remembered.has_own else {}


@contextmanager
def known() -> Iterator[None]:
    """What materials remember can be read, also where the add-on is not registered, for as long as the context lasts."""
    if hasattr(bpy.types.Material, "imagegs"):
        yield
        return
    register()
    try:
        yield
    finally:
        unregister()


def register() -> None:
    bpy.utils.register_class(IMAGEGS_PG_material)
    materials: Any = bpy.types.Material
    materials.imagegs = bpy.props.PointerProperty(type=IMAGEGS_PG_material)


def unregister() -> None:
    materials: Any = bpy.types.Material
    del materials.imagegs
    bpy.utils.unregister_class(IMAGEGS_PG_material)
