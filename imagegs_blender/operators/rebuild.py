"""Tables are derived data: rebuilt from the stream whenever a file is opened."""

from __future__ import annotations

import sys

import bpy

from ..core import stream, tables
from ..core.errors import ImageGSError
from ..scene import storage
from ..shaders import tables as table_images


def rebuild_tables() -> list[str]:
    """Fill the table images of every decoder in the open file from its stream, unless the file holds them packed.

    Returns one message for each decoder whose stream is damaged; nothing of it is changed or lost.
    """
    problems = []
    for group in storage.decoders():
        if all(image.packed_file for image in table_images.images_of(group).values()):
            continue
        try:
            table_images.update_images(group, tables.build(stream.read(storage.stream(group)).gaussians))
        except ImageGSError as error:
            problems.append(f"{group.name}: {error}")
    return problems


def pack_tables() -> None:
    """Store the tables of every decoder in the file, which then renders without the add-on."""
    for group in storage.decoders():
        if not group.library:
            table_images.pack(group)


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    for problem in rebuild_tables():
        print(f"Image-GS: {problem}", file=sys.stderr)


def register() -> None:
    bpy.app.handlers.load_post.append(_on_load)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_on_load)
