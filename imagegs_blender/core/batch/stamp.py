"""Whether a file is the one that it was: its size and date, else its SHA-256."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

Stamp = dict[str, Any]
"""size in bytes, date in nanoseconds since 1970, hash: the SHA-256 as hexadecimal digits."""


def of(path: Path) -> Stamp:
    """A file's stamp. Raises OSError where it can't be read."""
    known = path.stat()
    return {"size": known.st_size, "date": known.st_mtime_ns, "hash": _hash(path, known.st_size, known.st_mtime_ns)}


def is_dated(path: Path, stamp: Stamp) -> bool:
    """Whether a file has a stamp's size and date."""
    try:
        known = path.stat()
    except OSError:
        return False
    return (known.st_size, known.st_mtime_ns) == (stamp["size"], stamp["date"])


def fits(path: Path, stamp: Stamp | None) -> bool:
    """Whether a file has this stamp. It is read only where its date alone is another one."""
    if stamp is None:
        return False
    try:
        known = path.stat()
        if known.st_size != stamp["size"]:
            return False
        return known.st_mtime_ns == stamp["date"] or of(path)["hash"] == stamp["hash"]
    except OSError:  # it is gone, or nobody may read it: whoever opens it says so
        return False


@lru_cache(maxsize=100_000)  # a library may be linked by thousands of files
def _hash(path: Path, size: int, date: int) -> str:  # noqa: ARG001  they are part of what is remembered
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
