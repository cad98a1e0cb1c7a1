"""The wheels that the extension bundles: pinned in wheels.sha256, fetched by pip, checked, never changed.

wheels.sha256 is the one place for their versions. To change one, replace its lines by `sha256sum *.whl`'s.

CPython 3.11 has a Numba of the time of its Blender's NumPy, 1.26; 3.13 and 3.14 have the newest. NumPy itself and
OpenImageIO are Blender's own.
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
    def python(self) -> str:
        """The only Python it runs on, as in "cp311"."""
        return self.filename.split("-")[2]

    @property
    def tags(self) -> list[str]:
        return self.filename.removesuffix(".whl").split("-")[4].split(".")

    @property
    def platform(self) -> str:
        """Blender's name for its platform."""
        return next(name for head, name in PLATFORMS.items() if self.tags[0].startswith(head))


def pinned() -> list[Wheel]:
    """Every wheel in wheels.sha256, by platform, then by Python, then by name."""
    lines = (ROOT / "tools" / "wheels.sha256").read_text("utf-8").splitlines()
    wheels = [Wheel(filename, digest) for digest, filename in map(str.split, lines)]
    return sorted(wheels, key=lambda wheel: (wheel.platform, wheel.python, wheel.name))


def fetch(wheels: list[Wheel]) -> None:
    """Have all of them in build/wheels, with the pinned content. Ends the program where one can't be had."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = [wheel for wheel in wheels if not wheel.path.is_file()]
    for (platform, python), group in groupby(missing, lambda wheel: (wheel.platform, wheel.python)):
        wanted = list(group)
        print(f"downloading for {platform}, {python}: {', '.join(f'{w.name} {w.version}' for w in wanted)}", flush=True)
        tags = [option for tag in sorted({t for w in wanted for t in w.tags}) for option in ("--platform", tag)]
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary=:all:", "--python-version", python.removeprefix("cp"), *tags, "--dest", str(FOLDER),
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
