"""A saved file holds streams, and of what is derived from them only what was packed."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

import bpy

from ..blend.decoder import decoders
from ..shaders.decoder import left_out, pack
from . import comparison


def lean_file() -> AbstractContextManager[None]:
    """A file saved in this context holds no more than it must. Decoders with damaged properties are saved as they are."""
    shown = bpy.data.images.get((comparison.IMAGE, None))
    return left_out([decoder for decoder in decoders() if not decoder.problems], [shown] if shown else [])


def pack_tables() -> None:
    """Store the tables of every decoder in the file, which then renders without the add-on."""
    for decoder in decoders():
        if not decoder.linked:
            pack(decoder)


_save = ExitStack()
"""What is to be undone once Blender has saved."""


@bpy.app.handlers.persistent
def _on_saving(*_: object) -> None:
    _save.enter_context(lean_file())


@bpy.app.handlers.persistent
def _on_saved(*_: object) -> None:
    _save.close()


_HANDLERS = {"save_pre": _on_saving, "save_post": _on_saved, "save_post_fail": _on_saved}


def register() -> None:
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
