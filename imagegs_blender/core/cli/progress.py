"""Progress of a fit for people: a line that is rewritten in its place on a terminal, else a new one every few seconds."""

from __future__ import annotations

import math
import time
from typing import Self, TextIO

from ..encoding.encode import Progress
from . import console

_PAUSE_ON_TERMINAL, _PAUSE = 0.1, 5.0
"""Seconds between two lines."""

_WIDTH = 78
"""Columns that a line on a terminal is filled up to: it covers the one before."""


class ProgressLine:
    """What is shown of work under way. Used as a context: what is printed behind it begins a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._on_terminal = stream, stream.isatty()
        self._about, self._shown, self._is_open = "", -math.inf, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def show(self, progress: Progress, about: str = "") -> None:
        """Show how far a fit is, behind the words that say which one it is.

        Steps are left out where the last line is too recent, but neither the first one of a phase nor the last one.
        """
        is_last = progress.step == progress.steps
        if is_last and progress.psnr is None:  # after its last step a fit is packed and measured: not worth a line
            return
        quality = "" if progress.psnr is None else f", {progress.psnr:.2f} dB"
        steps = f"{progress.step}/{progress.steps}{quality}, {progress.seconds:.0f} s"
        self.say(f"{about}{progress.phase}", steps, is_last)

    def say(self, words: str, state: str, is_last: bool = False) -> None:
        """Show the state of what the words say; left out where the last line, of the same words, is too recent."""
        pause = _PAUSE_ON_TERMINAL if self._on_terminal else _PAUSE
        if words == self._about and not is_last and time.monotonic() - self._shown < pause:
            return
        self._about, self._shown = words, time.monotonic()
        line = f"{words} {state}"
        if self._on_terminal:
            console.say(f"{line:<{_WIDTH}}", self._stream, start="\r", end="")
            self._is_open = True
        else:
            console.say(line, self._stream)
        if is_last:
            self._end()

    def _end(self) -> None:
        if self._is_open:
            console.say("", self._stream)
        self._is_open = False
