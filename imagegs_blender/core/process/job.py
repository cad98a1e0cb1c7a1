"""A fit in a folder: the stack and the settings go to the process that fits as files, and the stream and the report come back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import litter
from ..decoding.decode import Decoded
from ..encoding.encode import Encoded, Progress
from ..encoding.report import FitReport
from ..errors import Cancelled, ImageGSError
from ..igs import stream
from ..settings import FitSettings, QuantizeBits
from ..textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role, TextureStack

_TEXELS = ("weights", "importance")


class Job:
    """A fit that a Worker does, from this side. Making it writes its input: takes time, and may be done in a thread.

    folder   holds its files until result() or discard()
    done     it has ended, however
    Raises ImageGSError where the input can't be written.
    """

    def __init__(self, stack: TextureStack, settings: FitSettings) -> None:
        self.done = False
        self._failure: Exception | None = None
        self._progress: list[Progress] = []
        self._result: Encoded | None = None
        try:
            litter.sweep(Path(tempfile.gettempdir()))
            self._temporary = tempfile.TemporaryDirectory(prefix=litter.name("."), ignore_cleanup_errors=True)
            self.folder = Path(self._temporary.name)
            try:
                _save(self.folder, stack, settings)
            except BaseException:
                self.discard()
                raise
        except OSError as error:
            raise ImageGSError(
                f"{tempfile.gettempdir()}: the fit's input can't be written ({error.strerror or error}); free some space"
            ) from None

    def hear(self, message: Mapping[str, Any]) -> None:
        """What the process that fits says about it: progress, and at its end finished or failed."""
        if "progress" in message:
            self._progress.append(Progress(**message["progress"]))
        elif "failed" in message:
            self.fail(ImageGSError(message["failed"]))
        else:
            self.done = True

    def fail(self, error: Exception) -> None:
        """It has ended: this is what result() raises."""
        self.done, self._failure = True, error
        self.discard()

    def progress(self) -> list[Progress]:
        """The progress since the last call."""
        told, self._progress = self._progress, []
        return told

    def result(self) -> Encoded:
        """The finished fit, once it is done. Raises ImageGSError where it failed, Cancelled where it was cancelled."""
        assert self.done
        if self._failure is not None:
            raise self._failure
        if self._result is None:
            report = json.loads((self.folder / "report.json").read_text("utf-8"))
            data = (self.folder / "result.igs").read_bytes()
            found = stream.read(data)
            self._result = Encoded(found, data, FitReport.from_json(report), Decoded(found))
            self.discard()
        return self._result

    def cancel(self) -> None:
        """It is not wanted any more."""
        if not self.done:
            self.fail(Cancelled())

    def discard(self) -> None:
        """Give its files back."""
        self._temporary.cleanup()


def load(folder: Path) -> tuple[TextureStack, FitSettings]:
    """The input that a Job has written."""
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


def store(folder: Path, encoded: Encoded) -> None:
    """Write the result that a Job reads."""
    (folder / "result.igs").write_bytes(encoded.data)
    (folder / "report.json").write_text(json.dumps(encoded.report.to_json()), "utf-8")


def _save(folder: Path, stack: TextureStack, settings: FitSettings) -> None:
    np.save(folder / "planes.npy", stack.planes)
    for name in _TEXELS:
        if (texels := getattr(stack, name)) is not None:
            np.save(folder / f"{name}.npy", texels)
    description = {"wrap": stack.wrap, "maps": [asdict(m) for m in stack.maps], "settings": asdict(settings)}
    (folder / "job.json").write_text(json.dumps(description), "utf-8")
