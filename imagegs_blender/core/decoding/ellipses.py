"""The outlines of Gaussians, for pictures of them."""

from __future__ import annotations

import numpy as np

from ..gaussians import Gaussians


def outlines(gaussians: Gaussians, reach: float, points: int) -> np.ndarray:
    """(N, points, 2) float64 texture coordinates (x, y): the ellipse of each Gaussian at `reach` standard deviations.

    Where the texture repeats, they may lie outside of 0..1.
    """
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    u, v = reach * gaussians.scale[:, :1] * np.cos(turn), reach * gaussians.scale[:, 1:] * np.sin(turn)
    cos, sin = np.cos(gaussians.rotation)[:, None], np.sin(gaussians.rotation)[:, None]
    x = gaussians.mean[:, :1] + (u * cos - v * sin) / gaussians.width
    y = gaussians.mean[:, 1:] + (u * sin + v * cos) / gaussians.height
    return np.stack([x, y], 2)
