"""The one error of bytes that are no .igs file, and of Gaussians that no .igs file can hold."""

from __future__ import annotations

from ..errors import ImageGSError


def require(condition: bool, fault: str) -> None:
    """Raise ImageGSError unless the condition holds; `fault` says in one clause why not."""
    if not condition:
        raise ImageGSError(f"not a valid .igs stream: {fault}")
