"""Integer codes of versions 1 and 2 -> Gaussians.

The two axes of a Gaussian are interchangeable and its rotation has period pi; codes use the form whose first scale is the
larger and whose rotation is in [0, pi). A rotation by delta moves the rim of a Gaussian of aspect r = scale_1 / scale_2 by
delta (r - 1/r) of its width, so the number of rotation levels grows with r - 1/r: one for a disc, thousands for a needle.

Features are decorrelated by a principal component analysis of the set; one step serves all components.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...gaussians import Gaussians
from ..head import BASIS_ONE, Head, Ranges

ELONGATED = 4.0
"""r - 1/r at which a Gaussian gets 2^rot rotation levels."""

MAX_ROTATION_LEVELS = 1 << 16
"""Directions of half a turn for the thinnest needle; the format fixes the number."""


@dataclass(frozen=True)
class Codes:
    """N Gaussians as integers, and the head with their meaning. Plain data; equal codes are equal pictures.

    mean        (N, 2) int32, 0 .. 2^pos - 1: cells of the texture, row y downwards
    scale       (N, 2) int32, 0 .. 2^scale - 1: exp(scale_low + code scale_step) texels; first >= second
    rotation    (N,) int32, 0 .. rotation_levels - 1: pi (code + 0.5) / levels
    bias        (N,) int32: code scale_step
    feature     (N, C) int32: components; feature = center + (code feature_step) @ (basis / BASIS_ONE)
    """

    head: Head
    mean: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    bias: np.ndarray
    feature: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def ranges(self) -> Ranges:
        """The numbers that the integers stand for."""
        assert isinstance(self.head.ranges, Ranges)
        return self.head.ranges

    @property
    def rotation_levels(self) -> np.ndarray:
        """(N,) int32: how many directions half a turn is divided into, for each Gaussian."""
        return rotation_levels(self.scale, self.ranges.scale_step, self.head.bits.rot)

    def dequantized(self) -> Gaussians:
        """The Gaussians that the codes stand for."""
        ranges, components = self.ranges, self.feature * self.ranges.feature_step
        return self.head.gaussians(
            mean=(self.mean + 0.5) / 2**self.head.pos_bits,
            scale=np.exp(ranges.scale_low + self.scale * ranges.scale_step),
            rotation=np.pi * (self.rotation + 0.5) / self.rotation_levels,
            feature=ranges.feature_center + components @ (ranges.feature_basis / BASIS_ONE),
            bias=self.bias * ranges.scale_step,
        )

    def take(self, index: np.ndarray) -> Codes:
        """The Gaussians at index, in that order."""
        mean = self.mean[index]
        arrays = {name: getattr(self, name)[index] for name in ("scale", "rotation", "bias", "feature")}
        return replace(self, head=replace(self.head, count=len(mean)), mean=mean, **arrays)


def rotation_levels(scale: np.ndarray, scale_step: float, rot_bits: int) -> np.ndarray:
    """(N,) int32, 1 .. MAX_ROTATION_LEVELS: how many directions half a turn is divided into.

    Readers on every machine must agree on it, so it uses additions, multiplications and divisions only.
    """
    longest = int(np.max(scale[:, 0] - scale[:, 1], initial=0))
    growth = np.float64(1.0)  # e^step by its power series
    term = np.float64(1.0)
    for k in range(1, 20):
        term = term * scale_step / k
        growth = growth + term
    with np.errstate(over="ignore"):
        aspect = np.minimum(np.multiply.accumulate(np.append(1.0, np.full(longest, growth))), 1e30)
    levels = np.minimum(1 + np.floor((aspect - 1 / aspect) / ELONGATED * 2**rot_bits), MAX_ROTATION_LEVELS).astype(
        np.int32
    )
    return levels[scale[:, 0] - scale[:, 1]]
