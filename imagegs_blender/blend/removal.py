"""Removing datablocks so that Undo can bring them back.

Where several were removed at once, Undo in Blender 4.5 loses, one time in ten, what pointed to one of them: a material's node
then has no group, and its links are gone. It was measured in an empty file without any add-on; 5.2 does not. So before 5.0
they stay, emptied and without users, which no file holds, until another file is opened.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from . import border

_LEFT = ".Image-GS removed"
"""What they are called then; the dot keeps them out of Blender's lists."""


def remove(parts: Iterable[bpy.types.ID]) -> None:
    """Remove those of these groups and images that are of this file, and that nothing uses once those before them are gone."""
    for part in parts:
        if part.users or part.library is not None:
            continue
        if bpy.app.version >= (5, 0, 0):
            bpy.data.batch_remove([part])
        else:
            _empty(part)


def is_left(part: bpy.types.ID) -> bool:
    """Whether it is one of those that stay."""
    return part.users == 0 and part.name.startswith(_LEFT)


def _empty(part: bpy.types.ID) -> None:
    if isinstance(part, bpy.types.ShaderNodeTree):
        part.nodes.clear()
        border.interface(part).clear()
    elif isinstance(part, bpy.types.Image):
        part.buffers_free()
        if part.packed_file:
            part.unpack(method="REMOVE")
    for key in [key for key in part.keys() if key.startswith("imagegs_")]:  # noqa: SIM118  datablocks are no dicts
        del part[key]
    part.name = _LEFT
