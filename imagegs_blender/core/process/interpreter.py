"""Another Python that runs fits, chosen by the user: what it can fit on, and what it lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata

from ..devices.here import Here, look
from ..errors import ImageGSError
from ..version import PACKAGE
from .child import WANTED, command, environment

_FAILED = 3  # exit code of main() with a message for the user


def devices(python: str | None = None) -> Here:
    """The devices for fits of a Python (default: the running one). Takes seconds: a process of its own answers.

    Raises ImageGSError where that Python can't run fits.
    """
    program = python or sys.executable
    try:
        done = subprocess.run(
            command(program, "process.interpreter"), env=environment(python),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=120,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except OSError as error:
        raise ImageGSError(f"{program}: can't be started ({error.strerror}); choose a Python's program file") from None
    except subprocess.TimeoutExpired:
        raise ImageGSError(f"{program}: does not answer; choose a Python's program file") from None
    if done.returncode == _FAILED:
        raise ImageGSError(done.stderr.strip().splitlines()[-1])
    if unfit := lacking(done.stderr, program):
        raise ImageGSError(unfit)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ImageGSError(f"{program}: can't run fits ({said}); pip install imagegs-blender in it")
    return Here(**json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> int:
    """The process of devices(): 0, or 3 where this Python was set up for another version."""
    from ..devices import choice  # noqa: F401  imports what a fit imports

    try:
        check_python()
    except ImageGSError as error:
        print(error, file=sys.stderr)
        return _FAILED
    print(json.dumps(asdict(look())))
    return 0


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
