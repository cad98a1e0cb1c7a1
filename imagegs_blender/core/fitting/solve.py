"""Features of a fixed geometry in closed form: the picture is linear in them, so the best in the L2 sense solves H f = b.

H is never built. A device's gradient of the L2 loss is H f - b, which is all that conjugate gradients need. The
preconditioner is H applied to ones: the total weight of each Gaussian.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..devices.interface import Device
from ..devices.types import LossWeights, Splats

_L2 = LossWeights(l2=1.0)

_FLATTEST = 1e-4
"""Least curvature that is believed, as a part of the preconditioner's, which is the largest possible: rounding makes what is
flatter any number, and a step divides by it."""


def solve_features(device: Device, splats: Splats, iterations: int) -> np.ndarray:
    """(N, C) float32 features that minimize the weighted L2 loss, by preconditioned conjugate gradients from splats' own.

    Every plane is a system of its own with the same H; they advance together.
    """

    def gradient(feature: np.ndarray) -> np.ndarray:
        features = np.ascontiguousarray(feature, np.float32)
        return device.gradient(replace(splats, feature=features), _L2)[1].feature.astype(np.float64)

    b = -gradient(np.zeros_like(splats.feature))
    diagonal = gradient(np.ones_like(splats.feature)) + b
    diagonal = np.maximum(diagonal, 1e-6 * diagonal.max() + 1e-30)
    feature = splats.feature.astype(np.float64)
    residual = -gradient(feature)
    direction = residual / diagonal
    size = (residual * direction).sum(0)
    for _ in range(iterations):
        unit = np.maximum(np.abs(direction).max(0), 1e-30)  # float32 would lose a small direction beside b
        curved = (gradient(direction / unit) + b) * unit
        flattest = _FLATTEST * (diagonal * direction**2).sum(0)
        length = size / np.maximum(np.maximum((direction * curved).sum(0), flattest), 1e-30)
        feature += length * direction
        residual -= length * curved
        scaled = residual / diagonal
        before, size = size, (residual * scaled).sum(0)
        direction = scaled + size / np.maximum(before, 1e-30) * direction
    return feature.astype(np.float32)
