"""A process of its own that runs a module of this package: its command line and environment, and its pipes to who started it."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from ..version import version

# The package under the name that it has here, from where it is: in Blender it is bl_ext.<repository>.<name>, which no
# path leads to, and Numba's cache holds that name.
_START = """
import importlib.util, pathlib, sys, types
name, first, module, *arguments = sys.argv[1:]
parts = name.split(".")
for parent in (".".join(parts[:end]) for end in range(1, len(parts))):
    sys.modules[parent] = types.ModuleType(parent)
spec = importlib.util.spec_from_file_location(name, first)
package = sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
sys.exit(importlib.import_module(name + "." + module).main(*map(pathlib.Path, arguments)))
"""


def command(python: str, module: str, *arguments: Path) -> list[str]:
    """The command line that runs main(*arguments) of a module of this package in a process of its own."""
    package = __name__.removesuffix(".core.process.child")
    first = Path(__file__).resolve().parents[2] / "__init__.py"
    return [python, "-P", "-c", _START, package, str(first), module, *map(str, arguments)]


WANTED = "IMAGEGS_VERSION"
"""The variable that tells another Python which version the one that starts it is; it is set for no other process."""

_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
"""Threads that wait for others sleep, and matrices, which are small here, get one. By default both spin: beside other
programs a fit then takes several times the processor's time."""


def environment(python: str | None, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a process that runs core in a Python; None is the running one.

    It gets this one's packages. Another Python has packages of its own, which must be those of this version.
    """
    path = "" if python else os.pathsep.join(filter(None, sys.path))
    wanted = {WANTED: version()} if python else {}
    return {**_THREADS, **os.environ, **(more or {}), **wanted, "PYTHONPATH": path}


def from_parent() -> queue.SimpleQueue[bytes]:
    """In the process: the lines that come to its standard input, which nothing else reads from now on.

    The process ends, whatever it is doing, when the one that started it closes the pipe, or dies.
    """
    # Unbuffered: an interpreter that ends does not wait for the lock of a buffer. On another descriptor: while a thread
    # reads standard input on Windows, libraries that are loaded and look at it would wait.
    pipe = os.fdopen(os.dup(0), "rb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pipe, lines), daemon=True).start()
    return lines


def to_parent() -> Callable[[Mapping[str, Any]], None]:
    """In the process: tells the one that started it something, as a line of JSON on standard output.

    What others print goes to standard error from now on.
    """
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return lambda message: print(json.dumps(message), file=pipe, flush=True)


def _read(pipe: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    for line in pipe:
        lines.put(line)
    os._exit(1)
