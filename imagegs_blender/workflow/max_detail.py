"""Max Detail: no decoder holds finer levels of detail than the scene property `imagegs_max_detail` asks for.

It is one setting for the whole file: choosing it in one scene sets it in all.
"""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ..blend import border

_TIP = "Saves memory with Baked; Nodes and OSL need as much as for full detail, except for very dense textures"
ITEMS = [
    ("FULL", "Full", "Every level of detail is loaded"),
    ("1/2", "1/2", f"LOD is 1 at least. {_TIP}"),
    ("1/4", "1/4", f"LOD is 2 at least. {_TIP}"),
    ("1/8", "1/8", "LOD is 3 at least: plain texels of an eighth of the width and height, no Gaussians"),
    ("1/16", "1/16", "LOD is 4 at least: plain texels of a sixteenth of the width and height, no Gaussians"),
    ("1/32", "1/32", "LOD is 5 at least: plain texels of 1/32 of the width and height, no Gaussians"),
]
"""Choices of the scene property, in the order of the level that is the finest."""


def wanted_detail() -> int:
    """The finest level of detail that decoders are to hold, 0 for full detail: the coarsest of the file's scenes."""
    order = [name for name, *_ in ITEMS]
    scenes = (scene for scene in bpy.data.scenes if scene.library is None)
    return max((order.index(getattr(scene, "imagegs_max_detail", "FULL")) for scene in scenes), default=0)


def register(changed: Callable[[], None]) -> None:
    """Add the property; changed is called when another detail was chosen."""

    def on_choice(self: bpy.types.Scene, context: bpy.types.Context) -> None:
        chosen = border.ours(self).imagegs_max_detail
        for scene in bpy.data.scenes:
            if scene.library is None and border.ours(scene).imagegs_max_detail != chosen:
                border.ours(scene).imagegs_max_detail = chosen
        changed()

    border.Scene.imagegs_max_detail = bpy.props.EnumProperty(
        name="Max Detail",
        description="The sharpest that compressed textures of this file are loaded and shown, in renders too. From 1/8 on they "
        "take a fraction of the memory. Compare, Export and Bake to Images always use full detail",
        items=ITEMS, default="FULL", update=on_choice,
    )  # fmt: skip


def unregister() -> None:
    del border.Scene.imagegs_max_detail
