"""The representation: a set of 2D Gaussians that share one geometry over all planes of a texture stack.

With d = R(rotation)^T (x - mean) in texels of the fitted resolution, the log-weight of Gaussian i at x is

    q_i(x) = 0.5 * ((d_x / scale_x)^2 + (d_y / scale_y)^2) + bias_i

and the decoded value, for the K Gaussians of smallest q_i(x) <= CUTOFF, with w_i = exp(-q_i), is

    out(x) = sum w_i feature_i / (sum w_i + EPS)

(Image-GS, Zhang et al., SIGGRAPH 2025, eq. 1-3; the bias, a log amplitude, is ours and 0 in preset "paper"). Weights that
are divided by their sum are the normalized gating of Steered Mixture-of-Experts (Verhack et al., "Steered Mixture-of-Experts
for Light Field Images and Video", IEEE Transactions on Multimedia 2020).
With topk = 0 the output is the plain sum of w_i feature_i over all Gaussians with q_i <= CUTOFF.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

CUTOFF = 12.0
"""A Gaussian has no weight where q > CUTOFF (e^-12 = 6e-6): the support that block lists and cells are built for."""

FARTHEST = 1e7
"""Texels that a Gaussian reaches at most, as far as blocks are walked for it: beyond any texture."""

EPS = 1e-5
"""Added to the sum of weights. Of the order of the weight at the cutoff, so texels far from all Gaussians fade to 0."""

MAX_TOPK = 16
"""Largest K: each of them is a register of a kernel, and a comparison of a shader."""

MAX_PLANES = 32
"""Most planes of a stack: eight maps of four channels."""


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians over C planes, as a structure of arrays.

    mean      (N, 2) float32, texture coordinates: x to the right, y down, 0..1 over the texture; the center of
              texel (column i, row j) is ((i + 0.5) / width, (j + 0.5) / height)
    scale     (N, 2) float32, standard deviations along the two axes, texels of the fitted resolution, > 0
    rotation  (N,)   float32, radians, angle of the first axis, counted from +x towards +y (downwards)
    feature   (N, C) float32, plane values, nominally 0..1
    bias      (N,)   float32, added to q; larger is weaker
    width, height    the fitted resolution, texels
    wrap             True where the texture repeats: distances are taken on the torus
    topk             K, 1..16; 0 for the plain unnormalized sum
    gamma            the decoded value, limited to 0..1, is raised to 1 / gamma
    """

    mean: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    feature: np.ndarray
    bias: np.ndarray
    width: int
    height: int
    wrap: bool
    topk: int
    gamma: float = 1.0

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def planes(self) -> int:
        """C, the number of planes the features cover."""
        return self.feature.shape[1]

    def conic(self) -> np.ndarray:
        """(N, 3) float32 (a, b, c) with q = a dx^2 + b dx dy + c dy^2 + bias, dx and dy in texels."""
        return conic(self.scale, self.rotation).astype(np.float32)

    def take(self, index: np.ndarray) -> Gaussians:
        """The Gaussians at index (any NumPy index of the first axis), in that order."""
        arrays = {name: getattr(self, name)[index] for name in ("mean", "scale", "rotation", "feature", "bias")}
        return replace(self, **arrays)


def conic(scale: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(N, 3) (a, b, c) of ellipses with standard deviations scale (N, 2) and rotation (N,): q = a dx^2 + b dx dy + c dy^2.

    The first axis is at angle rotation, radians; with u, v = 1 / (2 scale^2) and R the rotation by it, the matrix
    ((a, b / 2), (b / 2, c)) is R diag(u, v) R^T. devices/cuda/splat/splats.cuh computes the same.
    """
    cos, sin = np.cos(rotation), np.sin(rotation)
    u, v = 0.5 / scale[:, 0] ** 2, 0.5 / scale[:, 1] ** 2
    return np.stack([u * cos * cos + v * sin * sin, 2 * (u - v) * cos * sin, u * sin * sin + v * cos * cos], 1)
