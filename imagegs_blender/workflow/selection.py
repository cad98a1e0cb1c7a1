"""Which materials an operation is about, and why a button is grey."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..scene import cost, replace


def materials(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Material]:
    """The materials in the slots of these objects, each once, by name."""
    found = {slot.material for obj in objects for slot in obj.material_slots if slot.material}
    return sorted(found, key=lambda material: material.name)


def decoders(found: Iterable[bpy.types.Material]) -> list[bpy.types.ShaderNodeTree]:
    """The decoders that materials use, each once, by name."""
    return sorted(cost.shown(found)[1], key=lambda group: group.name)


def has_originals(found: Iterable[bpy.types.Material]) -> bool:
    """Whether any of the materials keeps originals."""
    return any(replace.originals(tree) for tree in replace.trees(found))


def poll_originals(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Poll: the selection has compressed materials that keep their originals."""
    found = materials(context.selected_objects)
    if not decoders(found):
        cls.poll_message_set("Select objects with compressed materials")
        return False
    if not has_originals(found):
        cls.poll_message_set("The originals of these materials were dropped")
        return False
    return True


def poll_decoders(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Poll: the selection has compressed materials."""
    if not decoders(materials(context.selected_objects)):
        cls.poll_message_set("Select objects with compressed materials")
        return False
    return True
