"""Progress of a fit on stderr."""

from __future__ import annotations

import math
import sys
import time
from typing import Self

from ..encoding import encode


class Progress:
    """Shows the progress of a fit on stderr: one line rewritten on a terminal, else a line every few seconds."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.tty = quiet, sys.stderr.isatty()
        self.seconds_between = 0.1 if self.tty else 5.0
        self.phase, self.shown = "", -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.tty and self.phase:
            print(file=sys.stderr)

    def __call__(self, p: encode.Progress) -> None:
        due = p.phase != self.phase or p.step == p.steps or time.monotonic() - self.shown >= self.seconds_between
        if self.quiet or not due:
            return
        self.phase, self.shown = p.phase, time.monotonic()
        quality = "" if p.psnr is None else f"  {p.psnr:.2f} dB"
        line = f"{p.phase}  {p.step}/{p.steps}{quality}  {p.seconds:.0f} s"
        print(f"\r{line:<70}" if self.tty else line, end="" if self.tty else "\n", file=sys.stderr, flush=True)
