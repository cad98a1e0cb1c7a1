"""The transfer function of sRGB (IEC 61966-2-1), for values of any size."""

from __future__ import annotations

import numpy as np


def to_linear(encoded: np.ndarray) -> np.ndarray:
    """sRGB to linear, 1 is white."""
    return np.where(encoded <= 0.04045, encoded / 12.92, (np.maximum(encoded, 0.04045) + 0.055) ** 2.4 / 1.055**2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear to sRGB, 1 is white."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
