"""Paths that people and files give: what is there, names that every system takes, and writing in one piece."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
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
    _check_folder(path)
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


def cache_folder() -> Path:
    """Where this computer keeps what can be made again: in NUMBA_CACHE_DIR where that names a folder, else the user's."""
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local", "imagegs-blender")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "imagegs-blender")


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system knows of that; what fsync of a file does not promise."""
    if os.name == "nt":
        return
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder that may be written to but not listed
        return
    try:
        os.fsync(opened)
    except OSError:  # of a file system that has no such thing
        return
    finally:
        os.close(opened)


def is_file(path: str | Path) -> bool:
    """Whether a file is there, or a link to one. Raises ImageGSError where the system does not take the path."""
    return stat.S_ISREG(_mode(Path(path)))


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there, or a link to one. Raises ImageGSError where the system does not take the path."""
    return stat.S_ISDIR(_mode(Path(path)))


def exists(path: str | Path) -> bool:
    """Whether anything is there, where links lead. Raises ImageGSError where the system does not take the path."""
    return _mode(Path(path)) != 0


def check_writable(path: str | Path) -> None:
    """Raise ImageGSError unless a file could be written at `path` now. Leaves nothing behind."""
    path = Path(path)
    if is_folder(path):
        raise ImageGSError(f"{path}: is a folder; name a file")
    if os.name == "nt" and _is_device(path.name):
        raise ImageGSError(f"{path}: Windows keeps this name for a device; choose another")
    _check_folder(path)
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
    return f"_{safe}" if _is_device(safe) else safe


def unique(name: str, taken: set[str]) -> str:
    """name, with a number behind it where `taken` has it, in any case, as some systems ignore it; then taken has it, too."""
    numbered, number = name, 2
    while numbered.lower() in taken:
        numbered, number = f"{name} {number}", number + 1
    taken.add(numbered.lower())
    return numbered


_LONGEST_NAME = 200
"""Bytes of a file's name; file systems take 255, with a suffix and the words that a caller adds."""

_DEVICES = {
    "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$",
    *(f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"),
}  # fmt: skip
"""Names that Windows keeps for devices, with any suffix."""


_REMEDIES = {
    errno.ENAMETOOLONG: "choose a shorter one",
    errno.EACCES: "choose a folder that you may read",
    errno.ELOOP: "mend the link, or choose another path",
}


def _is_device(name: str) -> bool:
    return name.split(".")[0].strip().upper() in _DEVICES


def _mode(path: Path) -> int:
    """The st_mode of what is at path, where links lead; 0: nothing is."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another path")
        raise ImageGSError(f"{path}: can't be read ({error.strerror or error}); {remedy}") from error
    except ValueError as error:  # a null character
        raise ImageGSError(f"{path}: can't be a path ({error}); choose another") from error


def _check_folder(path: Path) -> None:
    if not is_folder(path.parent):
        raise ImageGSError(f"{path.parent}: folder not found; create it or choose another")


def _beside(path: Path) -> Path:
    suffix = path.suffix if len(path.suffix) < 32 else ""  # a longer one would not fit behind the random name
    return path.with_name(f".{litter.name(suffix)}")


def _reason(path: Path, error: OSError) -> str:
    if is_folder(path):
        return f"{path}: is a folder; name a file"
    return f"{path}: can't be written ({error.strerror or error}); choose a folder with space that you may write to"
