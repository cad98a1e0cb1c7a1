"""What the glTF exporter's dialog says of compressed materials; while it is open, they are decoded."""

from __future__ import annotations

import sys
from typing import Any

import bpy

from ..blend.decoder import decoders
from ..operators.messages import counted
from ..operators.messages import shown as _
from ..workflow import as_images

_NAME = "Image-GS"
_seen: list[Any] = [None]
"""The dialog that was drawn last."""


def draw(context: bpy.types.Context, layout: bpy.types.UILayout) -> None:
    """Called by the exporter, in the sidebar of its dialog."""
    count = len(decoders())
    if not count:
        return
    text = _("Image-GS: {stacks} as images").format(stacks=counted(count, "stack", "stacks"))
    layout.box().label(text=text, icon="IMAGE_DATA", translate=False)
    dialog = getattr(context.space_data, "active_operator", None)
    if dialog is not None and dialog.as_pointer() != _seen[0]:
        _seen[0] = dialog.as_pointer()
        as_images.prepare()


def _draws() -> dict[str, Any]:
    """What the exporter's dialog draws for add-ons, by name, where the exporter is enabled."""
    exporter = sys.modules.get("io_scene_gltf2")
    return getattr(exporter, "exporter_extension_layout_draw", {})


def register() -> None:
    _draws()[_NAME] = draw


def unregister() -> None:
    _draws().pop(_NAME, None)
