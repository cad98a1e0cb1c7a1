"""Baked maps as files outside of the .blend, for Blender's texture cache (5.2 and newer).

With the cache, Cycles keeps in memory only the parts of a texture that a render needs. It reads files, and never what is packed.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import bpy

from ..core import files
from ..core.errors import ImageGSError
from ..core.textures.texture_stack import Depth, MapInfo
from ..core.version import version

_OLD = 30 * 24 * 3600.0
"""Seconds after which a file that no decoder has asked for is removed."""

_CONVERTED = "blender_tx"
"""The folder where Blender keeps its own form of each file, beside it."""


def wanted(scene: bpy.types.Scene | None) -> bool:
    """Whether a scene is rendered by Cycles with a texture cache that is made as it is needed."""
    if scene is None:
        return False
    render: Any = scene.render  # Blender 4.5 has no such cache
    asked = ("use_texture_cache", "use_auto_generate_texture_cache")
    return render.engine == "CYCLES" and all(getattr(render, name, False) for name in asked)


def folder() -> Path:
    """Where the files are, for all .blend files of a person."""
    return files.cache_folder() / "maps"


def paths(data: bytes, maps: Sequence[MapInfo], level: float) -> dict[str, Path]:
    """A file for each map of a stream that has 8 bits, by name; deep maps stay packed.

    data    the .igs file: the same maps of the same stream have the same files, made once
    level   LOD that they are decoded at
    """
    stem = hashlib.sha256(f"{version()} {level:.3f} ".encode() + data).hexdigest()[:32]
    named = {info.name: folder() / f"{stem}-{number}.png" for number, info in enumerate(maps)}
    return {info.name: named[info.name] for info in maps if info.depth is Depth.U8}


def are_there(found: Iterable[Path]) -> bool:
    """Whether these files are there; then they are read today, and as old as before, or Blender would convert them again."""
    for path in found:
        try:
            os.utime(path, (time.time(), path.stat().st_mtime))
        except OSError:
            return False
    return True


def write(path: Path, data: bytes) -> None:
    """Write a file in one piece, and remove those that have not been used for a month. Raises ImageGSError where it can't."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageGSError(
            f"{path.parent}: can't be made ({error.strerror}); make it, or switch off the scene's texture cache"
        ) from error
    _remove_old(path.parent)
    files.write(path, data)


def show(image: bpy.types.Image, path: Path) -> None:
    """Let an image be a file."""
    if image.packed_file is not None:
        image.unpack(method="REMOVE")
    image.source = "FILE"
    image.filepath = str(path)
    image.reload()


def holds(image: bpy.types.Image) -> bool:
    """Whether an image is one of these files, and it is there."""
    path = Path(bpy.path.abspath(image.filepath))
    return image.source == "FILE" and image.packed_file is None and path.parent == folder() and path.is_file()


def _remove_old(place: Path) -> None:
    now = time.time()
    for path in place.glob("*.png"):
        if now - path.stat().st_atime > _OLD:
            for part in (path, *place.glob(f"{_CONVERTED}/{path.stem}*")):
                part.unlink(missing_ok=True)
