"""Which materials an operation is about, and why a button is gray.

`Scene.imagegs_scope` says it, for every button of the panel and for scripts.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..blend import border
from ..blend.decoder import Decoder
from ..scene import cost, replace

ACTIVE, SELECTED, FILE = "ACTIVE", "SELECTED", "FILE"
_SCOPES = [
    (ACTIVE, "Active Material", "The material in the active slot, or the one that the Shader Editor shows"),
    (SELECTED, "Selected Objects", "The materials of all selected objects"),
    (FILE, "Whole File", "Every material of this file that is used"),
]
NOTHING = {
    ACTIVE: "The active object has no material: choose one, or another scope",
    SELECTED: "Select objects that have materials",
    FILE: "No material of this file is used",
}
"""What to say where a scope holds no material."""

NOTHING_COMPRESSED = {
    ACTIVE: "The active material is not compressed",
    SELECTED: "Select objects with compressed materials",
    FILE: "Nothing is compressed in this file",
}
"""The same for compressed materials."""


def scope(context: bpy.types.Context) -> str:
    """What the buttons are about: ACTIVE, SELECTED or FILE."""
    return border.ours(context.scene).imagegs_scope


def chosen(context: bpy.types.Context) -> list[bpy.types.Material]:
    """The materials that the buttons are about, each once, by name."""
    wanted = scope(context)
    if wanted == FILE:
        return of_file()
    if wanted == SELECTED:
        return materials(context.selected_objects)
    material = active(context)
    return [] if material is None else [material]


def active(context: bpy.types.Context) -> bpy.types.Material | None:
    """The material that an editor shows: in the Shader Editor and Material properties it may be pinned; else the slot's."""
    space = context.space_data
    if isinstance(space, bpy.types.SpaceNodeEditor) and isinstance(space.id, bpy.types.Material):
        return space.id
    shown = getattr(context, "material", None)  # there in Material properties only
    if shown is not None:
        return shown
    return context.object.active_material if context.object is not None else None


def of_file() -> list[bpy.types.Material]:
    """The materials of the file that something uses."""
    return [material for material in bpy.data.materials if material.users and not material.is_grease_pencil]


def materials(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Material]:
    """The materials in the slots of these objects, each once, by name."""
    used = {slot.material for obj in objects for slot in obj.material_slots if slot.material}
    return sorted(used, key=lambda material: material.name)


def decoders(materials: Iterable[bpy.types.Material]) -> list[Decoder]:
    """The decoders that materials use, each once, by name."""
    return sorted(cost.shown(materials)[1], key=lambda decoder: decoder.name)


def chosen_decoders(context: bpy.types.Context) -> list[Decoder]:
    """The decoders of the chosen materials."""
    return decoders(chosen(context))


def active_decoder(context: bpy.types.Context) -> Decoder:
    """The decoder of the active material, else the first of the chosen materials, which have one."""
    material = active(context)
    return ((decoders([material]) if material else []) or chosen_decoders(context))[0]


def has_originals(materials: Iterable[bpy.types.Material]) -> bool:
    """Whether any of the materials keeps originals."""
    return any(replace.originals(tree) for tree in replace.trees(materials))


def is_all_compressed(materials: Iterable[bpy.types.Material]) -> bool:
    """Whether materials show decoders, and no image beside them."""
    images, decoders = cost.shown(materials)
    return bool(decoders) and not images


def poll_originals(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Poll: there are compressed materials among the chosen, and they keep their originals."""
    if not poll_decoders(cls, context):
        return False
    if not has_originals(chosen(context)):
        cls.poll_message_set("The originals of these materials were dropped")
        return False
    return True


def poll_decoders(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Poll: there are compressed materials among the chosen."""
    if not chosen_decoders(context):
        cls.poll_message_set(NOTHING_COMPRESSED[scope(context)])
        return False
    return True


def register() -> None:
    border.Scene.imagegs_scope = bpy.props.EnumProperty(
        name="Scope", description="Which materials the buttons are about", items=_SCOPES, default=SELECTED
    )


def unregister() -> None:
    del border.Scene.imagegs_scope
