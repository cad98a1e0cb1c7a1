"""Gaussians and streams -> pixels, at any resolution, on the CPU."""

from __future__ import annotations

import numpy as np

from . import stack
from .devices import project
from .devices.cpu import render
from .gaussians import Gaussians
from .stream import Stream


def planes(gaussians: Gaussians, width: int | None = None, height: int | None = None) -> np.ndarray:
    """(C, height, width) float32: the decoded planes, sampled at texel centres; default the fitted resolution.

    Values are what the formula gives, nominally 0..1 but not clipped.
    """
    return render(*project(gaussians, width, height))


def images(stream: Stream) -> dict[str, np.ndarray]:
    """Every map's pixels in its own size, dtype and channel order, by name."""
    gaussians = stream.gaussians
    return stack.images(planes(gaussians), stream.maps, gaussians.wrap)
