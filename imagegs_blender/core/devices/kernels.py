"""The Numba kernels: one tile of 16 x 16 texels at a time, one row of 16 texels at once.

Per row: every entry's q, the K smallest of each texel (sorted in registers), then only the entries that some texel of the
row keeps are blended. The backward pass walks the same rows. Gradients are stored per entry (a Gaussian in a tile) and
summed per Gaussian in order, so there are no atomics and every run gives the same bytes.

Arrays are flat where rows of lanes are read (see simd.py). Planes are padded to whole tiles; padding has weight 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..gaussians import CUTOFF, EPS
from .binning import TILE
from .simd import (
    any_le,
    exp_neg,
    fma,
    full,
    insert,
    lane_index,
    last,
    load,
    maximum,
    minimum,
    repeat,
    select_le,
    store,
    total,
)

TASKS = 64
"""Runs of tiles handed to threads: a fixed number, so that partial sums do not depend on the number of threads."""


@njit(inline="always")
def _gather(tile, columns, width, height, lists, splats, room):
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
def _log_weight(row, j, room):
    """q of entry j along a row."""
    lane_dx, lane_aa, lane_bb, scalars, rows, features = room
    dy = scalars[3 * j] + np.float32(row)
    q = fma(load(lane_bb, j * TILE), full(dy), load(lane_aa, j * TILE))
    return q + full(scalars[3 * j + 1] * dy * dy + scalars[3 * j + 2])


@njit(inline="always")
def _select(row, count, room, found, like, normalise):
    """The entries of a row that reach it, their q, and each texel's K-th smallest q (at most CUTOFF)."""
    rows = room[4]
    members, lane_q, kept, lane_w = found
    smallest = repeat(full(np.float32(CUTOFF)), like)
    reached = 0
    for j in range(count):
        if rows[2 * j] <= row < rows[2 * j + 1]:
            q = _log_weight(row, j, room)
            if any_le(q, last(smallest)):
                store(lane_q, reached * TILE, q)
                members[reached] = j
                reached += 1
                if normalise:
                    smallest = insert(smallest, q)
    return reached, last(smallest)


@njit(inline="always")
def _select_below(row, count, room, found, limit):
    """The entries of a row with q <= limit somewhere, and their q: what _select found, when its limit is known."""
    rows = room[4]
    members, lane_q, kept, lane_w = found
    reached = 0
    for j in range(count):
        if rows[2 * j] <= row < rows[2 * j + 1]:
            q = _log_weight(row, j, room)
            if any_le(q, limit):
                store(lane_q, reached * TILE, q)
                members[reached] = j
                reached += 1
    return reached


@njit(inline="always")
def _weigh(reached, limit, found):
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
def _mix(plane, planes, active, scale, found, features):
    """sum w f * scale of one plane."""
    members, lane_q, kept, lane_w = found
    value = full(np.float32(0))
    for k in range(active):
        value = fma(load(lane_w, k * TILE), full(features[kept[k] * planes + plane]), value)
    return value * scale


@njit(inline="always")
def _scale(weight_sum, normalise):
    return full(np.float32(1)) / (weight_sum + full(np.float32(EPS))) if normalise else full(np.float32(1))


@njit(inline="always")
def _pull(row, planes, active, scale, pull, lane_g, found, room, sums):
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
def _finish(first, count, planes, room, sums, gradient):
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
def _room(most, planes):
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
def _found(most):
    return (
        np.empty(most, np.int64),
        np.empty(most * TILE, np.float32),
        np.empty(most, np.int64),
        np.empty(most * TILE, np.float32),
    )


@njit(inline="always")
def _most(start, low, high):
    most = 1
    for tile in range(low, high):
        most = max(most, start[tile + 1] - start[tile])
    return most


