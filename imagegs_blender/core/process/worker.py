"""One fit in its own process: progress as JSON lines on its stdout, cancel by ending it.

The window stays alive, a crash in a kernel does not take Blender with it, and memory is given back. The child gets the
stack and the settings as files in a temporary folder and leaves the stream and the report there.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..decoding.decode import Decoded
from ..encoding import encode
from ..encoding.encode import Encoded, Progress
from ..encoding.report import FitReport
from ..errors import Cancelled, ImageGSError
from ..igs import stream
from ..settings import FitSettings, QuantizeBits
from ..textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role, TextureStack
from ..version import PACKAGE, WANTED, check_python, version
from . import precompile
from .child import command

_LINES_PER_SECOND = 8
_FAILED = 3  # exit code of a child that wrote a message for the user into error.txt


class Job:
    """A fit in a child process. start() it, poll() it, cancel() it; result() when done.

    python        the interpreter to run; default the running one (in Blender: Blender's own). It runs these very files with
                  its own packages: which must be those of this version, and at least NumPy, Numba, Pillow, constriction
    environment   variables that the child gets beside those of this process
    """

    def __init__(
        self,
        stack: TextureStack,
        settings: FitSettings,
        python: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._stack: TextureStack | None = stack
        self._settings, self._python = settings, python or sys.executable
        path = "" if python else os.pathsep.join(filter(None, sys.path))  # another Python has packages of its own
        wanted = {WANTED: version()} if python else {}
        self._environment = {**os.environ, **(environment or {}), **wanted, "PYTHONPATH": path}
        self._progress: queue.SimpleQueue[Progress] = queue.SimpleQueue()
        self._folder: tempfile.TemporaryDirectory | None = None
        self._process: subprocess.Popen | None = None
        self._reader: threading.Thread | None = None
        self._cancelled = False
        self._result: Encoded | None = None

    def write(self) -> None:
        """Write the input, which start() does otherwise: takes time and may be done in a thread."""
        assert self._stack is not None
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="imagegs-", ignore_cleanup_errors=True)
            _save(Path(self._folder.name), self._stack, self._settings)
        except OSError as error:
            self._end()
            raise ImageGSError(
                f"{tempfile.gettempdir()}: the fit's input can't be written ({error.strerror or error}); free some space"
            ) from None
        self._stack = None

    def start(self) -> None:
        """Start the child."""
        if self._folder is None:
            self.write()
        assert self._process is None and self._folder is not None
        folder = Path(self._folder.name)
        try:
            with (folder / "stderr.txt").open("wb") as errors:
                self._process = subprocess.Popen(
                    command(self._python, "process.worker", folder),
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
                    env=self._environment,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )  # fmt: skip
        except OSError as error:
            self._folder.cleanup()
            raise ImageGSError(f"{self._python}: can't be started for the fit ({error.strerror})") from None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def poll(self) -> list[Progress]:
        """The progress since the last call; never waits."""
        told = []
        while not self._progress.empty():
            told.append(self._progress.get())
        return told

    @property
    def done(self) -> bool:
        """The child has ended, however it ended."""
        return self._process is not None and self._process.poll() is not None

    def cancel(self) -> None:
        """End the child now (also after it is done: gives its temporary files back)."""
        self._cancelled = self._cancelled or not self.done
        self._end()

    def result(self) -> Encoded:
        """The finished fit; waits for it. Raises ImageGSError where the fit failed, Cancelled where it was cancelled."""
        if self._result is None:
            if self._cancelled or self._process is None or self._folder is None:
                raise Cancelled
            code = self._process.wait()
            folder = Path(self._folder.name)
            try:
                if code == _FAILED:
                    raise ImageGSError((folder / "error.txt").read_text("utf-8"))
                if code != 0:
                    raise ImageGSError(_crash(folder / "stderr.txt", code, self._python))
                report = json.loads((folder / "report.json").read_text("utf-8"))
                data = (folder / "result.igs").read_bytes()
                found = stream.read(data)
                self._result = Encoded(found, data, FitReport.from_json(report), Decoded(found))
            finally:
                self._end()
        return self._result

    def _end(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            assert self._reader is not None
            self._reader.join()
            if self._process.stdout:
                self._process.stdout.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            self._progress.put(Progress(**json.loads(line)))


def devices(python: str | None = None) -> str:
    """The devices for fits of a Python (default: the running one), in words. Takes seconds: a process of its own answers.

    Raises ImageGSError where that Python can't run fits.
    """
    path = "" if python else os.pathsep.join(filter(None, sys.path))
    wanted = {WANTED: version()} if python else {}
    python = python or sys.executable
    try:
        done = subprocess.run(
            command(python, "devices.choice"), env={**os.environ, **wanted, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=120,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except OSError as error:
        raise ImageGSError(f"{python}: can't be started ({error.strerror}); choose a Python's program file") from None
    except subprocess.TimeoutExpired:
        raise ImageGSError(f"{python}: does not answer; choose a Python's program file") from None
    if done.returncode == _FAILED:
        raise ImageGSError(done.stderr.strip().splitlines()[-1])
    if unfit := _unfit(done.stderr, python):
        raise ImageGSError(unfit)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ImageGSError(f"{python}: can't run fits ({said}); pip install imagegs-blender in it")
    return done.stdout.strip().splitlines()[-1]


def _unfit(stderr: str, python: str) -> str | None:
    """The thing that a Python lacks to run fits, as a message; None where stderr tells of something else."""
    lines = stderr.strip().splitlines()
    if lines and lines[0].lower().startswith("unknown option: -p"):
        return f"{python}: is older than Python 3.11; choose a newer one"
    if lines and lines[-1].startswith("ModuleNotFoundError:"):
        return f'{python}: {lines[-1].partition(": ")[2]}; in it, pip install "{PACKAGE}[cuda]"'
    return None


def _crash(log: Path, code: int, python: str) -> str:
    text = log.read_text("utf-8", "replace")
    if unfit := _unfit(text, python):
        return unfit
    lines = text.strip().splitlines()
    said = f": {lines[-1]}" if lines else ""
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return f"the fit's process {ended}{said}; nothing was changed. If memory was short, close programs and try again"


# The files between parent and child.

_TEXELS = ("weights", "importance")


def _save(folder: Path, stack: TextureStack, settings: FitSettings) -> None:
    np.save(folder / "planes.npy", stack.planes)
    for name in _TEXELS:
        if (texels := getattr(stack, name)) is not None:
            np.save(folder / f"{name}.npy", texels)
    description = {"wrap": stack.wrap, "maps": [asdict(m) for m in stack.maps], "settings": asdict(settings)}
    (folder / "job.json").write_text(json.dumps(description), "utf-8")


def _load(folder: Path) -> tuple[TextureStack, FitSettings]:
    job = json.loads((folder / "job.json").read_text("utf-8"))
    maps = tuple(
        MapInfo(**{
            **m, "role": Role(m["role"]), "color_space": ColorSpace(m["color_space"]), "depth": Depth(m["depth"]),
            "sources": tuple(Channel(**source) for source in m["sources"]),
        })
        for m in job["maps"]
    )  # fmt: skip
    texels = {name: np.load(file) for name in _TEXELS if (file := folder / f"{name}.npy").exists()}
    stack = TextureStack(maps, np.load(folder / "planes.npy"), job["wrap"], **texels)
    return stack, FitSettings(**{**job["settings"], "bits": QuantizeBits(**job["settings"]["bits"])})


def main(folder: Path) -> int:
    """The child: fit what the folder holds; 0, or _FAILED with a message in error.txt."""
    told = 0.0

    def tell(progress: Progress) -> None:
        nonlocal told
        now = time.perf_counter()
        if now - told > 1 / _LINES_PER_SECOND or progress.step == progress.steps:
            told = now
            print(json.dumps(asdict(progress)), flush=True)

    try:
        check_python()
        helper = precompile.start()
        encoded = encode.encode(*_load(folder), tell)
    except ImageGSError as error:
        (folder / "error.txt").write_text(str(error), "utf-8")
        return _FAILED
    (folder / "result.igs").write_bytes(encoded.data)
    (folder / "report.json").write_text(json.dumps(encoded.report.to_json()), "utf-8")
    if helper is not None:
        helper.wait()  # the kernels are in the cache before a window waits for them
    return 0
