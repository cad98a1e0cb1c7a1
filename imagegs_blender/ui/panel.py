"""The Image-GS panels: the same in the 3D Viewport, the Shader Editor and Material properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from ..blend import border
from ..blend.decoder import decoders
from ..operators.messages import counted
from ..operators.messages import shown as _
from ..workflow import rebuild, run, selection, summary
from . import choices, found, progress, results
from .text import columns, named, wrapped

if TYPE_CHECKING:
    _Base = bpy.types.Panel
else:
    _Base = object  # the classes of each place are the panels


class _Panel(_Base):
    bl_label = "Image-GS"
    bl_category = "Image-GS"

    def draw(self, context: bpy.types.Context) -> None:
        layout = border.layout(self)
        if run.current is not None:
            progress.draw(layout, run.current)
            return
        for problem in rebuild.problems():
            wrapped(layout.column(align=True), problem, icon="ERROR")
        materials = selection.chosen(context)
        choices.draw_scope(layout, context, materials)
        choices.draw_settings(layout, context, materials)
        if materials:
            found.draw(layout, context, materials)
            results.draw(layout, context, materials)


class _Memory(_Base):
    bl_label = "Compressed in This File"
    bl_category = "Image-GS"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = border.layout(self)
        compressed = decoders()
        for decoder in compressed:
            s = summary.of(decoder)
            row = layout.row()
            named(row, decoder.short_name, columns() // 2 - 2, icon="ERROR" if s.problem else "NODETREE")
            users = counted(decoder.tree.users, "user", "users")
            row.label(text=_("{size}, {users}").format(size=summary.size(s.after.disk), users=users))
        if compressed:
            layout.label(text=_("Saved on disk: {size}").format(size=summary.size(summary.saved(compressed))))
            layout.operator("imagegs.copy_report", icon="COPYDOWN")
        else:
            layout.label(text="Nothing is compressed yet", icon="INFO")
        _draw_memory(layout, border.scene(context))


def _draw_memory(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    images, decoders, costliest = summary.scene_memory(scene)
    box = layout.box().column(align=True)
    box.label(text="Texture memory of this scene:", icon="MEMORY")
    sizes = {"images": summary.size(images.memory), "decoders": summary.size(decoders.memory)}
    wrapped(box, _("Images {images}, decoders {decoders}").format(**sizes))
    for image, cost in costliest[:8]:
        row = box.row()
        named(row, image.name, columns() // 2, icon="IMAGE_DATA")
        row.label(text=summary.size(cost.memory))


def _places(base: type, name: str) -> list[type]:
    """The panel once for each place that shows it."""
    places: dict[str, dict[str, Any]] = {
        "view3d": {"bl_space_type": "VIEW_3D", "bl_region_type": "UI"},
        "node": {"bl_space_type": "NODE_EDITOR", "bl_region_type": "UI", "poll": classmethod(_in_shader_editor)},
        "material": {"bl_space_type": "PROPERTIES", "bl_region_type": "WINDOW", "bl_context": "material"},
    }
    return [type(f"IMAGEGS_PT_{name}_{place}", (base, bpy.types.Panel), options) for place, options in places.items()]


def _in_shader_editor(cls: type, context: bpy.types.Context) -> bool:
    space = context.space_data
    return isinstance(space, bpy.types.SpaceNodeEditor) and space.tree_type == "ShaderNodeTree"


register, unregister = border.registered(*_places(_Panel, "compress"), *_places(_Memory, "file"))
