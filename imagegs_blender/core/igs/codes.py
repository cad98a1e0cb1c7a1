"""Gaussians <-> integer codes of format 3: all rounding is here, before any bytes.

How much a rounded number harms the picture depends on the Gaussian's area, as the squared error is summed over it. So what is
rounded gets steps that fall with the root of the area:

    scales      are squares of whole numbers ("roots"): the relative step falls with the root of a scale
    features    have a step over root_1 root_2, which is the root of the area
    rotations   by delta move the rim of a Gaussian of aspect r = scale_1 / scale_2 by delta (r - 1/r) of its width: levels grow
                with that, and with root_1 root_2

The two axes of a Gaussian are interchangeable and its rotation has period pi; codes use the form whose first root is the larger
and whose rotation is in [0, pi). Features are decorrelated by a principal component analysis of the set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..gaussians import Gaussians
from ..settings import QuantizeBits
from .head import BASIS_ONE, Head, Steps

ELONGATED = 4.0
"""r - 1/r at which a Gaussian of ordinary area gets 2^rot rotation levels."""

MAX_ROTATION_LEVELS = 1 << 16
"""Directions of half a turn for the thinnest needle; the format fixes the number."""

MAX_ROOT = 65535
"""Largest root of a scale."""


@dataclass(frozen=True)
class Codes:
    """N Gaussians as integers, and the head with their meaning. Plain data; equal codes are equal pictures.

    mean        (N, 2) int32, 0 .. 2^pos - 1: cells of the texture, row y downwards
    root        (N, 2) int32, 1 .. MAX_ROOT: a scale is scale_unit root^2 texels; first >= second
    rotation    (N,) int32, 0 .. rotation_levels - 1: pi (code + 0.5) / levels
    bias        (N,) int32: code bias_step
    feature     (N, C) int32: components; feature = center + (code feature_steps) @ (basis / BASIS_ONE)
    """

    head: Head
    mean: np.ndarray
    root: np.ndarray
    rotation: np.ndarray
    bias: np.ndarray
    feature: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def steps(self) -> Steps:
        """The numbers that the integers stand for."""
        assert isinstance(self.head.ranges, Steps)
        return self.head.ranges

    @property
    def rotation_levels(self) -> np.ndarray:
        """(N,) int32: how many directions half a turn is divided into, for each Gaussian."""
        return rotation_levels(self.root, self.head.bits)

    @property
    def feature_steps(self) -> np.ndarray:
        """(N,) float64: what 1 of a component means."""
        return feature_steps(self.root, self.head.bits, self.steps.feature_step)

    def dequantized(self) -> Gaussians:
        """The Gaussians that the codes stand for."""
        steps, components = self.steps, self.feature * self.feature_steps[:, None]
        return self.head.gaussians(
            mean=(self.mean + 0.5) / 2**self.head.pos_bits,
            scale=steps.scale_unit * self.root.astype(np.float64) ** 2,
            rotation=np.pi * (self.rotation + 0.5) / self.rotation_levels,
            feature=steps.feature_center + components @ (steps.feature_basis / BASIS_ONE),
            bias=self.bias * steps.bias_step,
        )

    def take(self, index: np.ndarray) -> Codes:
        """The Gaussians at index, in that order."""
        mean = self.mean[index]
        arrays = {name: getattr(self, name)[index] for name in ("root", "rotation", "bias", "feature")}
        return replace(self, head=replace(self.head, count=len(mean)), mean=mean, **arrays)


def ordinary(bits: QuantizeBits) -> int:
    """root_1 root_2 of a Gaussian of ordinary area, the geometric mean of a set's when it is first rounded: 4^scale / 16."""
    return 4**bits.scale // 16


