"""L1, L2 and SSIM with their gradient, streamed: rows come in, slopes go out, nothing plane-sized is kept between.

A task is a panel of columns of one plane, cut into strips of rows. With R = 5, the radius of the window:

1. Row y comes in. Its five moments, x, y, x^2, y^2 and x y of the picture x and the target y, are blurred along the row.
2. The last eleven of these, blurred down the columns, give the SSIM of row y - R and its three partial derivatives: by
   the mean, the variance and the covariance of x. They are blurred along the row.
3. The last eleven of these, blurred down the columns, give the slope of row y - 2 R.

A task keeps four scratch spaces, flat float32. A line is a row of the panel with what is beside it, `pitch` columns; a ring
is eleven lines, in which the line of row y takes the place of that of row y - 11.

    moments         5 lines, of the row that has come in
    moment_rings    5 rings: moments, blurred along their rows
    partials        3 lines, of the last row of SSIM
    partial_rings   3 rings: partials, blurred along their rows

Column x of the plane is column x - x0 + 2 _PAD of a line, where x0 is the panel's first column.

Trusts: picture and target have the planes and size that the scratch spaces were made for (they are made beside the calls).
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ...ssim import SSIM_C1, SSIM_C2, SSIM_RADIUS, window
from ..types import LossWeights
from .simd import LANES, fma, full, load, maximum, minimum, store, total

PANEL, STRIP = 256, 256
"""Columns and rows of a task: what is beside them is computed once more for them, but scratch spaces stay in the cache."""

_R = SSIM_RADIUS
_TAPS = 2 * _R + 1
_PAD = LANES
"""Half of the columns beside a panel, on each side: neighbors, or zeros. At least 2 _R."""


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
def _take_moments(out, target, at, columns, shift, pitch, moments):
    """Write the moments of columns first .. last - 1 of the row that begins at `at` in out and target; x becomes x + shift."""
    first, last = columns
    whole = first + (last - first) // LANES * LANES
    for x in range(first, whole, LANES):
        a, b, to = load(out, at + x), load(target, at + x), x + shift
        store(moments, to, a)
        store(moments, to + pitch, b)
        store(moments, to + 2 * pitch, a * a)
        store(moments, to + 3 * pitch, b * b)
        store(moments, to + 4 * pitch, a * b)
    for x in range(whole, last):
        a, b, to = out[at + x], target[at + x], x + shift
        moments[to], moments[to + pitch] = a, b
        moments[to + 2 * pitch], moments[to + 3 * pitch], moments[to + 4 * pitch] = a * a, b * b, a * b


@njit(inline="always")
def _blur_lines(lines, rings, count, y, pitch, taps, first, final):
    """Blur `count` lines along themselves, from column first to final, into the place of row y in their rings."""
    place = _place(y, pitch)
    for n in range(count):
        line, to = n * pitch, n * _TAPS * pitch + place
        for x in range(first, final, LANES):
            value = full(taps[_R]) * load(lines, line + x)
            for k in range(1, _R + 1):
                value = fma(full(taps[_R + k]), load(lines, line + x - k) + load(lines, line + x + k), value)
            store(rings, to + x, value)


@njit(inline="always")
def _blurred(rings, n, y, pitch, x, taps):
    """Ring n, blurred down its columns x .. x + 15, where y is the middle one of its eleven rows."""
    ring = n * _TAPS * pitch + x
    value = full(taps[_R]) * load(rings, ring + _place(y, pitch))
    for k in range(1, _R + 1):
        neighbors = load(rings, ring + _place(y - k, pitch)) + load(rings, ring + _place(y + k, pitch))
        value = fma(full(taps[_R + k]), neighbors, value)
    return value


@njit(inline="always")
def _place(y, pitch):
    """Where the line of row y is in a ring; y may be a little below 0."""
    return ((y + 4 * _TAPS) % _TAPS) * pitch


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
def pointwise_slope(r, w1, w2):
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
        inner, outer = 2 * _PAD, 2 * _PAD + x1 - x0  # the panel's columns in a line
        pitch, shift, base = outer + 2 * _PAD, inner - x0, plane * height * width
        columns = (max(0, x0 - 2 * _R), min(true_width, x1 + 2 * _R))
        moments, moment_rings = np.zeros(5 * pitch, np.float32), np.zeros(5 * _TAPS * pitch, np.float32)
        partials, partial_rings = np.zeros(3 * pitch, np.float32), np.zeros(3 * _TAPS * pitch, np.float32)
        sum_l1, sum_l2, sum_ssim = zero, zero, zero
        for y in range(y0 - 2 * _R, y1 + 2 * _R):
            # 1. the moments of row y
            if 0 <= y < true_height:
                _take_moments(out, target, base + y * width, columns, shift, pitch, moments)
            else:
                moments[:] = 0
            _blur_lines(moments, moment_rings, 5, y, pitch, taps, inner - _PAD, outer + _PAD)
            # 2. SSIM and its derivatives, of row m
            m = y - _R
            if m < y0 - _R:
                continue
            if 0 <= m < true_height:
                for x in range(inner - _PAD, outer + _PAD, LANES):
                    mx = _blurred(moment_rings, 0, m, pitch, x, taps)
                    my = _blurred(moment_rings, 1, m, pitch, x, taps)
                    xx = _blurred(moment_rings, 2, m, pitch, x, taps)
                    yy = _blurred(moment_rings, 3, m, pitch, x, taps)
                    xy = _blurred(moment_rings, 4, m, pitch, x, taps)
                    ssim, by_m, by_v, by_c = _statistics(mx, my, xx, yy, xy)
                    # texels count by weight; padding has weight 0 and outside the plane nothing counts
                    column = x - shift
                    texel = load(texels, m * width + column) if 0 <= column < width else zero
                    store(partials, x, by_m * texel)
                    store(partials, x + pitch, by_v * texel)
                    store(partials, x + 2 * pitch, by_c * texel)
                    if y0 <= m < y1 and inner <= x < outer:
                        sum_ssim = fma(ssim, texel, sum_ssim)
            else:
                partials[:] = 0
            _blur_lines(partials, partial_rings, 3, m, pitch, taps, inner, outer)
            # 3. the slope of row n
            n = m - _R
            if n < y0 or n >= true_height:
                continue
            at = base + n * width - shift
            for x in range(inner, outer, LANES):
                a, b = load(out, at + x), load(target, at + x)
                r = a - b
                texel = load(texels, n * width + x - shift)
                sum_l1 = fma(maximum(r, zero - r), texel, sum_l1)
                sum_l2 = fma(r * r, texel, sum_l2)
                by_m = _blurred(partial_rings, 0, n, pitch, x, taps)
                by_v = _blurred(partial_rings, 1, n, pitch, x, taps)
                by_c = _blurred(partial_rings, 2, n, pitch, x, taps)
                by_ssim = fma(b, by_c, by_m + two * a * by_v)
                store(slope, at + x, texel * pointwise_slope(r, w1, w2) - full(ws) * by_ssim)
            for x in range(max(x0, true_width), x1):  # padding
                slope[base + n * width + x] = 0
        sums[task, 0], sums[task, 1], sums[task, 2] = total(sum_l1), total(sum_l2), total(sum_ssim)
