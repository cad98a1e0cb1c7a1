"""What libpng, libtiff and OpenEXR print about a damaged file goes nowhere: the error that is raised tells it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_THEIRS = re.compile(
    rb"^libpng (error|warning): |\(EXR_ERR_\w+\)"
    rb"|^(tempfile\.tif|(_?TIFF|ZIP|LZW|LZMA|ZSTD|WEBP|JPEG|Fax|PackBits)\w*): "  # a libtiff function, or Pillow's name
    rb"|^More samples per pixel "  # Pillow
)
"""How a line of theirs is told from one that somebody else prints meanwhile."""

_one_at_a_time = threading.Lock()
"""Standard error is the process's: two threads that put it aside would not find it again."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep lines of image libraries off standard error; all other lines are passed on in the end."""
    with _one_at_a_time:
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
            kept = os.dup(2)
        except (OSError, ValueError):  # no standard error is open, as in a program with windows: nothing is printed
            kept = None
        if kept is None:
            yield
            return
        with tempfile.TemporaryFile() as aside:
            try:
                os.dup2(aside.fileno(), 2)
                yield
            finally:
                os.dup2(kept, 2)
                os.close(kept)
                _pass_on(aside)


def _pass_on(aside: BinaryIO) -> None:
    aside.seek(0)
    others = b"".join(line for line in aside if not _THEIRS.search(line))
    with suppress(OSError):  # nobody reads standard error any more
        while others:
            others = others[os.write(2, others) :]
