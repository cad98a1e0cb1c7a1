"""How close two sets of maps are: PSNR, SSIM and the angle between normals, on 8-bit values.

Trusts: both pictures have one size (checked by compare()).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numba import njit, prange

from ..errors import ImageGSError
from ..ssim import SSIM_C1, SSIM_C2, window
from ..textures.texture_stack import OVERALL, Role, value_range


def compare(
    a: Mapping[str, np.ndarray],
    b: Mapping[str, np.ndarray],
    roles: Mapping[str, Role] | None = None,
    similarity: bool = True,
    unused: Mapping[str, np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """Compare the maps b with the originals a, both name -> (height, width, channels) uint8, uint16 or float32.

    Returns {"psnr": {"overall": dB, MAP: dB, ...}, "ssim": likewise}; identical maps have a PSNR of infinity. PSNR
    "overall" comes from the squared error pooled over all samples of all maps, SSIM "overall" is the mean over all
    channels of all maps. Samples are compared as 8-bit values: integers scaled by the range of their type, floats
    by texture_stack.value_range of the original.

    roles   what the maps hold, where known. Adds "normal_angle" (degrees) for NORMAL maps. In COLOR maps with
            straight alpha, the color of texels that are fully transparent in the original is not compared: nobody
            sees it, and a stack does not keep it (texture_stack.build). All other samples count.
    similarity   False leaves SSIM out, which takes most of the time
    unused  name -> (height, width) bool: texels that nobody sees. They count neither in PSNR nor in the angle, and are
            equal for SSIM
    Raises ImageGSError where the maps don't match.
    """
    _check(a, b)
    roles = roles or {}
    error = samples = 0.0
    similarities: list[float] = []
    psnrs, ssims, angles = {}, {}, {}
    for name, original in a.items():
        x, y = to_bytes(original, original), to_bytes(b[name], original)
        skipped = (unused or {}).get(name)
        x, y, counted = _hide(original, x, y, roles.get(name) is Role.COLOR, skipped)
        squared = _squared_error(x, y)
        error, samples = error + squared, samples + counted
        psnrs[name] = _decibels(squared, counted)
        if similarity:
            similar = [ssim(x[..., c], y[..., c]) for c in range(x.shape[2])]
            similarities += similar
            ssims[name] = float(np.mean(similar))
        if roles.get(name) is Role.NORMAL:
            shown = slice(None) if skipped is None else ~skipped
            angles[name] = normal_angle(original[shown], b[name][shown])
    result = {"psnr": {OVERALL: _decibels(error, samples), **psnrs}}
    if similarity:
        result["ssim"] = {OVERALL: float(np.mean(similarities)), **ssims}
    return {**result, "normal_angle": angles} if angles else result


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of b against the original a, any equal shape, on 8-bit values."""
    return _decibels(_squared_error(to_bytes(a, a), to_bytes(b, a)), a.size)


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity of two planes (height, width) uint8.

    Wang et al. 2004: Gaussian window of 11 x 11 texels, sigma 1.5, K1 0.01, K2 0.03. Outside the image is 0, and every
    texel counts, as in Image-GS (fused-ssim with padding "same").
    """
    rows = _ssim_rows(np.ascontiguousarray(a), np.ascontiguousarray(b), window().astype(np.float32))
    return float(rows.sum() / a.size)


def normal_angle(a: np.ndarray, b: np.ndarray) -> float:
    """Mean angle in degrees between two tangent-space normal maps (height, width, 3 or more), 0.5 = 0."""
    u, v = _directions(a), _directions(b)
    cross = np.linalg.norm(np.cross(u, v), axis=-1)
    return float(np.degrees(np.arctan2(cross, (u * v).sum(axis=-1))).mean())


def to_bytes(pixels: np.ndarray, original: np.ndarray) -> np.ndarray:
    """pixels as uint8: integers by the range of their type; against a float original, by texture_stack.value_range of it."""
    if pixels.dtype == np.uint8 and original.dtype.kind == "u":
        return pixels
    values = pixels.astype(np.float32)
    if pixels.dtype.kind == "u":
        values /= np.iinfo(pixels.dtype).max
    if original.dtype.kind == "f":
        low, high = value_range(original)
        values -= low
        values /= high - low if high > low else np.float32(1)
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _check(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> None:
    if OVERALL in a:
        raise ImageGSError(f"{OVERALL}: a map can't have this name, it stands for all maps; rename the file")
    for name in [*a, *b]:
        if name not in a or name not in b:
            raise ImageGSError(f"{name}: only one side has this map; compare sets with the same maps")
        if a[name].shape != b[name].shape:
            raise ImageGSError(f"{name}: {_shape(a[name])} against {_shape(b[name])}; compare maps of one size")


def _shape(pixels: np.ndarray) -> str:
    height, width, channels = pixels.shape
    return f"{width} x {height} with {channels} channel{'s' * (channels > 1)}"


def _hide(
    original: np.ndarray, x: np.ndarray, y: np.ndarray, color: bool, unused: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """x, y with unused texels, and colors under zero alpha, made equal; and how many samples are left to count."""
    transparent = color and original.dtype.kind == "u" and original.shape[2] in (2, 4)
    if not transparent and unused is None:
        return x, y, x.size
    hidden = np.zeros(x.shape, bool)
    if transparent:
        hidden[..., :-1] = (original[..., -1] == 0)[..., None]
    if unused is not None:
        hidden |= unused[..., None]
    return np.where(hidden, np.uint8(0), x), np.where(hidden, np.uint8(0), y), x.size - int(hidden.sum())


def _squared_error(x: np.ndarray, y: np.ndarray) -> float:
    difference = np.subtract(x, y, dtype=np.int16).astype(np.float32).ravel()
    return float(sum(np.dot(part, part) for part in np.array_split(difference, max(1, difference.size >> 16))))


def _decibels(squared: float, samples: float) -> float:
    return 10 * math.log10(255**2 * samples / squared) if squared else math.inf


def _directions(pixels: np.ndarray) -> np.ndarray:
    scale = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    return pixels[..., :3].astype(np.float32) * np.float32(2 / scale) - 1


@njit(parallel=True, cache=True)
def _ssim_rows(a, b, taps):
    """Sum of SSIM over each row of a, b (h, w) uint8: the window's sums go down the columns, then along the row.

    SSIM = (2 ma mb + C1) (2 cov + C2) / ((ma^2 + mb^2 + C1) (va + vb + C2)), with means m, variances v.
    """
    height, width = a.shape
    radius = len(taps) // 2
    sums = np.zeros(height)
    unit = np.float32(1 / 255)
    for y in prange(height):
        column = np.zeros((5, width + 2 * radius), np.float32)
        for k in range(max(0, radius - y), min(len(taps), radius - y + height)):
            row_a, row_b, weight = a[y + k - radius], b[y + k - radius], taps[k]
            for x in range(width):
                p, q = row_a[x] * unit, row_b[x] * unit
                column[0, x + radius] += weight * p
                column[1, x + radius] += weight * q
                column[2, x + radius] += weight * p * p
                column[3, x + radius] += weight * q * q
                column[4, x + radius] += weight * p * q
        mean = np.zeros((5, width), np.float32)
        for k in range(len(taps)):
            for moment in range(5):
                for x in range(width):
                    mean[moment, x] += taps[k] * column[moment, x + k]
        total = 0.0
        for x in range(width):
            ma, mb = mean[0, x], mean[1, x]
            va, vb, cov = mean[2, x] - ma * ma, mean[3, x] - mb * mb, mean[4, x] - ma * mb
            total += (
                (2 * ma * mb + SSIM_C1) * (2 * cov + SSIM_C2) / ((ma * ma + mb * mb + SSIM_C1) * (va + vb + SSIM_C2))
            )
        sums[y] = total
    return sums
