"""Fits in a child process, one after the other: the window stays alive, and a crash in a kernel does not take Blender with it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import IO, Any, Self

from ..errors import ImageGSError
from .child import command, environment
from .job import Job


class Worker:
    """A child process that does jobs, in the order in which they are added. It ends with the context, and with this process.

    A crash costs one fit: the next gets a new child. Only the first is slow to begin, while the child imports and loads
    its kernels.

    python        the interpreter to run; default the running one (in Blender: Blender's own). It runs these very files with
                  its own packages: which must be those of this version, and at least NumPy, Numba, Pillow, constriction
    environment   variables that the child gets beside those of this process
    preparing     how much of the kernels is compiled, 0..1, before the first fit on a computer; None: that is not going on
    """

    def __init__(self, python: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._python, self._environment = python, environment
        self._jobs: deque[Job] = deque()  # those that are not done; the first is in progress
        self._child: _Child | None = None
        self.preparing: float | None = None

    def start(self) -> None:
        """Start the child, if there is none: what it imports is there when the first job comes."""
        if self._child is not None:
            return
        try:
            self._child = child = _Child(self._python, self._environment)
        except ImageGSError as error:
            while self._jobs:
                self._jobs.popleft().fail(error)
        else:
            for job in self._jobs:
                child.ask(job)

    def add(self, job: Job) -> None:
        """Let the child do a job, after those that were added before; a new one, where it has ended with nothing to do."""
        self.listen()
        self._jobs.append(job)
        if self._child is None:
            self.start()
        else:
            self._child.ask(job)

    def listen(self) -> None:
        """Pass on to the jobs what the child has said; never waits."""
        while self._child is not None and not self._child.said.empty():
            message = self._child.said.get()
            if message is None:
                self._crashed(self._child)
            elif "preparing" in message:
                self.preparing = message["preparing"]
            else:
                self.preparing = None
                self._jobs[0].hear(message)
                if self._jobs[0].done:
                    self._jobs.popleft()

    def cancel(self) -> None:
        """End the child now, with the job in progress and those behind it; a job that is added later gets a new one."""
        if self._child is not None:
            self._child.end()
            self._child = self.preparing = None
        while self._jobs:
            self._jobs.popleft().cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def _crashed(self, child: _Child) -> None:
        why = child.crash()
        child.end()
        self._child = self.preparing = None
        if self._jobs:
            self._jobs.popleft().fail(ImageGSError(why))
        if self._jobs:
            self.start()


class _Child:
    """The process, from this side. Raises ImageGSError where it can't be started.

    said   what it told, and None at its end
    """

    def __init__(self, python: str | None, more: Mapping[str, str] | None) -> None:
        self._python, self._is_another = python or sys.executable, python is not None
        try:
            with ExitStack() as failing:
                self._errors = failing.enter_context(tempfile.TemporaryFile())
                self._process = subprocess.Popen(
                    command(self._python, "core.process.serve"), env=environment(python, more),
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )  # fmt: skip
                failing.pop_all()
        except OSError as error:
            raise ImageGSError(f"{self._python}: can't be started for the fit ({error.strerror})") from None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._others: deque[str] = deque(maxlen=5)
        self._reader = threading.Thread(target=_read, args=(self._stdout, self.said, self._others), daemon=True)
        self._reader.start()

    def ask(self, job: Job) -> None:
        """Send it a job."""
        with suppress(OSError):  # where it has ended, `said` tells
            os.write(self._stdin.fileno(), json.dumps(str(job.folder)).encode() + b"\n")

    def crash(self) -> str:
        """Where it ended by itself: how, as a message."""
        code = self._process.wait()
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace")
        lines = text.strip().splitlines()
        if self._is_another:
            from .interpreter import lacking

            if unfit := lacking(text, self._python):
                return unfit
        elif lines and lines[-1].startswith(("ImportError: ", "ModuleNotFoundError: ")):
            return f"the fit's process can't start ({lines[-1].partition(': ')[2]}): {_REPAIR}"
        lines = lines or [line for line in self._others if line]
        said = f": {lines[-1]}" if lines else ""
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return (
            f"the fit's process {ended}{said}; nothing was changed. If memory was short, close programs and try again"
        )

    def end(self) -> None:
        """End it now, if it has not ended yet."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._stdin, self._stdout, self._errors):
            pipe.close()


REPORTS = frozenset({"preparing", "progress", "finished", "failed"})
"""What a report of the child tells, each by itself; a line without one of them is somebody else's."""

_REPAIR = "another extension may have brought another version; disable or update that one, and restart Blender"


def _read(lines: IO[bytes], said: queue.SimpleQueue[dict[str, Any] | None], others: deque[str]) -> None:
    """Pass on what the child tells until it ends; `others` are lines that something else of it wrote."""
    try:
        for line in lines:
            try:
                report = json.loads(line)
            except ValueError:
                report = None
            if isinstance(report, dict) and len(report) == 1 and REPORTS.issuperset(report):
                said.put(report)
            else:
                others.append(line.decode("utf-8", "replace").strip())
    finally:
        said.put(None)
