"""The process that fits: jobs come one after the other, and nothing of one is left when the next begins."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..encoding import encode
from ..encoding.encode import Progress
from ..errors import ImageGSError
from . import job, precompile
from .child import WANTED, from_parent, to_parent

_LINES_PER_SECOND = 8
"""Of progress, at most: as often as a window shows it."""

Tell = Callable[[Mapping[str, Any]], None]


def main() -> int:
    """Do the job in each folder that a line from the parent names, and tell how far it is and how it ended."""
    folders, tell = from_parent(), to_parent()
    if precompile.is_needed():
        precompile.run(lambda part: tell({"preparing": part}))
    gc.freeze()  # what was imported stays
    while True:
        folder = Path(json.loads(folders.get()))
        _forget_errors()
        try:
            if WANTED in os.environ:
                from .interpreter import check_python

                check_python()
            _fit(folder, tell)
        except ImageGSError as error:
            tell({"failed": str(error)})
        else:
            tell({"finished": True})
        gc.collect()  # a large fit that refers to itself would stay in memory, or in that of the GPU, beside the next


def _fit(folder: Path, tell: Tell) -> None:
    """Fit what a folder holds and leave the result there."""
    told = 0.0

    def say(progress: Progress) -> None:
        nonlocal told
        now = time.perf_counter()
        if now - told > 1 / _LINES_PER_SECOND or progress.step == progress.steps:
            told = now
            tell({"progress": asdict(progress)})

    job.store(folder, encode.encode(*job.load(folder), say))


def _forget_errors() -> None:
    """What was written to the file that is standard error has to do with earlier jobs."""
    sys.stderr.flush()
    os.ftruncate(2, 0)
    os.lseek(2, 0, os.SEEK_SET)
