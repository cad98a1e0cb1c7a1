"""Another Python that runs fits, chosen by the user: what it lacks."""

from __future__ import annotations

import os
import sys
from importlib import metadata

from ..errors import ImageGSError
from ..version import PACKAGE
from .child import WANTED


def check_python() -> None:
    """Raise ImageGSError where this Python's packages were installed for another version than the one that started it."""
    wanted = os.environ.get(WANTED)
    if wanted is None:
        return
    try:
        installed = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return
    if installed != wanted:
        raise ImageGSError(
            f'{sys.executable}: has {PACKAGE} {installed}, this is {wanted}; in it, pip install "{PACKAGE}[cuda]=={wanted}"'
        )


def lacking(stderr: str, python: str) -> str | None:
    """The thing that a Python lacks to run fits, as a message; None where stderr tells of something else."""
    lines = stderr.strip().splitlines()
    if lines and lines[0].lower().startswith("unknown option: -p"):
        return f"{python}: is older than Python 3.11; choose a newer one"
    if lines and lines[-1].startswith("ModuleNotFoundError:"):
        return f'{python}: {lines[-1].partition(": ")[2]}; in it, pip install "{PACKAGE}[cuda]"'
    return None


def unfit(stderr: str, python: str) -> str:
    """Why a Python can't run fits, from what it said when it tried."""
    said = (stderr.strip().splitlines() or ["it says nothing"])[-1]
    return lacking(stderr, python) or f"{python}: can't run fits ({said}); pip install {PACKAGE} in it"
