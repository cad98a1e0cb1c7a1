"""What fits can run on here, in words."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..edition import COMPLETE
from ..errors import ImageGSError
from .gpu import adapters


@dataclass(frozen=True)
class Here:
    """lines: a line for each device, and for each that is missing what it lacks; adapters: names of graphics cards."""

    lines: list[str]
    adapters: list[str]


def look() -> Here:
    """Look for devices. Takes seconds."""
    lines, names = [f"cpu: {os.cpu_count()} threads"], list[str]()
    try:
        for adapter in adapters.adapters():
            names.append(adapter.name)
            largest = adapter.handle.limits["max-buffer-size"] / 2**30
            lines.append(f"gpu: {adapter}, {largest:.0f} GB at a time{_BY_NAME if adapter.is_software else ''}")
        if not names:
            adapters.choose()
    except ImageGSError as error:
        lines.append(f"no gpu: {error}")
    if COMPLETE:
        from .cuda.presence import detect

        found = detect()
        lines.append(f"cuda: {found.cuda}" if found.cuda else f"no cuda: {found.missing}")
    return Here(lines, names)


_BY_NAME = ", runs on the processor: only where it is named"
