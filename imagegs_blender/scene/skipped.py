"""What a plan leaves as it is, and how that is told: in a few lines, or one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NO_TEXTURES = "no image textures"
"""The reason of a material that has none."""

UNCONNECTED = "not connected to the output"
"""The reason of an image that no material shows, though its node is there."""


@dataclass(frozen=True)
class Skipped:
    """What stays as it is, and why. image is None where the reason concerns the whole material."""

    material: str
    image: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.material}{f', {self.image}' if self.image else ''}: {self.reason}"


def lines(skipped: Iterable[Skipped], verbose: bool = False) -> list[str]:
    """A line each; but materials without textures, and images that nothing shows, are counted where they are many.

    verbose   a line for each of those, too
    """
    skipped = list(skipped)
    counted = {
        NO_TEXTURES: _counted(NO_TEXTURES, {one.material for one in skipped if one.reason == NO_TEXTURES}, "materials"),
        UNCONNECTED: _counted(UNCONNECTED, {one.image for one in skipped if one.reason == UNCONNECTED}, "images"),
    }
    found = [str(one) for one in skipped if verbose or not counted.get(one.reason)]
    return found if verbose else found + [line for line in counted.values() if line]


def _counted(reason: str, names: set[str | None], kind: str) -> str:
    """The line for several; nothing for one, which is told by name."""
    return f"{reason}: {len(names)} {kind}" if len(names) > 1 else ""
