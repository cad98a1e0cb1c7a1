"""What a whole file may hold beyond what the bytes of its streams account for: many small streams must not freeze a Blender.

core/igs/limits.py lets each stream stand for FEW_VALUES numbers, however few its bytes. Of many such streams, the first
by name are built; the others show their average color, which is what so few bytes hold, about.
"""

from __future__ import annotations

from ..blend.decoder import Decoder, decoders
from ..core.errors import ImageGSError
from ..core.igs.limits import FEW_VALUES

PER_BYTE = 1 << 15
"""Numbers that a byte accounts for: 0.0002 bits for each. Fits at the lowest rates that anyone asks for have five times more."""


def check(decoder: Decoder, detail: int) -> None:
    """Raise ImageGSError where the decoders up to this one hold too much for their bytes, built at this Max Detail."""
    if not _beyond(decoder, detail):
        return
    spent = 0
    for each in decoders():
        spent += _beyond(each, detail)
        if each == decoder:
            break
    if spent > FEW_VALUES:
        raise ImageGSError(
            f"{decoder.name}: its bytes are too few for its texels, beside others in this file; choose a coarser Max Detail"
        )


def _beyond(decoder: Decoder, detail: int) -> int:
    """Numbers of its maps that its bytes don't account for; 0 where its stream can't be read."""
    values = sum((m.width >> detail) * (m.height >> detail) * len(m.channels) for m in decoder.maps)
    return max(0, values - PER_BYTE * decoder.stream_size)
