"""What the kernels do along a row of 16 texels of a block: the entries that reach it, their weights, blend, and pull.

An entry is a Gaussian in a block. Per row: every entry's q, the K smallest of each texel (sorted in registers), then only
the entries that some texel of the row keeps are blended. Gradients are summed per entry and lane over the rows of a block.

Numba inlines all of these into the kernels. Arrays are flat where rows of lanes are read (simd.py).

Trusts: arrays are as large as their makers here make them, splats are finite and their ellipses are not empty (blocks.py lists
no others), features have as many planes as `planes` says.

The scratch spaces are unpacked, never read by attribute: an array that is read as an attribute of a NamedTuple made in a
parallel loop holds garbage in Numba 0.68.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ...gaussians import CUTOFF, EPS
from .blocks import BLOCK
from .simd import any_le, exp_neg, fma, full, insert, lane_index, last, load, repeat, select_le, spread, store, total

PLANES = 4
"""Planes that are blended at once, and pulled at once: their sums, or slopes, stay in registers. Features are padded with
planes of zeros to a multiple of it."""


class BlockEntries(NamedTuple):
    """The entries of the block at hand, most of them for one task; scratch space that gather() fills.

    dx, a_dx_dx, b_dx   (most * 16,) float32: dx, a dx^2 and b dx of each column, a row of lanes per entry
    scalars   (most * 3,) float32: dy of the first row, c and bias of each entry
    feature   (most * padded_planes(planes),) float32
    """

    dx: np.ndarray
    a_dx_dx: np.ndarray
    b_dx: np.ndarray
    scalars: np.ndarray
    feature: np.ndarray


class RowEntries(NamedTuple):
    """The entries that reach the row at hand, as numbers of the block's; scratch space.

    reached, q     (most,) int64 and (most * 16,) float32: those that some texel may keep, and their q along the row
    kept, weight   (most,) int64 and (most * 16,) float32: those that some texel keeps, and their w, 0 where it does not
    """

    reached: np.ndarray
    q: np.ndarray
    kept: np.ndarray
    weight: np.ndarray


@njit(inline="always")
def padded_planes(planes):
    """How many planes scratch spaces have room for."""
    return (planes + PLANES - 1) // PLANES * PLANES


@njit(inline="always")
def lanes_of(count):
    """(count * 16,) float32 zeros that begin on a cache line: a row of lanes is one line."""
    whole = np.zeros((count + 1) * BLOCK, np.float32)
    skipped = -(whole.ctypes.data // 4) % BLOCK
    return whole[skipped : skipped + count * BLOCK]


@njit(inline="always")
def block_entries(most, planes):
    """Scratch space of one task, for blocks of at most `most` entries."""
    return BlockEntries(
        lanes_of(most),
        lanes_of(most),
        lanes_of(most),
        np.empty(most * 3, np.float32),
        np.zeros(most * padded_planes(planes), np.float32),
    )


@njit(inline="always")
def row_entries(most):
    """Scratch space of one task, for blocks of at most `most` entries."""
    return RowEntries(
        np.empty(most, np.int64),
        lanes_of(most),
        np.empty(most, np.int64),
        lanes_of(most),
    )


@njit(inline="always")
def most_entries(start, low, high):
    """The length of the longest list of blocks low .. high - 1; at least 1."""
    most = 1
    for block in range(low, high):
        most = max(most, start[block + 1] - start[block])
    return most


@njit(inline="always")
def gather(block, size, lists, splats, entries):
    """Fill entries with those of a block; returns how many there are."""
    lane_dx, lane_a, lane_b, scalars, features = entries
    width, height, columns, _ = size
    start, gaussian, copy = lists
    center, conic, bias, feature = splats
    x0, y0 = np.float32((block % columns) * BLOCK), np.float32((block // columns) * BLOCK)
    planes = feature.shape[1]
    pitch = padded_planes(planes)
    first = start[block]
    count = start[block + 1] - first
    for j in range(count):
        i, code = gaussian[first + j], copy[first + j]
        a, b, c = conic[i, 0], conic[i, 1], conic[i, 2]
        cx = center[i, 0] + np.float32((code % 3 - 1) * width)
        cy = center[i, 1] + np.float32((code // 3 - 1) * height)
        dx = lane_index() + full(x0 + np.float32(0.5) - cx)
        store(lane_dx, j * BLOCK, dx)
        store(lane_a, j * BLOCK, full(a) * dx * dx)
        store(lane_b, j * BLOCK, full(b) * dx)
        dy = y0 + np.float32(0.5) - cy
        scalars[3 * j], scalars[3 * j + 1], scalars[3 * j + 2] = dy, c, bias[i]
        for p in range(planes):
            features[j * pitch + p] = feature[i, p]
    return count


@njit(inline="always")
def exponent(row, j, entries):
    """q of entry j along a row: a dx^2 + b dx dy + c dy^2 + bias."""
    _, lane_a, lane_b, scalars, _ = entries
    dy = scalars[3 * j] + np.float32(row)
    q = fma(load(lane_b, j * BLOCK), full(dy), load(lane_a, j * BLOCK))
    return q + full(scalars[3 * j + 1] * dy * dy + scalars[3 * j + 2])


@njit(inline="always")
def select_nearest(row, count, entries, in_row, ranks, normalize):
    """Put the entries that reach a row, and their q, into in_row; returns how many, and each texel's limit.

    The limit is its K-th smallest q, at most CUTOFF; CUTOFF where weights are not normalized. ranks has K items.
    An entry that does not reach is overwritten by the next: which ones do is too irregular for a branch to be foreseen.
    """
    members, lane_q, _, _ = in_row
    smallest = repeat(full(np.float32(CUTOFF)), ranks)
    reached = 0
    for j in range(count):
        q = exponent(row, j, entries)
        store(lane_q, reached * BLOCK, q)
        members[reached] = j
        reached += np.int64(any_le(q, last(smallest)))
        if normalize:
            smallest = insert(smallest, q)
    return reached, last(smallest)


@njit(inline="always")
def select_below(row, count, entries, in_row, limit):
    """Put the entries with q <= limit somewhere in a row into in_row, as select_nearest() where the limit is known."""
    members, lane_q, _, _ = in_row
    reached = 0
    for j in range(count):
        q = exponent(row, j, entries)
        store(lane_q, reached * BLOCK, q)
        members[reached] = j
        reached += np.int64(any_le(q, limit))
    return reached


@njit(inline="always")
def weigh(reached, limit, in_row):
    """Keep the entries with q <= limit somewhere in the row; store their weights; return how many and the sum of weights."""
    members, lane_q, kept, lane_w = in_row
    active = 0
    weight_sum = full(np.float32(0))
    for k in range(reached):
        q = load(lane_q, k * BLOCK)
        w = select_le(q, limit, exp_neg(q), full(np.float32(0)))
        weight_sum = weight_sum + w
        store(lane_w, active * BLOCK, w)
        kept[active] = members[k]
        active += np.int64(any_le(q, limit))
    return active, weight_sum


@njit(inline="always")
def inverse_norm(weight_sum, normalize):
    """1 / (sum w + EPS), or 1."""
    return full(np.float32(1)) / (weight_sum + full(np.float32(EPS))) if normalize else full(np.float32(1))


@njit(inline="always")
def mix(planes, active, scale, entries, in_row, lanes):
    """sum w f * scale of every plane, into lanes (padded_planes(planes) * 16,)."""
    _, _, _, _, features = entries
    _, _, kept, lane_w = in_row
    pitch = padded_planes(planes)
    for p in range(0, pitch, PLANES):
        v0 = v1 = v2 = v3 = full(np.float32(0))
        for k in range(active):
            w, at = load(lane_w, k * BLOCK), kept[k] * pitch + p
            v0 = fma(w, spread(features, at), v0)
            v1 = fma(w, spread(features, at + 1), v1)
            v2 = fma(w, spread(features, at + 2), v2)
            v3 = fma(w, spread(features, at + 3), v3)
        base = p * BLOCK
        store(lanes, base, v0 * scale)
        store(lanes, base + BLOCK, v1 * scale)
        store(lanes, base + 2 * BLOCK, v2 * scale)
        store(lanes, base + 3 * BLOCK, v3 * scale)


@njit(inline="always")
def pull_entries(row, planes, active, scale, pull, lane_g, entries, in_row, sums):
    """Add a row's share to the gradient sums of its entries.

    pull     sum_c g_c out_c (0 where weights are not normalized)
    lane_g   (padded_planes(planes) * 16,): g_c = dL/dout_c
    sums     (most * (3 + padded_planes(planes)) * 16,), per entry and lane: gq, gq dy, gq dy^2, then w scale g_c per plane,
             gq = dL/dq
    """
    _, _, _, scalars, features = entries
    _, _, kept, lane_w = in_row
    pitch = padded_planes(planes)
    stride = (3 + pitch) * BLOCK
    for k in range(active):
        j, w = kept[k], load(lane_w, k * BLOCK) * scale
        toward = full(np.float32(0)) - pull
        base = j * stride
        for p in range(0, pitch, PLANES):
            at, into = j * pitch + p, base + (p + 3) * BLOCK
            g0, g1 = load(lane_g, p * BLOCK), load(lane_g, (p + 1) * BLOCK)
            g2, g3 = load(lane_g, (p + 2) * BLOCK), load(lane_g, (p + 3) * BLOCK)
            s0, s1 = load(sums, into), load(sums, into + BLOCK)
            s2, s3 = load(sums, into + 2 * BLOCK), load(sums, into + 3 * BLOCK)
            toward = fma(g0, spread(features, at), toward)
            toward = fma(g1, spread(features, at + 1), toward)
            toward = fma(g2, spread(features, at + 2), toward)
            toward = fma(g3, spread(features, at + 3), toward)
            store(sums, into, fma(w, g0, s0))
            store(sums, into + BLOCK, fma(w, g1, s1))
            store(sums, into + 2 * BLOCK, fma(w, g2, s2))
            store(sums, into + 3 * BLOCK, fma(w, g3, s3))
        gq = full(np.float32(0)) - w * toward
        dy = full(scalars[3 * j] + np.float32(row))
        store(sums, base, load(sums, base) + gq)
        gq = gq * dy
        store(sums, base + BLOCK, load(sums, base + BLOCK) + gq)
        store(sums, base + 2 * BLOCK, fma(gq, dy, load(sums, base + 2 * BLOCK)))


@njit(inline="always")
def write_entries(first, count, planes, entries, sums, gradient):
    """Sum the lanes of sums into rows first .. first + count - 1 of gradient, and clear sums.

    A row is (gq, gq dx, gq dy, gq dx^2, gq dx dy, gq dy^2, features...).
    """
    lane_dx, _, _, _, _ = entries
    stride = (3 + padded_planes(planes)) * BLOCK
    zero = full(np.float32(0))
    for j in range(count):
        base = j * stride
        dx = load(lane_dx, j * BLOCK)
        g, gy, gyy = load(sums, base), load(sums, base + BLOCK), load(sums, base + 2 * BLOCK)
        entry = gradient[first + j]
        entry[0], entry[1], entry[2] = total(g), total(g * dx), total(gy)
        entry[3], entry[4], entry[5] = total(g * dx * dx), total(gy * dx), total(gyy)
        for p in range(planes):
            entry[6 + p] = total(load(sums, base + (3 + p) * BLOCK))
        for p in range(3 + planes):
            store(sums, base + p * BLOCK, zero)
