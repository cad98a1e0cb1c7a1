"""The window and the constants of SSIM (Wang et al. 2004), for values 0..1: the loss and the metric share them."""

from __future__ import annotations

import numpy as np

SSIM_RADIUS = 5
SSIM_SIGMA = 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2


def window() -> np.ndarray:
    """(11,) float64: the normalized Gaussian window along one axis."""
    t = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    g = np.exp(-(t**2) / (2 * SSIM_SIGMA**2))
    return g / g.sum()
