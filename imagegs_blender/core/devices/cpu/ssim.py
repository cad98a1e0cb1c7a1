"""L1, L2 and SSIM with their gradient, streamed: rows come in, slopes go out, nothing plane-sized is kept between.

A task is a panel of columns of one plane, cut into strips of rows. Each incoming row is blurred along x into five moments;
eleven of them give one row of SSIM statistics and of the three partial derivatives, which are blurred in turn. The
gradient of row y is ready when row y + 10 has come in.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ...ssim import SSIM_C1, SSIM_C2, SSIM_RADIUS, window
from ..types import LossWeights
from .simd import LANES, fma, full, load, maximum, minimum, store, total

PANEL = 256
STRIP = 256
_R = SSIM_RADIUS
_TAPS = 2 * _R + 1
_PAD = LANES  # columns of zeros (or neighbors) kept on both sides of a panel; at least 2 * _R


def mean_ssim(out, target, texels, size, weights: LossWeights, slope) -> tuple[float, float, float]:
    """Mean |r|, mean r^2, mean SSIM of padded planes (C, H, W); writes d(loss)/d(out) into slope.

    size is (width, height) of the picture inside the padding; texels (H, W) weighs each texel, 0 in the padding.
    """
    planes, height, width = out.shape
    panels, strips = -(-width // PANEL), -(-height // STRIP)
    sums = np.zeros((planes * panels * strips, 3))
    count = planes * size[0] * size[1]
    _stream(
        out.reshape(-1), target.reshape(-1), texels.reshape(-1), slope.reshape(-1), (planes, height, width, panels, strips), size,
        window().astype(np.float32), (weights.l1 / count, weights.l2 / count, weights.ssim / count), sums,
    )  # fmt: skip
    l1, l2, ssim = sums.sum(0) / count
    return l1, l2, ssim


@njit(inline="always")
def _blur_row(source, target, at, taps, first, final):
    """target[at + x] = sum_k taps[k] source[x + k - R] for x from first to final in steps of a row of lanes."""
    for x in range(first, final, LANES):
        value = full(taps[_R]) * load(source, x)
        for k in range(1, _R + 1):
            value = fma(full(taps[_R + k]), load(source, x - k) + load(source, x + k), value)
        store(target, at + x, value)


@njit(inline="always")
def _column(ring, pitch, y, x, taps):
    """The blur along y of a ring of eleven rows whose middle row is y."""
    value = full(taps[_R]) * load(ring, (y % _TAPS) * pitch + x)
    for k in range(1, _R + 1):
        below = load(ring, ((y - k + _TAPS) % _TAPS) * pitch + x)
        above = load(ring, ((y + k) % _TAPS) * pitch + x)
        value = fma(full(taps[_R + k]), below + above, value)
    return value


@njit(inline="always")
def _statistics(mx, my, xx, yy, xy):
    """(SSIM, and its derivatives by the mean, the variance and the covariance of x) from blurred x, y, x^2, y^2, x y.

    The formulas of reference.mean_ssim().
    """
    zero, one, two = full(np.float32(0)), full(np.float32(1)), full(np.float32(2))
    c1, c2 = full(np.float32(SSIM_C1)), full(np.float32(SSIM_C2))
    vx, vy, cov = xx - mx * mx, yy - my * my, xy - mx * my
    n1, n2 = fma(two * mx, my, c1), fma(two, cov, c2)
    i1, i2 = one / (fma(mx, mx, my * my) + c1), one / (vx + vy + c2)
    ssim = n1 * n2 * i1 * i2
    by_v = zero - ssim * i2
    by_c = two * n1 * i1 * i2
    by_m = two * my * n2 * i1 * i2 - two * mx * ssim * i1 - two * mx * by_v - my * by_c
    return ssim, by_m, by_v, by_c


@njit(inline="always")
def _pointwise_slope(r, w1, w2):
    """d(w1 |r| + w2 r^2) / dr."""
    sign = minimum(maximum(r * full(np.float32(1e30)), full(np.float32(-1))), full(np.float32(1)))
    return fma(full(np.float32(2) * w2), r, full(w1) * sign)


@njit(parallel=True, cache=True, error_model="numpy")
def _stream(out, target, texels, slope, shape, size, taps, weights, sums):
    """mean_ssim() over all panels and strips.

    out, target, texels, slope   float32, flat: C padded planes, but texels one
    shape     (planes, padded height, padded width, panels, strips)
    size      (width, height) of the picture
    taps      (11,) float32, the window
    weights   (l1, l2, ssim): loss ratios divided by the number of values
    sums      (planes * panels * strips, 3) float64, written: sums of |r|, r^2 and SSIM, weighted by texels
    """
    planes, height, width, panels, strips = shape
    true_width, true_height = size
    w1, w2, ws = np.float32(weights[0]), np.float32(weights[1]), np.float32(weights[2])
    zero, two = full(np.float32(0)), full(np.float32(2))
    for task in prange(planes * panels * strips):
        plane, panel, strip = task // (panels * strips), task // strips % panels, task % strips
        x0, x1 = panel * PANEL, min(width, (panel + 1) * PANEL)
        y0, y1 = strip * STRIP, min(height, (strip + 1) * STRIP)
        span = x1 - x0
        pitch = span + 4 * _PAD
        base = plane * height * width
        row_x, row_y = np.zeros(pitch, np.float32), np.zeros(pitch, np.float32)
        row_xx, row_yy, row_xy = np.zeros(pitch, np.float32), np.zeros(pitch, np.float32), np.zeros(pitch, np.float32)
        ring_x, ring_y = np.zeros(_TAPS * pitch, np.float32), np.zeros(_TAPS * pitch, np.float32)
        ring_xx, ring_yy = np.zeros(_TAPS * pitch, np.float32), np.zeros(_TAPS * pitch, np.float32)
        ring_xy = np.zeros(_TAPS * pitch, np.float32)
        part_m, part_v, part_c = np.zeros(pitch, np.float32), np.zeros(pitch, np.float32), np.zeros(pitch, np.float32)
        ring_m, ring_v = np.zeros(_TAPS * pitch, np.float32), np.zeros(_TAPS * pitch, np.float32)
        ring_c = np.zeros(_TAPS * pitch, np.float32)
        sum_l1, sum_l2, sum_ssim = zero, zero, zero
        # a texel column x of the picture is column x - x0 + 2 * _PAD of these rows
        left, right = max(0, x0 - 2 * _R), min(true_width, x1 + 2 * _R)
        whole = left + (right - left) // LANES * LANES
        shift = 2 * _PAD - x0
        inner, outer = 2 * _PAD, 2 * _PAD + span
        for y in range(y0 - 2 * _R, y1 + 2 * _R):
            # 1. a row comes in
            if 0 <= y < true_height:
                at = base + y * width
                for x in range(left, whole, LANES):
                    a, b = load(out, at + x), load(target, at + x)
                    store(row_x, x + shift, a)
                    store(row_y, x + shift, b)
                    store(row_xx, x + shift, a * a)
                    store(row_yy, x + shift, b * b)
                    store(row_xy, x + shift, a * b)
                for x in range(whole, right):
                    a, b = out[at + x], target[at + x]
                    row_x[x + shift], row_y[x + shift] = a, b
                    row_xx[x + shift], row_yy[x + shift], row_xy[x + shift] = a * a, b * b, a * b
            else:
                row_x[:], row_y[:], row_xx[:], row_yy[:], row_xy[:] = 0, 0, 0, 0, 0
            slot = ((y + 4 * _TAPS) % _TAPS) * pitch
            _blur_row(row_x, ring_x, slot, taps, inner - _PAD, outer + _PAD)
            _blur_row(row_y, ring_y, slot, taps, inner - _PAD, outer + _PAD)
            _blur_row(row_xx, ring_xx, slot, taps, inner - _PAD, outer + _PAD)
            _blur_row(row_yy, ring_yy, slot, taps, inner - _PAD, outer + _PAD)
            _blur_row(row_xy, ring_xy, slot, taps, inner - _PAD, outer + _PAD)
            # 2. statistics of row m
            m = y - _R
            if m < y0 - _R:
                continue
            ym = m + 4 * _TAPS
            if 0 <= m < true_height:
                for x in range(inner - _PAD, outer + _PAD, LANES):
                    mx, my = _column(ring_x, pitch, ym, x, taps), _column(ring_y, pitch, ym, x, taps)
                    xx, yy = _column(ring_xx, pitch, ym, x, taps), _column(ring_yy, pitch, ym, x, taps)
                    xy = _column(ring_xy, pitch, ym, x, taps)
                    ssim, by_m, by_v, by_c = _statistics(mx, my, xx, yy, xy)
                    # texels count by weight; padding has weight 0 and outside the plane nothing counts
                    column = x - shift
                    texel = load(texels, m * width + column) if 0 <= column < width else zero
                    store(part_m, x, by_m * texel)
                    store(part_v, x, by_v * texel)
                    store(part_c, x, by_c * texel)
                    if y0 <= m < y1 and inner <= x < outer:
                        sum_ssim = fma(ssim, texel, sum_ssim)
            else:
                part_m[:], part_v[:], part_c[:] = 0, 0, 0
            slot = (ym % _TAPS) * pitch
            _blur_row(part_m, ring_m, slot, taps, inner, outer)
            _blur_row(part_v, ring_v, slot, taps, inner, outer)
            _blur_row(part_c, ring_c, slot, taps, inner, outer)
            # 3. the slope of row n
            n = m - _R
            if n < y0 or n >= true_height:
                continue
            yn = n + 4 * _TAPS
            at = base + n * width - shift
            for x in range(inner, outer, LANES):
                a, b = load(out, at + x), load(target, at + x)
                r = a - b
                texel = load(texels, n * width + x - shift)
                sum_l1 = fma(maximum(r, zero - r), texel, sum_l1)
                sum_l2 = fma(r * r, texel, sum_l2)
                by_ssim = _column(ring_m, pitch, yn, x, taps) + two * a * _column(ring_v, pitch, yn, x, taps)
                by_ssim = fma(b, _column(ring_c, pitch, yn, x, taps), by_ssim)
                g = texel * _pointwise_slope(r, w1, w2) - full(ws) * by_ssim
                store(slope, at + x, g)
            for x in range(max(x0, true_width), x1):  # padding
                slope[base + n * width + x] = 0
        sums[task, 0], sums[task, 1], sums[task, 2] = total(sum_l1), total(sum_l2), total(sum_ssim)
