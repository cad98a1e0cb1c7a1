"""Which materials an operation is about."""

from __future__ import annotations

from collections.abc import Iterable

import bpy


def materials(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Material]:
    """The materials in the slots of these objects, each once, by name."""
    found = {slot.material for obj in objects for slot in obj.material_slots if slot.material}
    return sorted(found, key=lambda material: material.name)
