"""Where eyes go first, computed from the picture alone: the spectral residual (Hou & Zhang, CVPR 2007)."""

from __future__ import annotations

import numpy as np

from ..textures.resample import resize

_SIDE = 64
"""Length of the shorter side at which attention is judged, texels: Hou and Zhang's choice."""

_SMOOTHING = 2.5
"""Standard deviation of the final filter at that size, texels."""


def spectral_residual(planes: np.ndarray, smoothing: float) -> np.ndarray:
    """(H, W) float32, 0..1: the saliency of planes (C, H, W), averaged over them and smoothed by `smoothing` texels.

    The log amplitude spectrum less its own local average is the unusual part of a picture; with the original phase, its
    inverse transform shows where that part is.
    """
    height, width = planes.shape[1:]
    scale = min(1.0, _SIDE / min(width, height))
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    total = np.zeros((h, w))
    for plane in planes:
        spectrum = np.fft.fft2(resize(plane, w, h, False).astype(np.float64))
        amplitude = np.abs(spectrum)
        logs = np.log(amplitude + 1e-9)
        residual = logs - _box3(logs)
        total += np.abs(np.fft.ifft2(np.exp(residual) * spectrum / (amplitude + 1e-9))) ** 2
    small = gaussian_filter(total, _SMOOTHING)
    return normalized(gaussian_filter(resize(small.astype(np.float32), width, height, False), smoothing))


def gaussian_filter(values: np.ndarray, sigma: float) -> np.ndarray:
    """values (H, W) convolved with a Gaussian of standard deviation sigma texels, edges repeated. The same dtype."""
    radius = int(np.ceil(3 * sigma))
    if radius == 0:
        return values
    t = np.arange(-radius, radius + 1)
    kernel = np.exp(-(t**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(
            values.astype(np.float64), [(radius, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge"
        )
        length = padded.shape[axis]
        product = np.fft.rfft(padded, axis=axis) * np.fft.rfft(_column(kernel, length, axis), axis=axis)
        valid = slice(2 * radius, length)
        values = np.fft.irfft(product, n=length, axis=axis)[(valid, slice(None)) if axis == 0 else (slice(None), valid)]
    return values


def normalized(values: np.ndarray) -> np.ndarray:
    """values scaled to 0..1, float32; where all are equal, ones."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.ones(values.shape, np.float32)
    return ((values - low) / (high - low)).astype(np.float32)


def _column(kernel: np.ndarray, length: int, axis: int) -> np.ndarray:
    """The kernel, padded with zeros, along an axis of two."""
    padded = np.zeros(length)
    padded[: len(kernel)] = kernel
    return padded[:, None] if axis == 0 else padded[None, :]


def _box3(values: np.ndarray) -> np.ndarray:
    """Mean of the 3 x 3 neighbors; a spectrum is periodic."""
    rows = values + np.roll(values, 1, 0) + np.roll(values, -1, 0)
    return (rows + np.roll(rows, 1, 1) + np.roll(rows, -1, 1)) / 9
