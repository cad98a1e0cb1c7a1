"""Writing files so that a reader sees the old file or the whole new one, never a part."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import litter
from .errors import ImageGSError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix) to write to; on success it takes the place of `path`.

    On any exception the temporary file is removed and `path` is left as it was.
    Raises ImageGSError where the folder is missing or can't be written to.
    """
    path = Path(path)
    litter.sweep(path.parent)
    temporary = _beside(path)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ImageGSError(_reason(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of the system's for temporary files, for as long as the context lasts."""
    above = Path(tempfile.gettempdir())
    litter.sweep(above)
    folder = above / litter.name()
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(path: str | Path, data: bytes) -> None:
    """Write data to path in one piece. Raises ImageGSError where that is impossible."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def check_writable(path: str | Path) -> None:
    """Raise ImageGSError unless a file could be written at `path` now. Leaves nothing behind."""
    path = Path(path)
    if path.is_dir():
        raise ImageGSError(f"{path}: is a folder; name a file")
    probe = _beside(path)
    try:
        with probe.open("xb"):
            pass
        probe.unlink()
    except OSError as error:
        raise ImageGSError(_reason(path, error)) from error


def file_name(name: str) -> str:
    """A name from anywhere as one that every system takes for a file, before its suffix; "map" where nothing is left.

    No folders, no control character, none that Windows forbids, no dot or space at either end, no device of Windows
    (CON, NUL, COM1, ...), and not longer than file systems allow.
    """
    safe = "".join("_" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in name)
    safe = safe.encode()[:_LONGEST_NAME].decode(errors="ignore").strip(". ") or "map"
    return f"_{safe}" if safe.split(".")[0].strip().upper() in _DEVICES else safe


def unique(name: str, taken: set[str]) -> str:
    """name, with a number behind it where `taken` has it, in any case, as some systems ignore it; then taken has it, too."""
    numbered, number = name, 2
    while numbered.lower() in taken:
        numbered, number = f"{name} {number}", number + 1
    taken.add(numbered.lower())
    return numbered


_LONGEST_NAME = 200
"""Bytes of a file's name; file systems take 255, with a suffix and the words that a caller adds."""

_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789")}
"""Names that Windows keeps for devices, with any suffix."""


def _beside(path: Path) -> Path:
    return path.with_name(f".{litter.name(path.suffix)}")


def _reason(path: Path, error: OSError) -> str:
    folder = path.parent
    if path.is_dir():
        return f"{path}: is a folder; name a file"
    if not folder.is_dir():
        return f"{folder}: folder not found; create it or choose another"
    return f"{path}: can't be written ({error.strerror or error}); choose a folder with space that you may write to"
