"""The wheels that the extension bundles: pinned in wheels.sha256, fetched by pip, checked, never changed.

wheels.sha256 is the one place for their versions. To change one, replace its lines by `sha256sum *.whl`'s.

CPython 3.11 has a Numba of the time of its Blender's NumPy, 1.26; 3.13 and 3.14 have the newest. NumPy itself and
OpenImageIO are Blender's own. wgpu asks for rendercanvas, too, which it needs for windows only: it is left out.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "wheels"
PLATFORMS = {"manylinux": "linux-x64", "macosx": "macos-arm64", "win": "windows-x64"}
"""Wheel platforms, by how their tag begins, and Blender's names for them."""


@dataclass(frozen=True)
class Wheel:
    """One file of PyPI, described by its name (PEP 427)."""

    filename: str
    sha256: str
    only: str | None = None  # Blender's name of the one platform that needs it

    @property
    def path(self) -> Path:
        return FOLDER / self.filename

    @property
    def name(self) -> str:
        return self.filename.split("-")[0]

    @property
    def version(self) -> str:
        return self.filename.split("-")[1]

    @property
    def python(self) -> str | None:
        """The only Python it runs on, as in "cp311"; None: on all."""
        tag = self.filename.split("-")[2]
        return None if tag.startswith("py") else tag

    @property
    def tags(self) -> list[str]:
        return self.filename.removesuffix(".whl").split("-")[4].split(".")

    @property
    def platform(self) -> str | None:
        """Blender's name for its platform; None: it is for all."""
        return next((name for head, name in PLATFORMS.items() if self.tags[0].startswith(head)), self.only)

    def is_for(self, platform: str, python: str) -> bool:
        """Whether a zip for this platform and Python needs it."""
        return self.platform in (platform, None) and self.python in (python, None)


def pinned() -> list[Wheel]:
    """Every wheel in wheels.sha256, by platform, then by Python, then by name.

    A third word of a line is the only platform that needs it.
    """
    lines = (ROOT / "tools" / "wheels.sha256").read_text("utf-8").splitlines()
    wheels = [Wheel(filename, digest, *only) for digest, filename, *only in map(str.split, lines)]
    return sorted(wheels, key=lambda wheel: (*_where(wheel), wheel.name))


def _where(wheel: Wheel) -> tuple[str, str]:
    return wheel.platform or "all platforms", wheel.python or "all Pythons"


def fetch(wheels: list[Wheel]) -> None:
    """Have all of them in build/wheels, with the pinned content. Ends the program where one can't be had."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = [wheel for wheel in wheels if not wheel.path.is_file()]
    for (platform, python), group in groupby(missing, _where):
        wanted = list(group)
        names = ", ".join(f"{wheel.name} {wheel.version}" for wheel in wanted)
        print(f"downloading for {platform}, {python}: {names}", flush=True)
        tags = [option for tag in sorted({t for w in wanted for t in w.tags}) for option in ("--platform", tag)]
        version = (wanted[0].python or "cp311").removeprefix("cp")
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary=:all:", "--python-version", version, *tags, "--dest", str(FOLDER),
            *(f"{w.name}=={w.version}" for w in wanted),
        ]  # fmt: skip
        if subprocess.run(command).returncode:
            sys.exit(f"error: pip could not download the wheels for {platform}, {python}; its message is above")
    for wheel in wheels:
        if not wheel.path.is_file():
            sys.exit(
                f"error: {wheel.filename} is not the wheel that pip chose for its platform; correct tools/wheels.sha256"
            )
        if hashlib.sha256(wheel.path.read_bytes()).hexdigest() != wheel.sha256:
            sys.exit(f"error: {wheel.path}: not the file pinned in tools/wheels.sha256; remove it and run again")
