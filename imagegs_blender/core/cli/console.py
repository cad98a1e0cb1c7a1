"""What a command prints: lines that stay one line, whatever is in a path, to a reader that may have gone; and Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ..errors import ImageGSError

CANCELLED = 130
"""Exit code after Ctrl-C: 128 and SIGINT's number, as of a shell."""

READER_GONE = 141
"""Exit code where nobody reads the output to its end, as in `imagegs info FILE | head -1`: 128 and SIGPIPE's number."""


class ReaderGone(Exception):
    """The program that reads the output has ended: there is nobody to tell."""


def printable(text: str, encoding: str | None = None) -> str:
    """Text as one line that a terminal shows and `encoding` can hold.

    Line breaks, other control characters, and what is no character of the encoding are escaped as Python does.
    """
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    encoding = encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def say(text: str, stream: TextIO | None = None, start: str = "", end: str = "\n") -> None:
    """Print a line, by default on standard output, at once.

    Raises ReaderGone, and ImageGSError where it can't be written.
    """
    stream = stream or sys.stdout
    if stream is None:  # a program with windows has none
        return
    with _writing(stream):
        print(start + printable(text, stream.encoding), file=stream, end=end)
        stream.flush()


def fail(message: str, code: int = 1) -> int:
    """Print the one line of a command that ends with this exit code, which is returned."""
    try:
        say(message, sys.stderr)
    except (ImageGSError, ReaderGone):
        return code  # which says it to whoever looks
    return code


@contextmanager
def written() -> Iterator[None]:
    """At the end, what was printed is written, or the errors of say() are raised."""
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with _writing(stream):
                    stream.flush()


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C is a KeyboardInterrupt wherever it comes.

    While a compiled kernel hands its result to Python, SystemErrors come of it, each the cause of the next.
    """
    try:
        yield
    except SystemError as error:
        cause: BaseException | None = error
        while isinstance(cause, SystemError):
            cause = cause.__cause__
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


@contextmanager
def _writing(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        _discard(stream)
        raise ReaderGone from error
    except OSError as error:
        _discard(stream)
        raise ImageGSError(f"the output can't be written ({error.strerror}); send it elsewhere") from error


def _discard(stream: TextIO) -> None:
    """What is still to be written to a stream goes nowhere, or Python would complain about it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
