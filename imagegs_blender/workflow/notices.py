"""Something to tell a person: what failed, what to look at, what was left as it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """In the words of Blender's reports."""

    ERROR = 0  # it was asked for, and could not be done
    WARNING = 1  # it is done, but look at it
    INFO = 2  # it was left as it is


@dataclass(frozen=True)
class Notice:
    """One sentence about a material, a stack or a decoder.

    subject     its name
    materials   the materials that it is about, where that is not said by the subject
    """

    severity: Severity
    subject: str
    text: str
    materials: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"
