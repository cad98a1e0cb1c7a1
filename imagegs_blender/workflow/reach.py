"""What a stack of low quality would take to look good."""

from __future__ import annotations

from .summary import Summary

LOW, GOOD = 32.0, 35.0
"""dB of all maps: below the first, differences show up close; from the second on, a result is good."""

_DECIBELS_PER_DOUBLING = 1.8
"""What twice the bytes gain: the slope of most curves in docs/benchmarks.md, where each is between 1.7 and 3.4."""

_ROOM = 1.1
"""Times the estimate: a little more is a smaller disappointment than a little less."""


def size(summary: Summary) -> int | None:
    """Bytes that would reach GOOD, about; None where the originals take no more, or where the quality is not known."""
    if summary.psnr is None:
        return None
    wanted = round(_ROOM * summary.after.disk * 2 ** ((GOOD - summary.psnr) / _DECIBELS_PER_DOUBLING))
    return wanted if not summary.before.disk or wanted < summary.before.disk else None
