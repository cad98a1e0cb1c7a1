"""Tables are derived data: rebuilt from the stream whenever a file is opened."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

import bpy

from ..core import stream
from ..core.errors import ImageGSError
from ..scene import storage
from ..shaders import decoder
from . import compare


def rebuild_tables(lost_only: bool = False) -> list[str]:
    """Fill the tables or baked maps of every decoder in the open file from its stream, unless the file holds them packed.

    lost_only   leave decoders alone whose tables are still there
    Returns one message for each decoder whose stream is deleted or damaged: it shows the average color of its maps, and
    nothing of it is lost.
    """
    problems = []
    for group in storage.decoders():
        if decoder.is_whole(group, saved_only=not lost_only):
            continue
        try:
            decoder.update(group, stream.read(storage.stream(group)))
        except ImageGSError as error:
            problems.append(f"{group.name}: {str(error).removeprefix(f'{group.name}: ')}{_show_average(group)}")
    return problems


def _show_average(group: bpy.types.ShaderNodeTree) -> str:
    """What is shown instead, for the message."""
    try:
        decoder.show_average(group)
    except ImageGSError:
        return " (it stays black)"
    return " (it shows its average color)"


def pack_tables() -> None:
    """Store the tables of every decoder in the file, which then renders without the add-on."""
    for group in storage.decoders():
        if not group.library:
            decoder.pack(group)


def lean_file() -> AbstractContextManager[None]:
    """A file saved in this context holds streams, and of what is derived from them only what was packed."""
    shown = bpy.data.images.get((compare.IMAGE, None))
    return decoder.left_out(storage.decoders(), [shown] if shown else [])


_saving: list[AbstractContextManager[None]] = []


@bpy.app.handlers.persistent
def _on_saving(*_: object) -> None:
    context = lean_file()
    context.__enter__()
    _saving.append(context)


@bpy.app.handlers.persistent
def _on_saved(*_: object) -> None:
    while _saving:
        _saving.pop().__exit__(None, None, None)


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    for problem in rebuild_tables():
        print(f"Image-GS: {problem}", file=sys.stderr)


@bpy.app.handlers.persistent
def _on_change(*_: object) -> None:
    """Undo, redo and append bring decoders in without the pixels of their tables."""
    for problem in rebuild_tables(lost_only=True):
        print(f"Image-GS: {problem}", file=sys.stderr)


_SAVED = ("save_post", "save_post_fail")
_CHANGES = ("undo_post", "redo_post", "blend_import_post")


def register() -> None:
    bpy.app.handlers.load_post.append(_on_load)
    for name in _CHANGES:
        getattr(bpy.app.handlers, name).append(_on_change)
    bpy.app.handlers.save_pre.append(_on_saving)
    for name in _SAVED:
        getattr(bpy.app.handlers, name).append(_on_saved)


def unregister() -> None:
    for name in _SAVED:
        getattr(bpy.app.handlers, name).remove(_on_saved)
    bpy.app.handlers.save_pre.remove(_on_saving)
    for name in _CHANGES:
        getattr(bpy.app.handlers, name).remove(_on_change)
    bpy.app.handlers.load_post.remove(_on_load)
