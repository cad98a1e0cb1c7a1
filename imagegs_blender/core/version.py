"""The version of this package."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

PACKAGE = "imagegs-blender"


def version() -> str:
    """The manifest's, which has its one home there; the installed package's where no manifest is beside it."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package, package.parent):
        manifest = folder / "blender_manifest.toml"
        if manifest.is_file():
            return tomllib.loads(manifest.read_text("utf-8"))["version"]
    return metadata.version(PACKAGE)
