"""Few Gaussians on many texels are a smooth picture, which is looked at in larger steps: sooner ready, and alike to the eye."""

from __future__ import annotations

from dataclasses import replace

from ..gaussians import Gaussians

TEXELS = 1024
"""That a Gaussian has at least, after all steps. Fits give it some 140; only a stranger's stream has so few."""

LEAST = 256
"""Texels that stay along a side."""


def halvings(gaussians: Gaussians) -> int:
    """How often both sides can be halved; 0 for streams that fits make."""
    width, height, count = gaussians.width, gaussians.height, 0
    while (
        width % 2 == height % 2 == 0
        and min(width, height) // 2 >= LEAST
        and width * height // 4 >= TEXELS * len(gaussians)
    ):
        width, height, count = width // 2, height // 2, count + 1
    return count


def coarser(gaussians: Gaussians, most: int = 14) -> Gaussians:
    """The same picture with fewer texels, where each Gaussian has more than TEXELS of them; else what was given.

    most   halvings
    """
    count = min(halvings(gaussians), most)
    if count == 0:
        return gaussians
    width, height, scale = gaussians.width >> count, gaussians.height >> count, gaussians.scale / (1 << count)
    return replace(gaussians, width=width, height=height, scale=scale)
