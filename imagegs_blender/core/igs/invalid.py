"""The one error of bytes that are no .igs file, and of Gaussians that no .igs file can hold."""

from __future__ import annotations

from ..errors import ImageGSError


def require(condition: bool, what: str) -> None:
    """Raise ImageGSError unless the condition holds; `what` says in one clause what is wrong otherwise."""
    if not condition:
        raise ImageGSError(f"not a valid .igs stream: {what}")
