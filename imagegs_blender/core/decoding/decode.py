"""Gaussians and streams -> pixels, at any resolution: on the processor, or where renderer.on() says."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..gaussians import Gaussians
from ..igs.stream import Stream
from ..textures import texture_stack
from . import lod, reached


class Decoded:
    """A stream's pictures at its own resolution. Each is decoded when it is first asked for, and kept."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    @cached_property
    def planes(self) -> np.ndarray:
        """(C, height, width) float32: planes()."""
        return planes(self.stream.gaussians)

    @cached_property
    def images(self) -> dict[str, np.ndarray]:
        """Every map's pixels in its own size, dtype and channel order, by name."""
        return texture_stack.images(self.planes, self.stream.maps, self.stream.gaussians.wrap)


def planes(gaussians: Gaussians, width: int | None = None, height: int | None = None) -> np.ndarray:
    """(C, height, width) float32: the decoded planes, sampled at texel centers; default the fitted resolution.

    Values are what the formula gives, nominally 0..1, and only with a gamma clipped to that. What no Gaussian reaches
    shows what is around it: see lod.surround().
    """
    picture, share = reached.planes(gaussians, width, height)
    if share is None or share.min() >= reached.COVERED:
        return picture
    whole = (gaussians.height, gaussians.width) == share.shape
    tail = lod.build(gaussians, exact=True, decoded=(picture, share) if whole else None)
    lod.surround(picture, share, tail)
    return picture


def images(stream: Stream) -> dict[str, np.ndarray]:
    """Every map's pixels in its own size, dtype and channel order, by name."""
    return texture_stack.images(planes(stream.gaussians), stream.maps, stream.gaussians.wrap)
