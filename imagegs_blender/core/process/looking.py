"""What fits can run on, asked of a process of its own: what it loads is gone when it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, fields

from ..devices.here import Here, look
from ..errors import ImageGSError
from .child import WANTED, command, environment

_REFUSED = 3  # exit code of main() with a message for the user


def devices(python: str | None = None) -> Here:
    """The devices for fits of a Python (default: the running one). Takes seconds.

    Raises ImageGSError where that Python can't run fits.
    """
    program = python or sys.executable
    try:
        done = subprocess.run(
            command(program, "core.process.looking"), env=environment(python),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=120,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except OSError as error:
        raise ImageGSError(f"{program}: can't be started ({error.strerror}); choose a Python's program file") from None
    except subprocess.TimeoutExpired:
        raise ImageGSError(f"{program}: does not answer; choose a Python's program file") from None
    if done.returncode == 0:
        return _found(done.stdout, program)
    said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    if done.returncode != _REFUSED and python:
        from .interpreter import unfit

        raise ImageGSError(unfit(done.stderr, python))
    raise ImageGSError(said if done.returncode == _REFUSED else f"devices can't be looked for here ({said})")


def _found(stdout: str, program: str) -> Here:
    """What the process has told, in its last line. Raises ImageGSError where that is no answer: the program is no Python."""
    try:
        told = json.loads(stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        told = None
    wanted = [field.name for field in fields(Here)]
    if not (isinstance(told, dict) and sorted(told) == sorted(wanted) and all(map(_are_texts, told.values()))):
        raise ImageGSError(f"{program}: does not answer as a Python does; choose a Python's program file")
    return Here(**told)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def main() -> int:
    """The process of devices(): 0, or 3 where this Python was set up for another version."""
    from . import serve  # noqa: F401  imports what a fit imports

    if WANTED in os.environ:
        from .interpreter import check_python

        try:
            check_python()
        except ImageGSError as error:
            print(error, file=sys.stderr)
            return _REFUSED
    print(json.dumps(asdict(look())))
    return 0
