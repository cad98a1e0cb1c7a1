"""The stream as custom data of the decoder's node group, which carries it through save, append, link and copy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import bpy

from ..core.errors import ImageGSError

STREAM = "imagegs_stream"
"""Custom property with the .igs file, bytes."""

STREAM_VERSION = "imagegs_version"
"""Custom property with the version of what this file writes into the group; a reader of another version must refuse."""

RECORD = "imagegs_record"
"""Custom property with JSON: how the stack was made (settings) and what came of it (report)."""

VERSION = 1

_MESSAGE = (
    "Decodes textures that the Image-GS Textures extension compressed. If they are black, the extension is not "
    "installed or not enabled here: install it and open the file again"
)


def is_decoder(tree: bpy.types.NodeTree | None) -> bool:
    """Whether a node group is one of our decoders, be its stream lost."""
    return tree is not None and (STREAM in tree or RECORD in tree)


def decoders() -> Iterator[bpy.types.ShaderNodeTree]:
    """Every decoder in the open file, linked ones included."""
    return (tree for tree in bpy.data.node_groups if is_decoder(tree))


def find(name: str) -> bpy.types.ShaderNodeTree:
    """A decoder of the open file by name. Raises ImageGSError where it is gone."""
    group = bpy.data.node_groups.get((name, None))
    if not is_decoder(group):
        raise ImageGSError(f"{name}: the decoder was removed or renamed meanwhile; compress again")
    return group


def store(group: bpy.types.ShaderNodeTree, stream: bytes, record: dict[str, Any]) -> None:
    """Put a stream, and a record that JSON can hold, into a node group."""
    if STREAM in group:
        del group[STREAM]  # Blender cuts bytes at the first zero where it assigns them to a property that exists
    group[STREAM] = stream
    group[STREAM_VERSION] = VERSION
    group[RECORD] = json.dumps(record, sort_keys=True)
    group.description = _MESSAGE  # shown where the pointer rests on the node, with or without the extension


def stream(group: bpy.types.ShaderNodeTree) -> bytes:
    """The .igs file that a decoder holds. Raises ImageGSError where it was deleted or is of a newer version."""
    if STREAM not in group:
        raise ImageGSError(f"{group.name}: its stream was deleted; restore the originals, or append the material again")
    if group.get(STREAM_VERSION, VERSION) > VERSION:
        raise ImageGSError(f"{group.name}: compressed by a newer version of the add-on than this; update it")
    return bytes(group[STREAM])


def record(group: bpy.types.ShaderNodeTree) -> dict[str, Any]:
    """What `store` was given beside the stream; a report of nothing where that was deleted."""
    if RECORD not in group:
        return {"settings": {}, "report": {"psnr": {"overall": None}, "num_gaussians": 0, "seconds": 0.0}}
    return json.loads(group[RECORD])
