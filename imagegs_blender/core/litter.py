"""Names of temporary files and folders that tell whose they are, so that what a killed process left is found and removed."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_NAME = re.compile(r"\.?imagegs-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{16}(\..*)?")

_OLD = 24 * 3600.0
"""Seconds after which nobody is at work on a temporary file any more."""


def name(suffix: str = "") -> str:
    """A name that nothing has, of this process on this computer."""
    return f"imagegs-{_HOST}-{os.getpid()}-{secrets.token_hex(8)}{suffix}"


@cache
def sweep(folder: Path) -> None:
    """Remove what processes that are surely dead have left in a folder: once for each in the life of this process.

    Where that can't be known (a process of another computer, which may share the folder; not on Linux), it is dead after a day.
    """
    sweep_again(folder)


def sweep_again(folder: Path) -> None:
    """sweep(), also where this process has done it before."""
    with suppress(OSError):  # a folder that can't be read or written to: who writes there says so
        for path in folder.iterdir():
            found = _NAME.fullmatch(path.name)
            if found and _is_dead(path, found["host"], int(found["process"])):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _is_dead(path: Path, host: str, process: int) -> bool:
    processes = Path(os.sep, "proc")
    if host == _HOST and (processes / "self").exists():  # Linux lists them
        return not (processes / str(process)).exists()
    return time.time() - path.stat().st_mtime > _OLD
