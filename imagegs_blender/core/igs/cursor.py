"""Reading bytes front to back."""

from __future__ import annotations

import struct

from .invalid import require


class Cursor:
    """A place in bytes that moves on with each read; a step past their end is one clear error.

    whose   the bytes, in words
    """

    def __init__(self, data: bytes, whose: str) -> None:
        self._data, self._at, self._whose = data, 0, whose

    def take(self, size: int) -> bytes:
        """The next bytes, so many."""
        part = self._data[self._at : self._at + size]
        require(len(part) == size, f"{self._whose} is cut short")
        self._at += size
        return part

    def unpack(self, layout: struct.Struct | str) -> tuple:
        """The next bytes as struct reads them."""
        layout = struct.Struct(layout) if isinstance(layout, str) else layout
        return layout.unpack(self.take(layout.size))

    def at_end(self) -> bool:
        """Whether all bytes were read."""
        return self._at == len(self._data)
