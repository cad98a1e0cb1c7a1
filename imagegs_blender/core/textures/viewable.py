"""Any map as a picture for people: three channels, 0..1."""

from __future__ import annotations

import numpy as np


def rgb(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) of pixels (h, w, channels), same dtype: the first three channels, or one gray in all three; no alpha."""
    return pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def viewable(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32, 0..1, of a map's pixels (h, w, channels): integers by the range of their type.

    Floats are scaled by the range of the reference, which is at least 0..1, so that two pictures of one map are alike.
    """
    if values.dtype.kind == "u":
        unit = values.astype(np.float32) / np.iinfo(values.dtype).max
    else:
        low, high = float(min(reference.min(), 0)), float(max(reference.max(), 1))
        unit = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    return rgb(unit)
