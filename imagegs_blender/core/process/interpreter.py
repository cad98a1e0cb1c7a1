"""A Python that runs fits, the running one or another: what it can fit on, and what it lacks."""

from __future__ import annotations

import subprocess
import sys

from ..errors import ImageGSError
from ..version import PACKAGE
from .child import command, environment

_FAILED = 3  # exit code of devices.choice with a message for the user


def devices(python: str | None = None) -> str:
    """The devices for fits of a Python (default: the running one), in words. Takes seconds: a process of its own answers.

    Raises ImageGSError where that Python can't run fits.
    """
    program = python or sys.executable
    try:
        done = subprocess.run(
            command(program, "devices.choice"), env=environment(python),
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
    return done.stdout.strip().splitlines()[-1]


def lacking(stderr: str, python: str) -> str | None:
    """The thing that a Python lacks to run fits, as a message; None where stderr tells of something else."""
    lines = stderr.strip().splitlines()
    if lines and lines[0].lower().startswith("unknown option: -p"):
        return f"{python}: is older than Python 3.11; choose a newer one"
    if lines and lines[-1].startswith("ModuleNotFoundError:"):
        return f'{python}: {lines[-1].partition(": ")[2]}; in it, pip install "{PACKAGE}[cuda]"'
    return None