def areas(root: np.ndarray, bits: QuantizeBits) -> np.ndarray:
    """(N,) int64: root_1 root_2, the root of an area, but not so small that a feature would be lost."""
    return np.maximum(root[:, 0].astype(np.int64) * root[:, 1], max(1, ordinary(bits) // SMALLEST))


SMALLEST = 8
"""Features of Gaussians of less than 1 / SMALLEST^2 of the ordinary area get no coarser."""


def feature_steps(root: np.ndarray, bits: QuantizeBits, step: float) -> np.ndarray:
    """(N,) float64: what 1 of a component means; step for a Gaussian of ordinary area."""
    return step * ordinary(bits) / areas(root, bits)


def rotation_levels(root: np.ndarray, bits: QuantizeBits) -> np.ndarray:
    """(N,) int32, 1 .. MAX_ROTATION_LEVELS: how many directions half a turn is divided into.

    Readers on every machine must agree on it, so it uses multiplications, divisions and a subtraction only.
    """
    first, second = root[:, 0].astype(np.float64), root[:, 1].astype(np.float64)
    aspect = (first * first) / (second * second)
    share = (aspect - 1 / aspect) / ELONGATED
    levels = np.floor(share * (2**bits.rot * areas(root, bits).astype(np.float64) / ordinary(bits)))
    return np.minimum(1 + levels, MAX_ROTATION_LEVELS).astype(np.int32)


@dataclass(frozen=True)
class ScaleGrid:
    """What scales and biases are rounded to: scale_unit root^2 texels, and whole multiples of bias_step."""

    scale_unit: float
    bias_step: float

    @classmethod
    def of(cls, gaussians: Gaussians, bits: QuantizeBits) -> ScaleGrid:
        """Relative steps of 8 / 2^bits at the geometric mean of the scales, and of 32 / 2^bits in the amplitudes."""
        middle = float(np.exp(np.log(gaussians.scale.astype(np.float64)).mean()))
        largest = float(gaussians.scale.max())
        unit = max(middle / (2**bits.scale / 4) ** 2, largest / MAX_ROOT**2)
        return cls(float(np.float32(unit)), float(np.float32(32 / 2**bits.scale)))


def quantize(
    gaussians: Gaussians,
    bits: QuantizeBits,
    grid: ScaleGrid | None = None,
    feature_step: float | None = None,
    plane_roots: np.ndarray | None = None,
) -> Codes:
    """Nearest codes, in the order given.

    grid           from earlier, so that snapped values keep their codes
    feature_step   another step than 2^-feat
    plane_roots    (C,) float32, at most 1: planes are rounded as if each were scaled by its own, so others get coarser steps
    """
    grid = grid or ScaleGrid.of(gaussians, bits)
    bits = bits.at(gaussians.width, gaussians.height)
    assert bits.pos is not None and bits.feat is not None
    step = feature_step or 2.0**-bits.feat
    if plane_roots is not None:
        step /= float(plane_roots.min())
    step = float(np.float32(min(step, 1.0)))
    center, basis = principal_components(gaussians.feature, plane_roots)
    components = (gaussians.feature.astype(np.float64) - center) @ np.linalg.inv(basis / BASIS_ONE)
    root, rotation = _canonical(gaussians, grid, bits)
    cells = 2**bits.pos
    return Codes(
        Head.of(gaussians, bits, Steps(grid.scale_unit, grid.bias_step, step, center, basis)),
        mean=np.clip((gaussians.mean.astype(np.float64) * cells).astype(np.int32), 0, cells - 1),
        root=root,
        rotation=rotation,
        bias=np.rint(gaussians.bias / grid.bias_step).astype(np.int32),
        feature=np.rint(components / feature_steps(root, bits, step)[:, None]).astype(np.int32),
    )


def principal_components(feature: np.ndarray, plane_roots: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """center (C,) float32 and basis (C, C) int32: rows are components in units of 1 / BASIS_ONE, largest variance first.

    plane_roots   (C,): the components are those of planes scaled by these, in the planes' own units, the longest entry of each
                  at most 1. With too few Gaussians for a covariance, the planes themselves.
    """
    planes = feature.shape[1]
    center = feature.mean(0, dtype=np.float64).astype(np.float32)
    roots = np.ones(planes) if plane_roots is None else plane_roots.astype(np.float64)
    own = roots.min() / roots
    if len(feature) <= planes:
        return center, np.maximum(np.rint(BASIS_ONE * np.diag(own)), np.eye(planes)).astype(np.int32)
    centered = (feature.astype(np.float64) - center) * roots
    _, vectors = np.linalg.eigh(centered.T @ centered)
    rows = vectors.T[::-1]
    rows = rows * np.where(rows[np.arange(planes), np.abs(rows).argmax(1)] < 0, -1, 1)[:, None]
    basis = np.rint(rows * own * BASIS_ONE).astype(np.int32)
    if np.linalg.cond(basis * roots) > 4:
        return center, np.maximum(np.rint(BASIS_ONE * np.diag(own)), np.eye(planes)).astype(np.int32)
    return center, basis


def _canonical(gaussians: Gaussians, grid: ScaleGrid, bits: QuantizeBits) -> tuple[np.ndarray, np.ndarray]:
    """Roots with the larger first, and the matching rotation codes."""
    root = np.rint(np.sqrt(gaussians.scale.astype(np.float64) / grid.scale_unit))
    root = np.clip(root, 1, MAX_ROOT).astype(np.int32)
    swapped = root[:, 1] > root[:, 0]
    rotation = gaussians.rotation.astype(np.float64) + np.where(swapped, np.pi / 2, 0)
    root = np.where(swapped[:, None], root[:, ::-1], root)
    levels = rotation_levels(root, bits)
    turn = rotation / np.pi - np.floor(rotation / np.pi)
    return root, np.minimum((turn * levels).astype(np.int32), levels - 1)
