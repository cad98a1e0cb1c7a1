"""The layout of decode tables: all that a decoder's nodes, script or shader are built for.

Tables can take the place of others of the same layout. Decoders carry theirs as text, which users' .blend files keep:

    5 M12 K4 C001 L3-11 P2

is version 5, 12 candidates, K = 4, three planes of which the last is deep, levels 3 to 11, and two
Gaussians to a texel of cells. An H behind it says that the stream has holes, which show what is around them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..errors import ImageGSError
from ..gaussians import MAX_PLANES, MAX_TOPK
from .sheets import sheet_count

VERSION = 5
"""Of the nodes and the tables together: raised when nodes built before can't read tables built now."""

BYTE, HIGH_BYTE, TWO_BYTES = 255, 255 * 256, 255 * 256 + 255
"""Largest code of a plane of one channel; of the high byte alone, and of both, where a plane has two channels."""

_TEXT = re.compile(rf"{VERSION} M([0-9]{{1,4}}) K([0-9]{{1,2}}) C([01]+) L([0-9]{{1,2}})-([0-9]{{1,2}}) P([12])( H)?")


@dataclass(frozen=True)
class Layout:
    """How the tables of a stack are laid out (tables.py says what they hold).

    candidates      M, the slots of a leaf, a multiple of per_texel
    topk            K, 0 for the plain sum
    deep            for each plane whether it has two channels, high and low byte, in place of one
    first, last     mip levels of the coarse levels of detail; the last has one texel
    per_texel       Gaussians in one texel of cells: 2 as coordinates, 1 as a number
    holes           some texels are reached by no Gaussian
    """

    candidates: int
    topk: int
    deep: tuple[bool, ...]
    first: int
    last: int
    per_texel: int = 2
    holes: bool = False

    @property
    def plane_count(self) -> int:
        """C, the planes of the stack."""
        return len(self.deep)

    @property
    def channel_count(self) -> int:
        """Channels of the features: one or two for each plane."""
        return len(self.deep) + sum(self.deep)

    @property
    def channels(self) -> list[tuple[int, ...]]:
        """The numbers of the channels of each plane, high byte first."""
        numbers = iter(range(self.channel_count))
        return [(next(numbers), next(numbers)) if two else (next(numbers),) for two in self.deep]

    @property
    def feature_sheets(self) -> int:
        """How many sheets the features take, see sheets.locate."""
        return sheet_count(self.channel_count)

    @property
    def level_sheets(self) -> int:
        """How many sheets the coarse levels take: there a plane has one channel."""
        return sheet_count(self.plane_count)

    def reads(self, other: Layout) -> bool:
        """Whether nodes built for this layout can read the tables of another: holes are in the nodes alone."""
        return replace(self, holes=other.holes) == other

    def __str__(self) -> str:
        deep = "".join("01"[two] for two in self.deep)
        text = f"{VERSION} M{self.candidates} K{self.topk} C{deep} L{self.first}-{self.last} P{self.per_texel}"
        return f"{text} H" if self.holes else text

    @classmethod
    def parse(cls, text: str) -> Layout:
        """The layout that str() wrote.

        Raises ImageGSError for any other text: also for that of another version, which says nothing of today's nodes.
        """
        found = _TEXT.fullmatch(text)
        if not found:
            raise ImageGSError(f"layout of decode tables: {text!r} is damaged or of another version of the add-on")
        candidates, topk, first, last, per_texel = (int(found[i]) for i in (1, 2, 4, 5, 6))
        deep = tuple(digit == "1" for digit in found[3])
        whole_texels = candidates > 0 and candidates % per_texel == 0
        if not whole_texels or topk > MAX_TOPK or len(deep) > MAX_PLANES or not 1 <= first <= last:
            raise ImageGSError(f"layout of decode tables: {text!r} holds numbers that no stack has")
        return cls(candidates, topk, deep, first, last, per_texel, found[7] is not None)