@njit(parallel=True, cache=True, error_model="numpy")
def render(size, lists, splats, like, normalise, out, kth, norm):
    """Blend every tile into out (planes * padded height * padded width); keep each texel's limit and 1 / normaliser.

    size is (width, height, columns, rows); like a tuple of K numbers; kth and norm may be empty when not wanted.
    """
    width, height, columns, rows = size
    start = lists[0]
    planes = splats[3].shape[1]
    pitch = columns * TILE
    plane_size = pitch * rows * TILE
    tiles = columns * rows
    for task in prange(TASKS):
        low, high = task * tiles // TASKS, (task + 1) * tiles // TASKS
        most = _most(start, low, high)
        room, found = _room(most, planes), _found(most)
        for tile in range(low, high):
            count = _gather(tile, columns, width, height, lists, splats, room)
            corner = (tile // columns) * TILE * pitch + (tile % columns) * TILE
            for row in range(TILE):
                reached, limit = _select(row, count, room, found, like, normalise)
                active, weight_sum = _weigh(reached, limit, found)
                scale = _scale(weight_sum, normalise)
                at = corner + row * pitch
                for p in range(planes):
                    store(out, p * plane_size + at, _mix(p, planes, active, scale, found, room[5]))
                if len(kth) > 0:
                    store(kth, at, limit)
                    store(norm, at, scale)


@njit(parallel=True, cache=True, error_model="numpy")
def backward(size, lists, splats, like, normalise, out, kth, norm, slope, gradient):
    """Gradient per entry from slope = dL/dout (flat planes) and what render kept. gradient (entries, 6 + planes)."""
    width, height, columns, rows = size
    start = lists[0]
    planes = splats[3].shape[1]
    pitch = columns * TILE
    plane_size = pitch * rows * TILE
    tiles = columns * rows
    for task in prange(TASKS):
        low, high = task * tiles // TASKS, (task + 1) * tiles // TASKS
        most = _most(start, low, high)
        room, found = _room(most, planes), _found(most)
        sums = np.zeros(most * (3 + planes) * TILE, np.float32)
        lane_g = np.empty(planes * TILE, np.float32)
        for tile in range(low, high):
            count = _gather(tile, columns, width, height, lists, splats, room)
            corner = (tile // columns) * TILE * pitch + (tile % columns) * TILE
            for row in range(TILE):
                at = corner + row * pitch
                limit, scale = load(kth, at), load(norm, at)
                reached = _select_below(row, count, room, found, limit)
                active, _ = _weigh(reached, limit, found)
                pull = full(np.float32(0))
                for p in range(planes):
                    g = load(slope, p * plane_size + at)
                    store(lane_g, p * TILE, g)
                    if normalise:
                        pull = fma(g, load(out, p * plane_size + at), pull)
                _pull(row, planes, active, scale, pull, lane_g, found, room, sums)
            _finish(start[tile], count, planes, room, sums, gradient)


@njit(parallel=True, cache=True, error_model="numpy")
def fused(size, lists, splats, like, normalise, target, texels, l1, l2, sampled, gradient, losses):
    """Forward, pointwise loss and gradient in one pass, without storing the picture.

    texels (flat) weighs each texel, 0 in the padding; l1 and l2 are loss weights divided by the number of values.
    sampled is (first, stride): of every tile the rows first, first + stride, ... are looked at.
    losses (TASKS, 2) receives the weighted sums of |r| and r^2.
    """
    width, height, columns, rows = size
    start = lists[0]
    planes = splats[3].shape[1]
    pitch = columns * TILE
    plane_size = pitch * rows * TILE
    tiles = columns * rows
    for task in prange(TASKS):
        low, high = task * tiles // TASKS, (task + 1) * tiles // TASKS
        most = _most(start, low, high)
        room, found = _room(most, planes), _found(most)
        sums = np.zeros(most * (3 + planes) * TILE, np.float32)
        lane_g = np.empty(planes * TILE, np.float32)
        zero = full(np.float32(0))
        for tile in range(low, high):
            count = _gather(tile, columns, width, height, lists, splats, room)
            corner = (tile // columns) * TILE * pitch + (tile % columns) * TILE
            tile_l1, tile_l2 = zero, zero
            for row in range(sampled[0], TILE, sampled[1]):
                reached, limit = _select(row, count, room, found, like, normalise)
                active, weight_sum = _weigh(reached, limit, found)
                scale = _scale(weight_sum, normalise)
                at = corner + row * pitch
                texel = load(texels, at)
                pull = zero
                for p in range(planes):
                    value = _mix(p, planes, active, scale, found, room[5])
                    r = value - load(target, p * plane_size + at)
                    size_r = maximum(r, zero - r)
                    tile_l1 = fma(size_r, texel, tile_l1)
                    tile_l2 = fma(r * r, texel, tile_l2)
                    # sign(r) as r / |r|, 0 at 0
                    sign = minimum(maximum(r * full(np.float32(1e30)), full(np.float32(-1))), full(np.float32(1)))
                    g = texel * fma(full(np.float32(2 * l2)), r, full(np.float32(l1)) * sign)
                    store(lane_g, p * TILE, g)
                    if normalise:
                        pull = fma(g, value, pull)
                _pull(row, planes, active, scale, pull, lane_g, found, room, sums)
            losses[task, 0] += total(tile_l1)
            losses[task, 1] += total(tile_l2)
            _finish(start[tile], count, planes, room, sums, gradient)


@njit(parallel=True, cache=True, error_model="numpy")
def removal(size, lists, splats, like, normalise, target, texels, gain):
    """Per entry in gain (entries,): how much the weighted squared error would grow in its tile without it.

    Without Gaussian i a normalised blend is out + t (out - f_i), t = w / (1 - w) with w its share, and a plain sum out - w f_i.
    Who would take its place among the K is not considered.
    """
    width, height, columns, rows = size
    start = lists[0]
    planes = splats[3].shape[1]
    pitch = columns * TILE
    plane_size = pitch * rows * TILE
    tiles = columns * rows
    for task in prange(TASKS):
        low, high = task * tiles // TASKS, (task + 1) * tiles // TASKS
        most = _most(start, low, high)
        room, found = _room(most, planes), _found(most)
        members, lane_q, kept, lane_w = found
        features = room[5]
        sums = np.zeros(most * TILE, np.float32)
        lane_out = np.empty(planes * TILE, np.float32)
        lane_r = np.empty(planes * TILE, np.float32)
        zero, one = full(np.float32(0)), full(np.float32(1))
        for tile in range(low, high):
            count = _gather(tile, columns, width, height, lists, splats, room)
            corner = (tile // columns) * TILE * pitch + (tile % columns) * TILE
            for row in range(TILE):
                reached, limit = _select(row, count, room, found, like, normalise)
                active, weight_sum = _weigh(reached, limit, found)
                scale = _scale(weight_sum, normalise)
                at = corner + row * pitch
                texel = load(texels, at)
                for p in range(planes):
                    value = _mix(p, planes, active, scale, found, features)
                    store(lane_out, p * TILE, value)
                    store(lane_r, p * TILE, value - load(target, p * plane_size + at))
                for k in range(active):
                    j = kept[k]
                    t, kept_out = load(lane_w, k * TILE), zero
                    if normalise:
                        w = minimum(t * scale, full(np.float32(0.99)))
                        t, kept_out = w / (one - w), one
                    grown = zero
                    for p in range(planes):
                        step = t * (kept_out * load(lane_out, p * TILE) - full(features[j * planes + p]))
                        grown = fma(step, step + load(lane_r, p * TILE) + load(lane_r, p * TILE), grown)
                    store(sums, j * TILE, fma(grown, texel, load(sums, j * TILE)))
            for j in range(count):
                gain[start[tile] + j] = total(load(sums, j * TILE))
                store(sums, j * TILE, zero)


@njit(parallel=True, cache=True, error_model="numpy")
def collect(by_gaussian, slot, gradient, conic, g_center, g_conic, g_bias, g_feature):
    """Sum the entries of each Gaussian, in order, into gradients of its numbers."""
    planes = g_feature.shape[1]
    for i in prange(len(conic)):
        moments = np.zeros(6, np.float32)
        for p in range(planes):
            g_feature[i, p] = 0
        for k in range(by_gaussian[i], by_gaussian[i + 1]):
            entry = gradient[slot[k]]
            for m in range(6):
                moments[m] += entry[m]
            for p in range(planes):
                g_feature[i, p] += entry[6 + p]
        a, b, c = conic[i, 0], conic[i, 1], conic[i, 2]
        g_bias[i] = moments[0]
        g_center[i, 0] = -(2 * a * moments[1] + b * moments[2])
        g_center[i, 1] = -(b * moments[1] + 2 * c * moments[2])
        for m in range(3):
            g_conic[i, m] = moments[3 + m]
