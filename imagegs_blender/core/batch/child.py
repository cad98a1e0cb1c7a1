"""One file in a Blender of its own: whatever happens there is a result here."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .. import files
from ..errors import one_line
from ..process.child import command

Job = dict[str, Any]
"""What the Blender is told, as JSON; docs/farm.md lists its keys."""

Result = dict[str, Any]
"""How it went: `status` and `reason` at least."""

SCRIPT = Path(__file__).resolve().parents[2] / "batch.py"

_LOOK = 0.5
"""Seconds between two looks at whether the file is still wanted."""

_GRACE = 10.0
"""Seconds that a Blender has to end after its last word."""

_SILENT = ("Read blend", "Saved session recovery", "Blender quit", "Writing: ")
"""Beginnings of lines that say nothing about why Blender ended."""


def module_launcher() -> list[str]:
    """The beginning of the command line of a Blender that is this Python's bpy module."""
    return command(sys.executable, "workflow.one_file")


def program_launcher(program: str, arguments: Sequence[str], threads: int) -> list[str]:
    """The same of Blender's program file, with those of these arguments of a running one that are about how it starts."""
    kept: list[str] = []
    for place, name in enumerate(arguments):
        if name in ("--", "-c", "--command"):  # what follows is for us
            break
        if name in _HOW_IT_STARTS:
            kept += arguments[place : place + 1 + _HOW_IT_STARTS[name]]
    return [program, "-b", *kept, "-t", str(threads), "--python-exit-code", "1", "--python", str(SCRIPT), "--"]


_HOW_IT_STARTS = {
    "--addons": 1,
    **dict.fromkeys((
        "--factory-startup", "--python-use-system-env", "--offline-mode", "--online-mode", "--disable-autoexec", "-Y",
        "--enable-autoexec", "-y",
    ), 0),
}  # fmt: skip
"""Names, and how many words come behind each."""


def run(
    launcher: Sequence[str],
    job: Job,
    tell: Callable[[Mapping[str, Any]], None] = lambda _: None,
    wanted: Callable[[], bool] = lambda: True,
) -> Result:
    """Convert one file, in a process that ends when this one does. Returns when it has ended, or is not wanted any more.

    tell   hears its progress
    """
    started = time.monotonic()
    with files.temporary_folder() as folder:
        told, answer, log = folder / "job.json", folder / "result.json", folder / "log.txt"
        files.write(told, json.dumps({**job, "result": str(answer), "watched": True}).encode())
        with log.open("wb") as errors:
            try:
                process = subprocess.Popen(
                    [*launcher, str(told)], env=_environment(folder, job.get("threads")),
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )  # fmt: skip
            except OSError as error:
                return _result(started, "failed", f"{launcher[0]}: can't be started ({error.strerror})")
        end = _wait(process, tell, wanted, job.get("timeout"))
        if end is _UNWANTED:
            return _result(started, "failed", "was stopped before its end")
        try:
            result = json.loads(answer.read_text("utf-8"))
        except (OSError, ValueError):
            if end is _LATE:
                reason = f"took longer than {job['timeout']:.0f} s; allow more with --timeout, or look into the file"
                return _result(started, "timed out", reason)
            return _result(started, "crashed", _crash(process.returncode, log) + _limited(job))
        if result["status"] == "failed" and job.get(
            "memory"
        ):  # where memory ends, Blender and libraries say all kinds of things
            result["reason"] += _limited(job)
            result["error"] = result["error"] and result["reason"]
        return {**result, "seconds": time.monotonic() - started}


_UNWANTED, _LATE = "unwanted", "late"


def _wait(
    process: subprocess.Popen[bytes],
    tell: Callable[[Mapping[str, Any]], None],
    wanted: Callable[[], bool],
    timeout: float | None,
) -> str | None:
    """Listen to a process until it ends, and see to it that it does. Returns why it had to be ended, or None."""
    assert process.stdin is not None and process.stdout is not None
    said: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process.stdout, said), daemon=True)
    reader.start()
    last = time.monotonic() + timeout if timeout else float("inf")
    why = None
    try:
        while True:
            if time.monotonic() > last:
                why = _LATE
                break
            if not wanted():
                why = _UNWANTED
                break
            try:
                message = said.get(timeout=max(0.01, min(_LOOK, last - time.monotonic())))
            except queue.Empty:
                continue
            if message is None:
                break
            tell(message)
        if why is None:
            process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass  # it has said all it had to say: what it was to do is done, or it crashed
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        reader.join()
        process.stdout.close()
    return why


def _read(lines: IO[bytes], said: queue.SimpleQueue[Mapping[str, Any] | None]) -> None:
    """Pass on what the process tells; what Blender prints beside it is no JSON."""
    try:
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                said.put(message)
    finally:
        said.put(None)


def _environment(folder: Path, threads: int | None) -> dict[str, str]:
    """Its temporary files lie in a folder that goes with it, and all of its threads together are so many."""
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    if threads:
        environment |= {"NUMBA_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    return environment


def _result(started: float, status: str, reason: str) -> Result:
    return {"status": status, "reason": reason, "seconds": time.monotonic() - started}


def _limited(job: Job) -> str:
    return f"; its memory was limited to {job['memory'] / 1e9:g} GB: --memory allows more" if job.get("memory") else ""


def _crash(code: int, log: Path) -> str:
    """How a process ended that left no result, with its last words."""
    try:
        ended = f"signal {-code}, {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    except ValueError:
        ended = f"signal {-code}"
    lines = log.read_bytes().decode("utf-8", "replace").splitlines()
    words = [line for line in map(one_line, filter(str.strip, lines)) if not line.startswith(_SILENT)]
    last = f": {words[-1]}" if words else ""
    memory = "; if memory was short, use fewer --jobs" if code in (-9, 137) else ""
    return f"Blender crashed ({ended}){last}{memory}"
