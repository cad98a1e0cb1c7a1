"""What the kernels do along a row of 16 texels of a tile: the entries that reach it, their weights, blend, and pull.

Per row: every entry's q, the K smallest of each texel (sorted in registers), then only the entries that some texel of the
row keeps are blended. Gradients are summed per entry and lane over the rows of a tile.

`room` holds what a tile's entries are, `found` the entries of a row; arrays are flat where rows of lanes are read (simd.py).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ...gaussians import CUTOFF, EPS
from .blocks import TILE
from .simd import any_le, exp_neg, fma, full, insert, lane_index, last, load, repeat, select_le, store, total


@njit(inline="always")
def gather(tile, columns, width, height, lists, splats, room):
    """Copy a tile's entries into room: per lane dx, a dx^2, b dx; per entry dy of the first row, c, bias, first and last row."""
    start, gaussian, copy = lists
    center, conic, bias, feature = splats
    lane_dx, lane_aa, lane_bb, scalars, rows, features = room
    x0, y0 = np.float32((tile % columns) * TILE), np.float32((tile // columns) * TILE)
    planes = feature.shape[1]
    first = start[tile]
    count = start[tile + 1] - first
    for j in range(count):
        i, code = gaussian[first + j], copy[first + j]
        a, b, c = conic[i, 0], conic[i, 1], conic[i, 2]
        cx = center[i, 0] + np.float32((code % 3 - 1) * width)
        cy = center[i, 1] + np.float32((code // 3 - 1) * height)
        dx = lane_index() + full(x0 + np.float32(0.5) - cx)
        store(lane_dx, j * TILE, dx)
        store(lane_aa, j * TILE, full(a) * dx * dx)
        store(lane_bb, j * TILE, full(b) * dx)
        dy = y0 + np.float32(0.5) - cy
        scalars[3 * j], scalars[3 * j + 1], scalars[3 * j + 2] = dy, c, bias[i]
        # rows where the ellipse q <= CUTOFF can reach
        reach = np.sqrt(max((np.float32(CUTOFF) - bias[i]) * a / (a * c - np.float32(0.25) * b * b), np.float32(0)))
        rows[2 * j] = max(0, int(np.ceil(-reach - dy - np.float32(0.01))))
        rows[2 * j + 1] = min(TILE, int(np.floor(reach - dy + np.float32(0.01))) + 1)
        for p in range(planes):
            features[j * planes + p] = feature[i, p]
    return count


@njit(inline="always")
def exponent(row, j, room):
    """q of entry j along a row."""
    lane_dx, lane_aa, lane_bb, scalars, rows, features = room
    dy = scalars[3 * j] + np.float32(row)
    q = fma(load(lane_bb, j * TILE), full(dy), load(lane_aa, j * TILE))
    return q + full(scalars[3 * j + 1] * dy * dy + scalars[3 * j + 2])


@njit(inline="always")
def select_nearest(row, count, room, found, like, normalise):
    """The entries of a row that reach it, their q, and each texel's K-th smallest q (at most CUTOFF)."""
    rows = room[4]
    members, lane_q, kept, lane_w = found
    smallest = repeat(full(np.float32(CUTOFF)), like)
    reached = 0
    for j in range(count):
        if rows[2 * j] <= row < rows[2 * j + 1]:
            q = exponent(row, j, room)
            if any_le(q, last(smallest)):
                store(lane_q, reached * TILE, q)
                members[reached] = j
                reached += 1
                if normalise:
                    smallest = insert(smallest, q)
    return reached, last(smallest)


@njit(inline="always")
def select_below(row, count, room, found, limit):
    """The entries of a row with q <= limit somewhere, and their q: what select_nearest found, when its limit is known."""
    rows = room[4]
    members, lane_q, kept, lane_w = found
    reached = 0
    for j in range(count):
        if rows[2 * j] <= row < rows[2 * j + 1]:
            q = exponent(row, j, room)
            if any_le(q, limit):
                store(lane_q, reached * TILE, q)
                members[reached] = j
                reached += 1
    return reached


@njit(inline="always")
def weigh(reached, limit, found):
    """Keep the entries with q <= limit somewhere in the row; store their weights; return how many and the sum of weights."""
    members, lane_q, kept, lane_w = found
    active = 0
    weight_sum = full(np.float32(0))
    for k in range(reached):
        q = load(lane_q, k * TILE)
        if any_le(q, limit):
            w = select_le(q, limit, exp_neg(q), full(np.float32(0)))
            weight_sum = weight_sum + w
            store(lane_w, active * TILE, w)
            kept[active] = members[k]
            active += 1
    return active, weight_sum


@njit(inline="always")
def mix_plane(plane, planes, active, scale, found, features):
    """sum w f * scale of one plane."""
    members, lane_q, kept, lane_w = found
    value = full(np.float32(0))
    for k in range(active):
        value = fma(load(lane_w, k * TILE), full(features[kept[k] * planes + plane]), value)
    return value * scale


@njit(inline="always")
def inverse_norm(weight_sum, normalise):
    return full(np.float32(1)) / (weight_sum + full(np.float32(EPS))) if normalise else full(np.float32(1))


@njit(inline="always")
def pull_entries(row, planes, active, scale, pull, lane_g, found, room, sums):
    """Add a row's share to the gradient sums of its entries.

    pull is sum_c g_c out_c (0 where weights are not normalised); lane_g holds g_c = dL/dout_c.
    sums, per entry and lane: gq, gq dy, gq dy^2, then w scale g_c per plane, with gq = dL/dq.
    """
    lane_dx, lane_aa, lane_bb, scalars, rows, features = room
    members, lane_q, kept, lane_w = found
    stride = (3 + planes) * TILE
    for k in range(active):
        j = kept[k]
        w = load(lane_w, k * TILE) * scale
        toward = full(np.float32(0)) - pull
        base = j * stride + 3 * TILE
        for p in range(planes):
            g = load(lane_g, p * TILE)
            toward = fma(g, full(features[j * planes + p]), toward)
            store(sums, base + p * TILE, fma(w, g, load(sums, base + p * TILE)))
        gq = full(np.float32(0)) - w * toward
        dy = full(scalars[3 * j] + np.float32(row))
        base = j * stride
        store(sums, base, load(sums, base) + gq)
        gq = gq * dy
        store(sums, base + TILE, load(sums, base + TILE) + gq)
        store(sums, base + 2 * TILE, fma(gq, dy, load(sums, base + 2 * TILE)))


@njit(inline="always")
def write_entries(first, count, planes, room, sums, gradient):
    """Sum lanes: per entry (gq, gq dx, gq dy, gq dx^2, gq dx dy, gq dy^2, features...); clears sums."""
    lane_dx = room[0]
    stride = (3 + planes) * TILE
    zero = full(np.float32(0))
    for j in range(count):
        base = j * stride
        dx = load(lane_dx, j * TILE)
        g, gy, gyy = load(sums, base), load(sums, base + TILE), load(sums, base + 2 * TILE)
        entry = gradient[first + j]
        entry[0], entry[1], entry[2] = total(g), total(g * dx), total(gy)
        entry[3], entry[4], entry[5] = total(g * dx * dx), total(gy * dx), total(gyy)
        for p in range(planes):
            entry[6 + p] = total(load(sums, base + (3 + p) * TILE))
        for p in range(3 + planes):
            store(sums, base + p * TILE, zero)


@njit(inline="always")
def tile_room(most, planes):
    """Scratch space of one task for tiles of at most `most` entries."""
    return (
        np.empty(most * TILE, np.float32),
        np.empty(most * TILE, np.float32),
        np.empty(most * TILE, np.float32),
        np.empty(most * 3, np.float32),
        np.empty(most * 2, np.int64),
        np.empty(most * planes, np.float32),
    )


@njit(inline="always")
def row_room(most):
    return (
        np.empty(most, np.int64),
        np.empty(most * TILE, np.float32),
        np.empty(most, np.int64),
        np.empty(most * TILE, np.float32),
    )


@njit(inline="always")
def most_entries(start, low, high):
    most = 1
    for tile in range(low, high):
        most = max(most, start[tile + 1] - start[tile])
    return most
