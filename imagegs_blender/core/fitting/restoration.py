"""How damaged a picture is, judged from the picture alone: where a fit that restores it must stop.

Gaussians take up smooth and large shapes before noise. By the discrepancy principle (Morozov 1966) the fit stops when the
error that it leaves is as large as the damage: from there on it would copy the damage.
"""

from __future__ import annotations

import numpy as np

from ..settings import FitSettings

_BLOCK = 8
"""Texels a side of a block of a JPEG."""

_BLOCK_SHARE = 0.6
"""Share of a JPEG's error that the fit should leave out: the rest can't be told from the picture. Measured, see
docs/restoration.md."""


def mean_square(planes: np.ndarray, settings: FitSettings) -> float:
    """The squared error of planes (C, H, W) at which a fit is to stop: that of noise_sigma, or an estimate."""
    if settings.noise_sigma is not None:
        return (settings.noise_sigma / 255) ** 2
    return float(np.mean([noise(plane) ** 2 + (_BLOCK_SHARE * blockiness(plane)) ** 2 for plane in planes]))


def noise(plane: np.ndarray) -> float:
    """Standard deviation of white noise in a plane (H, W): the median of its finest diagonal Haar coefficients.

    Donoho & Johnstone 1994.
    """
    height, width = (side // 2 * 2 for side in plane.shape)
    p = plane[:height, :width]
    diagonal = 0.5 * (p[::2, ::2] - p[1::2, ::2] - p[::2, 1::2] + p[1::2, 1::2])
    return float(np.median(np.abs(diagonal)) / 0.6745) if diagonal.size else 0.0


def blockiness(plane: np.ndarray) -> float:
    """Standard deviation of the error that differs from block to block of a JPEG, whatever its grid's offset.

    Where two blocks meet, the picture jumps by the difference of two such errors: half of what the squared difference of
    neighbors has there above the usual.
    """
    found = []
    for p in (plane, plane.T):
        squares = np.mean(np.square(np.diff(p.astype(np.float64), axis=1)), 0)
        phases = [float(squares[k::_BLOCK].mean()) for k in range(_BLOCK) if k < len(squares)]
        found.append(max(phases) - float(np.median(phases)) if phases else 0.0)
    return float(np.sqrt(max(0.0, float(np.mean(found))) / 2))
