"""Reading a section front to back."""

from __future__ import annotations

import struct

from .invalid import require


class Cursor:
    """A place in a section's bytes that moves on with each read; a step past its end is one clear error."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        require(len(part) == size, "its head is cut short")
        self._at += size
        return part

    def unpack(self, layout: struct.Struct | str) -> tuple:
        layout = struct.Struct(layout) if isinstance(layout, str) else layout
        return layout.unpack(self.take(layout.size))

    def at_end(self) -> bool:
        return self._at == len(self._data)
