"""Random choices out of a few bytes: one draw of Hypothesis for a whole example, which is fast and still shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

SEEDS = st.binary(min_size=64, max_size=64)
"""What Choices are made of."""


class Choices:
    """Numbers below a limit, one after the other; all 0 once the bytes are used up, which is the simplest choice."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._at = seed, 0

    def below(self, limit: int) -> int:
        """0 .. limit - 1; limit is at most 65536."""
        size = 1 if limit <= 256 else 2
        part = self._seed[self._at : self._at + size]
        self._at += size
        return int.from_bytes(part, "big") % limit if limit else 0

    def pick(self, options: Sequence[T]) -> T:
        """One of these."""
        return options[self.below(len(options))]

    def bytes(self, most: int) -> bytes:
        """Up to so many bytes."""
        return bytes(self.below(256) for _ in range(self.below(most + 1)))
