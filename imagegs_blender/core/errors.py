"""The one exception that a person is meant to read, and messages of other libraries on one line."""

from __future__ import annotations


class ImageGSError(Exception):
    """Bad input or an impossible request, said in one line: names the thing and the remedy.

    Raised where the bad input enters. Commands print it as `error: MESSAGE` and exit with 1; operators report it
    in the window. Nothing has been written when it is raised.
    """


class DeviceFailed(ImageGSError):
    """What fits run on is gone, or its memory is too small: another device may do."""


def one_line(message: object) -> str:
    """A message of another library on one line; of an exception without a message the name of its type."""
    text = " ".join(str(message).split())
    return text or (type(message).__name__ if isinstance(message, BaseException) else "no reason given")


def first_line(error: BaseException) -> str:
    """The first line of a long message of another library; without a message the name of its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Cancelled(Exception):
    """The caller's progress callback asked for the work to stop. Nothing has been written."""


class UnsupportedImageError(ImageGSError):
    """An image file of a kind that our readers do not know. The file itself may be fine: another reader may know it."""
