"""Gaussians <-> integer codes: all rounding is here, before any bytes.

The two axes of a Gaussian are interchangeable and its rotation has period pi; codes use the form whose first scale is the
larger and whose rotation is in [0, pi). A rotation by delta moves the rim of a Gaussian of aspect r = scale_1 / scale_2 by
delta (r - 1/r) of its width, so the number of rotation levels grows with r - 1/r: one for a disc, thousands for a needle.

Features are decorrelated by a principal component analysis of the set; one step serves all components.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..gaussians import Gaussians
from ..settings import QuantizeBits
from .head import Head, Ranges

ELONGATED = 4.0
"""r - 1/r at which a Gaussian gets 2^rot rotation levels."""

MAX_ROTATION_LEVELS = 1 << 16
"""Directions of half a turn for the thinnest needle; the format fixes the number."""

MIN_SCALE_STEP = 2.0**-15
"""Biases are counted in steps of scales: with this one, all up to CUTOFF are codes that an entropy model can hold."""

BASIS_ONE = 127
"""Basis entries are stored as integers; this one means 1."""


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
    def rotation_levels(self) -> np.ndarray:
        """(N,) int32: how many directions half a turn is divided into, for each Gaussian."""
        return rotation_levels(self.scale, self.head.ranges.scale_step, self.head.bits.rot)

    def dequantized(self) -> Gaussians:
        """The Gaussians that the codes stand for."""
        head, ranges = self.head, self.head.ranges
        components = self.feature * ranges.feature_step
        return Gaussians(
            mean=((self.mean + 0.5) / 2**head.pos_bits).astype(np.float32),
            scale=np.exp(ranges.scale_low + self.scale * ranges.scale_step).astype(np.float32),
            rotation=(np.pi * (self.rotation + 0.5) / self.rotation_levels).astype(np.float32),
            feature=(ranges.feature_center + components @ (ranges.feature_basis / BASIS_ONE)).astype(np.float32),
            bias=(self.bias * ranges.scale_step).astype(np.float32),
            width=head.width,
            height=head.height,
            wrap=head.wrap,
            topk=head.topk,
            gamma=head.gamma,
        )

    def take(self, index: np.ndarray) -> Codes:
        """The Gaussians at index, in that order."""
        mean = self.mean[index]
        arrays = {name: getattr(self, name)[index] for name in ("scale", "rotation", "bias", "feature")}
        return replace(self, head=replace(self.head, count=len(mean)), mean=mean, **arrays)


@dataclass(frozen=True)
class ScaleGrid:
    """The grid of log scales: scale = exp(low + code * step), code 0 .. 2^bits - 1."""

    low: float
    step: float

    @classmethod
    def of(cls, gaussians: Gaussians, bits: QuantizeBits) -> ScaleGrid:
        """The finest grid of 2^bits values that covers all scales."""
        logs = np.log(gaussians.scale.astype(np.float64))
        low, high = float(np.float32(logs.min() - 1e-4)), float(logs.max() + 1e-4)
        return cls(low, float(np.float32(max((high - low) / (2**bits.scale - 1), MIN_SCALE_STEP))))


def quantize(
    gaussians: Gaussians, bits: QuantizeBits, scales: ScaleGrid | None = None, feature_step: float | None = None
) -> Codes:
    """Nearest codes, in the order given.

    scales         a grid from earlier, so that snapped values keep their codes
    feature_step   another step than 2^-feat
    """
    scales = scales or ScaleGrid.of(gaussians, bits)
    bits = bits.at(gaussians.width, gaussians.height)
    assert bits.pos is not None and bits.feat is not None
    step = float(np.float32(feature_step or 2.0**-bits.feat))
    center, basis = principal_components(gaussians.feature)
    components = (gaussians.feature.astype(np.float64) - center) @ np.linalg.inv(basis / BASIS_ONE)
    scale, rotation = _canonical(gaussians, scales, bits)
    cells = 2**bits.pos
    return Codes(
        Head.of(gaussians, bits, Ranges(scales.low, scales.step, step, center, basis)),
        mean=np.clip((gaussians.mean.astype(np.float64) * cells).astype(np.int32), 0, cells - 1),
        scale=scale,
        rotation=rotation,
        bias=np.rint(gaussians.bias / scales.step).astype(np.int32),
        feature=np.rint(components / step).astype(np.int32),
    )


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


def principal_components(feature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """center (C,) float32 and basis (C, C) int32: rows are components in units of 1 / BASIS_ONE, largest variance first.

    With too few Gaussians for a covariance, the identity.
    """
    planes = feature.shape[1]
    center = feature.mean(0, dtype=np.float64).astype(np.float32)
    if len(feature) <= planes:
        return center, BASIS_ONE * np.eye(planes, dtype=np.int32)
    centered = feature.astype(np.float64) - center
    _, vectors = np.linalg.eigh(centered.T @ centered)
    rows = vectors.T[::-1]
    rows = rows * np.where(rows[np.arange(planes), np.abs(rows).argmax(1)] < 0, -1, 1)[:, None]
    basis = np.rint(rows * BASIS_ONE).astype(np.int32)
    if np.linalg.cond(basis) > 4:
        return center, BASIS_ONE * np.eye(planes, dtype=np.int32)
    return center, basis


def _canonical(gaussians: Gaussians, scales: ScaleGrid, bits: QuantizeBits) -> tuple[np.ndarray, np.ndarray]:
    """Scale codes with the larger first, and the matching rotation codes."""
    logs = np.log(gaussians.scale.astype(np.float64))
    scale = np.clip(np.rint((logs - scales.low) / scales.step).astype(np.int32), 0, 2**bits.scale - 1)
    swapped = scale[:, 1] > scale[:, 0]
    rotation = gaussians.rotation.astype(np.float64) + np.where(swapped, np.pi / 2, 0)
    scale = np.where(swapped[:, None], scale[:, ::-1], scale)
    levels = rotation_levels(scale, scales.step, bits.rot)
    turn = rotation / np.pi - np.floor(rotation / np.pi)
    return scale, np.minimum((turn * levels).astype(np.int32), levels - 1)
