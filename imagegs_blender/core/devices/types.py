"""The plain data that crosses to a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..gaussians import Gaussians


@dataclass(frozen=True)
class Splats:
    """Gaussians as the kernels see them, or the gradient of the loss with respect to each of these numbers.

    center   (N, 2) float32, texels, the center of the first texel is (0.5, 0.5)
    conic    (N, 3) float32 (a, b, c): q = a dx^2 + b dx dy + c dy^2 + bias, dx and dy in texels
    bias     (N,)   float32
    feature  (N, C) float32
    """

    center: np.ndarray
    conic: np.ndarray
    bias: np.ndarray
    feature: np.ndarray


@dataclass(frozen=True)
class Grid:
    """The texels that splats are evaluated at, and how they blend. topk 0 is the plain, unnormalized sum."""

    width: int
    height: int
    wrap: bool
    topk: int


@dataclass(frozen=True)
class LossWeights:
    """loss = l1 * mean |r| + l2 * mean r^2 + ssim * (1 - mean SSIM), r = out - target, means over texels and planes."""

    l1: float = 0.0
    l2: float = 0.0
    ssim: float = 0.0

    def loss(self, l1: float, l2: float, ssim: float | None) -> Loss:
        """The loss of these means; ssim is None where its weight is 0 and it was not measured."""
        total = self.l1 * l1 + self.l2 * l2 + (0.0 if ssim is None else self.ssim * (1 - ssim))
        return Loss(total, l1, l2, ssim)


@dataclass(frozen=True)
class Rows:
    """Rows of texels that a step may do with: first, first + stride, ... of every block; stride 1, 2, 4, 8 or 16."""

    first: int = 0
    stride: int = 1


ALL_ROWS = Rows()


@dataclass(frozen=True)
class Step:
    """A step of an optimizer: what its rates are multiplied by, and the rows that it looks at."""

    slow_down: float = 1.0
    rows: Rows = ALL_ROWS


@dataclass(frozen=True)
class Loss:
    """What a step measured: total, and its parts. ssim is None where it was not needed."""

    total: float
    l1: float
    l2: float
    ssim: float | None

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio of the unrounded planes, dB."""
        return float(-10 * np.log10(max(self.l2, 1e-12)))


def mean_one(texel_weights: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) float32, mean 1: how much each texel of this shape counts; None: all the same."""
    texels = np.ones(shape, np.float32) if texel_weights is None else texel_weights.astype(np.float32)
    return (texels / texels.mean(dtype=np.float64)).astype(np.float32)


def project(gaussians: Gaussians, width: int | None = None, height: int | None = None) -> tuple[Splats, Grid]:
    """Gaussians as splats on a grid of width x height texels (default: the fitted resolution)."""
    width, height = width or gaussians.width, height or gaussians.height
    zoom = np.array([width / gaussians.width, height / gaussians.height], np.float32)
    conic = gaussians.conic() / np.array([zoom[0] ** 2, zoom[0] * zoom[1], zoom[1] ** 2], np.float32)
    center = gaussians.mean * np.array([width, height], np.float32)
    splats = Splats(center.astype(np.float32), conic, gaussians.bias, gaussians.feature)
    return splats, Grid(width, height, gaussians.wrap, gaussians.topk)
