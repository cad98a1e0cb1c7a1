"""A saved file holds streams, and of what is derived from them only what was packed."""

from __future__ import annotations

import bpy

from ..blend.decoder import decoders
from ..shaders.body import leave_out
from ..shaders.decoder import pack
from . import comparison


def leave_out_derived() -> None:
    """See to it that a file saved now holds no more than it must. Decoders with damaged properties are saved as they are.

    What was built in this session is marked already; Undo forgets the marks.
    """
    for decoder in decoders():
        if not decoder.problems:
            leave_out(decoder)
    shown = bpy.data.images.get((comparison.IMAGE, None))
    if shown:
        shown.is_runtime_data = True


def pack_tables() -> None:
    """Store the tables of every decoder in the file, which then renders without the add-on."""
    for decoder in decoders():
        if not decoder.linked:
            pack(decoder)


@bpy.app.handlers.persistent
def _on_saving(*_: object) -> None:
    leave_out_derived()


def register() -> None:
    bpy.app.handlers.save_pre.append(_on_saving)


def unregister() -> None:
    bpy.app.handlers.save_pre.remove(_on_saving)
