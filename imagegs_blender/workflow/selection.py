"""Which materials an operation is about, and why a button is gray."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..blend.decoder import Decoder, is_decoder
from ..scene import cost, replace


def materials(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Material]:
    """The materials in the slots of these objects, each once, by name."""
    used = {slot.material for obj in objects for slot in obj.material_slots if slot.material}
    return sorted(used, key=lambda material: material.name)


def decoders(materials: Iterable[bpy.types.Material]) -> list[Decoder]:
    """The decoders that materials use, each once, by name."""
    return sorted(cost.shown(materials)[1], key=lambda decoder: decoder.name)


def selected_decoders(context: bpy.types.Context) -> list[Decoder]:
    """The decoders of the selected objects' materials."""
    return decoders(materials(context.selected_objects))


def active_decoder(context: bpy.types.Context) -> Decoder:
    """The decoder of the active material, else the first of the selection, which has one."""
    material = context.object and context.object.active_material
    return ((decoders([material]) if material else []) or selected_decoders(context))[0]


def has_originals(materials: Iterable[bpy.types.Material]) -> bool:
    """Whether any of the materials keeps originals."""
    return any(replace.originals(tree) for tree in replace.trees(materials))


def poll_originals(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Poll: the selection has compressed materials that keep their originals."""
    if not poll_decoders(cls, context):
        return False
    if not has_originals(materials(context.selected_objects)):
        cls.poll_message_set("The originals of these materials were dropped")
        return False
    return True


def poll_any_decoder(cls: type[bpy.types.Operator]) -> bool:
    """Poll: the file has a decoder."""
    if not any(map(is_decoder, bpy.data.node_groups)):
        cls.poll_message_set("Nothing is compressed in this file")
        return False
    return True


def poll_decoders(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Poll: the selection has compressed materials."""
    if not selected_decoders(context):
        cls.poll_message_set("Select objects with compressed materials")
        return False
    return True
