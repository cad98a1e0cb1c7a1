"""A saved file holds streams, and of what is derived from them only what was packed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from ..blend import border
from ..blend.decoder import decoders
from ..scene import ungrouped
from ..shaders.body import leave_out, let_in
from ..shaders.decoder import pack
from . import comparison


@contextmanager
def lean_file() -> Iterator[None]:
    """A file saved in this context holds no more than it must. Decoders with damaged properties are saved as they are."""
    _leave_out(True)
    try:
        yield
    finally:
        _leave_out(False)


def _leave_out(yes: bool) -> None:
    if yes:
        ungrouped.put_back()
    for decoder in decoders():
        if not decoder.problems:
            (leave_out if yes else let_in)(decoder)
    shown = bpy.data.images.get((comparison.IMAGE, None))
    if shown:
        shown.is_runtime_data = yes


def pack_tables() -> None:
    """Store the tables of every decoder in the file, which then renders without the add-on."""
    for decoder in decoders():
        if not decoder.linked:
            pack(decoder)


@bpy.app.handlers.persistent
def _on_saving(*_: object) -> None:
    _leave_out(True)


@bpy.app.handlers.persistent
def _on_saved(*_: object) -> None:
    _leave_out(False)


register, unregister = border.handled({"save_pre": _on_saving, "save_post": _on_saved, "save_post_fail": _on_saved})
