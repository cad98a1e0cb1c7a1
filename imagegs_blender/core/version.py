"""The version of this package, and whether another Python that runs its fits was set up for the same one."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from .errors import ImageGSError

PACKAGE = "imagegs-blender"
WANTED = "IMAGEGS_VERSION"
"""The variable by which a process tells the Python that it starts for its fits which version it is."""


def version() -> str:
    """The manifest's, which has its one home there; the installed package's where no manifest is beside it."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package, package.parent):
        manifest = folder / "blender_manifest.toml"
        if manifest.is_file():
            return tomllib.loads(manifest.read_text("utf-8"))["version"]
    return metadata.version(PACKAGE)


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
