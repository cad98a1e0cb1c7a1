"""Which zips there are: one for each platform and each Python of Blender that wheels.sha256 has wheels for.

Blender itself refuses a zip that is for another platform, Python or version than its own.
"""

from __future__ import annotations

import platform
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import wheels

OUTPUT = wheels.ROOT / "build" / "extension"
LISTED_OUTPUT = wheels.ROOT / "build" / "listing"
MANIFEST = wheels.ROOT / "blender_manifest.toml"


@dataclass(frozen=True)
class Python:
    """A Python that Blender is built for.

    label        how file names call its Blenders
    first, end   the first of these versions of Blender, and the first that is none of them; None: there is none yet
    official     whether blender.org builds Blender for it
    """

    label: str
    first: str
    end: str | None
    official: bool


PYTHONS = {
    "cp311": Python("blender-4.5-to-5.0", "4.5.0", "5.1.0", official=True),
    "cp313": Python("blender-5.1-and-newer", "5.1.0", None, official=True),
    "cp314": Python("python-3.14", "4.5.0", None, official=False),  # Linux distributions
}


@dataclass(frozen=True)
class Zip:
    """One zip. platform is Blender's name of it, python a wheel's, listed: it is for extensions.blender.org."""

    platform: str
    python: str
    listed: bool = False

    @property
    def wheels(self) -> list[wheels.Wheel]:
        return [w for w in wheels.pinned() if w.is_for(self.platform, self.python)]

    @property
    def blender(self) -> Python:
        return PYTHONS[self.python]

    @property
    def version(self) -> str:
        """The manifest's. On the site it says in addition which Blenders it is for: a version has one zip a platform there."""
        version = manifest()["version"]
        return f"{version}+blender{self.blender.first.removesuffix('.0')}" if self.listed else version

    @property
    def path(self) -> Path:
        known = manifest()
        name = f"{known['id']}-{known['version']}-{self.platform}-{self.blender.label}"
        return LISTED_OUTPUT / f"{name}-listed.zip" if self.listed else OUTPUT / f"{name}.zip"


def zips(listed: bool = False) -> Iterator[Zip]:
    """All of them; for extensions.blender.org those of blender.org's own Blenders."""
    known = {(wheel.platform, wheel.python) for wheel in wheels.pinned() if wheel.platform and wheel.python}
    for system, python in sorted(known):
        if PYTHONS[python].official or not listed:
            yield Zip(system, python, listed)


def running(listed: bool = False) -> Zip:
    """The zip for the Blender whose Python runs this."""
    system = {"linux": "linux-x64", "darwin": "macos-arm64", "win32": "windows-x64"}.get(
        sys.platform, platform.system()
    )
    return Zip(system, f"cp{sys.version_info.major}{sys.version_info.minor}", listed)


def manifest() -> dict:
    """blender_manifest.toml, from which the manifest of each zip is made."""
    return tomllib.loads(MANIFEST.read_text("utf-8"))
