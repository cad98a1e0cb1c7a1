"""What this computer has: cores, memory, limits, locks. None: that is not known here."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module, util
from pathlib import Path
from typing import IO

_FILE_NEEDS = 4 << 30
"""Bytes of memory that a file in progress may take, with what a fit of it takes: for the number of files at once."""


def jobs(files: int) -> int:
    """How many files to convert at once: half as many as there are cores, as memory allows."""
    size = memory()
    most = size // _FILE_NEEDS if size else files
    return max(1, min(cores() // 2, most, files))


def cores() -> int:
    return os.cpu_count() or 1


def memory() -> int | None:
    """Bytes of memory in this computer."""
    try:
        if sys.platform == "win32":
            return _windows_memory()[0]
        if sys.platform == "darwin":
            said = subprocess.run(["sysctl", "-n", "hw.memsize"], capture_output=True, text=True, timeout=10)
            return int(said.stdout)
        return _of_linux("MemTotal:")
    except (OSError, ValueError, LookupError, subprocess.SubprocessError):
        return None


def free_memory() -> int | None:
    """Bytes of memory that programs can still have, without any other giving up some."""
    try:
        if sys.platform == "win32":
            return _windows_memory()[1]
        if sys.platform == "darwin":
            said = subprocess.run(["vm_stat"], capture_output=True, text=True, timeout=10).stdout
            page = int(said.split("page size of ")[1].split()[0])
            pages = dict(line.split(":") for line in said.splitlines()[1:] if ":" in line)
            return page * sum(int(pages[f"Pages {name}"].strip(" .")) for name in ("free", "inactive", "speculative"))
        return _of_linux("MemAvailable:")
    except (OSError, ValueError, LookupError, subprocess.SubprocessError):
        return None


def can_limit_memory() -> bool:
    """Whether limit_memory() is kept: by Linux it is, by macOS it is not, and Windows has no such limit."""
    return sys.platform == "linux" and util.find_spec("resource") is not None


def limit_memory(size: int) -> None:
    """Let this process, and each that it starts, have so many bytes of data: more is a MemoryError."""
    resource = import_module("resource")
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def lock(file: IO[bytes]) -> bool:
    """Whether this process is now the one that holds an open file: until it is closed, or the process ends, however."""
    try:
        if os.name == "nt":
            windows = import_module("msvcrt")
            place = file.seek(0, os.SEEK_CUR)
            file.seek(1 << 30)  # a byte that nobody reads, as Windows lets nobody else read it then
            windows.locking(file.fileno(), windows.LK_NBLCK, 1)
            file.seek(place)
        else:
            posix = import_module("fcntl")
            posix.flock(file.fileno(), posix.LOCK_EX | posix.LOCK_NB)
    except OSError:
        return False
    return True


def _of_linux(name: str) -> int:
    """A line of the system's own account, in bytes."""
    lines = Path(os.sep, "proc", "meminfo").read_text("utf-8").splitlines()
    return 1024 * int(next((line for line in lines if line.startswith(name)), "").split()[1])


def _windows_memory() -> tuple[int, int]:
    """All, and what is free."""
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ulong), ("load", ctypes.c_ulong), ("total", ctypes.c_ulonglong),
                    ("free", ctypes.c_ulonglong), *((name, ctypes.c_ulonglong) for name in "abcde"))  # fmt: skip

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.total), int(status.free)
