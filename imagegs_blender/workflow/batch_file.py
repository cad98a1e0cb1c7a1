"""The file that a batch opens, measures and writes: never larger than it was, where that is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
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


def save(path: Path) -> None:
    """Save the open file, compressed, in one piece; relative paths go on pointing to the same files.

    Raises ImageGSError where that is impossible.
    """
    with files.replacing(path.resolve()) as temporary:
        _save_to(temporary, path)


def save_no_larger(path: Path, original: Path, most: int) -> bool:
    """save(), but where that takes more than so many bytes the original as it was. Returns whether it was saved."""
    with files.replacing(path.resolve()) as temporary:
        _save_to(temporary, path)
        if temporary.stat().st_size <= most:
            return True
        load(original)
        points_outside = any(path.startswith("//") for path in bpy.utils.blend_paths()) and not _same_folder(
            original, path
        )
        _save_to(temporary, path)
        if not points_outside and original.stat().st_size < temporary.stat().st_size:
            shutil.copyfile(original, temporary)
    return False


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


def _save_to(temporary: Path, path: Path) -> None:
    with lean_file():
        try:
            bpy.ops.wm.save_as_mainfile(filepath=str(temporary), compress=True, copy=True, relative_remap=True)
        except RuntimeError as error:
            raise ImageGSError(
                f"{path}: can't be saved ({_said(error)}); free some space, or choose another folder"
            ) from error
    if not _is_whole(temporary):  # Blender does not notice when the last bytes could not be written
        raise ImageGSError(
            f"{path}: can't be saved (only a part was written); free some space, or choose another folder"
        )


def _is_whole(path: Path) -> bool:
    """A compressed .blend ends with the magic number of zstd's seek table."""
    with path.open("rb") as file:
        file.seek(-min(4, path.stat().st_size), 2)
        return file.read() == _SEEK_TABLE_END


def _same_folder(one: Path, other: Path) -> bool:
    return one.resolve().parent == other.resolve().parent


def _said(error: RuntimeError) -> str:
    """Blender's own words about an operator that failed."""
    return one_line(error).removeprefix("Error: ")
