"""The file that a batch opens, measures and writes: never larger than it was, where that is asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bpy

from ..core import files
from ..core.errors import ImageGSError, one_line
from .saving import lean_file

_SEEK_TABLE_END = bytes.fromhex("b1ea928f")
"""The last bytes of a compressed .blend (zstd's seekable format, 0x8F92EAB1)."""


def load(path: Path) -> None:
    """Open a .blend. Raises ImageGSError where that is impossible."""
    if not files.is_file(path):
        raise ImageGSError(f"{path}: file not found; name a .blend file")
    try:
        bpy.ops.wm.open_mainfile(filepath=str(path.resolve()), load_ui=False)
    except RuntimeError as error:
        raise ImageGSError(f"{path}: can't be opened ({_said(error)}); name a .blend file") from error


def save(path: Path, name: Path | None = None) -> None:
    """Save the open file at a path, compressed; relative paths go on pointing to the same files. It is on the disk then.

    name   what the file is going to be called, for messages
    Raises ImageGSError where that is impossible.
    """
    with lean_file():
        try:
            bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True, copy=True, relative_remap=True)
        except RuntimeError as error:
            raise ImageGSError(_unsaved(name or path, _said(error))) from error
    if not _is_whole(path):  # Blender does not notice when the last bytes could not be written
        raise ImageGSError(_unsaved(name or path, "only a part was written"))


def save_no_larger(path: Path, original: Path, most: int, libraries: Mapping[str, str], name: Path) -> bool:
    """save(), but where that takes more than so many bytes the original as it was. Returns whether it was saved."""
    save(path, name)
    if path.stat().st_size <= most:
        return True
    load(original)
    points_outside = any(path.startswith("//") for path in bpy.utils.blend_paths()) and not _same_folder(original, path)
    relink(libraries)
    save(path, name)
    if not (points_outside or libraries) and original.stat().st_size < path.stat().st_size:
        shutil.copyfile(original, path)
    return False


def relink(libraries: Mapping[str, str]) -> None:
    """Have the open file link the outputs of these libraries (resolved paths), relatively where it did so before."""
    for library in bpy.data.libraries:
        output = libraries.get(str(library_path(library)))
        if output is not None:
            is_relative = library.filepath.startswith("//")
            library.filepath = bpy.path.relpath(output) if is_relative else output


def library_path(library: bpy.types.Library) -> Path:
    """The file of a library, resolved."""
    return Path(bpy.path.abspath(library.filepath)).resolve()


def missing_libraries() -> list[str]:
    """The paths of the open file's libraries that are not there."""
    packed = (library for library in bpy.data.libraries if getattr(library, "packed_file", None) is None)
    return [path for path in map(str, map(library_path, packed)) if not files.is_file(path)]


def used_files(source: Path) -> list[str]:
    """The other files that the open one is made of, with those of its libraries: images, tiles, libraries."""
    found = set()
    for name in bpy.utils.blend_paths(absolute=True):
        path = Path(name)
        found |= set(path.parent.glob(path.name.replace("<UDIM>", "[0-9]" * 4))) if "<UDIM>" in path.name else {path}
    return sorted(str(path) for path in found if path.is_file() and path.resolve() != source.resolve())


def size_when_saved(images: Iterable[bpy.types.Image] = ()) -> int:
    """Bytes of the open file, saved as save() does, with these images packed.

    Only a file that is saved the same way, with its textures packed, compares with the result. The source may be
    uncompressed, hold textures that nothing uses, or leave them beside it; and its size plus theirs misses how well
    they pack. Next to a fit, saving takes no time.
    """
    loose = [image for image in images if is_loose(image)]
    for image in loose:
        image.pack()
    try:
        with files.temporary_folder() as folder:
            copy = Path(folder, "copy.blend")
            save(copy)
            return copy.stat().st_size
    finally:
        for image in loose:
            image.unpack(method="REMOVE")


def is_loose(image: bpy.types.Image) -> bool:
    """Whether an image is a file beside the .blend."""
    return image.source == "FILE" and not image.packed_file and not image.is_dirty


@contextmanager
def as_it_was(source: Path | None) -> Iterator[Path]:
    """The file that was opened from `source`, or that is open, for as long as the context lasts.

    Where the open file has unsaved changes, it is a copy that has them.
    """
    path = source or Path(bpy.data.filepath)
    if source is not None or not bpy.data.is_dirty:
        yield path
        return
    with files.temporary_folder() as folder:
        copy = Path(folder, path.name)
        save(copy)
        yield copy


def _unsaved(path: Path, why: str) -> str:
    return f"{path}: can't be saved ({why}); free some space, or choose another folder"


def _is_whole(path: Path) -> bool:
    """A compressed .blend ends with the magic number of zstd's seek table. It is on the disk after this."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        file.seek(-min(4, path.stat().st_size), 2)
        return file.read() == _SEEK_TABLE_END


def _same_folder(one: Path, other: Path) -> bool:
    return one.resolve().parent == other.resolve().parent


def _said(error: RuntimeError) -> str:
    """Blender's own words about an operator that failed."""
    return one_line(error).removeprefix("Error: ")
