"""The Numba kernels: one tile of 16 x 16 texels at a time, one row of 16 texels at once (rows.py).

Gradients are stored per entry (a Gaussian in a tile) and summed per Gaussian in order, so there are no atomics and every run
gives the same bytes. Planes are padded to whole tiles; padding has weight 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .blocks import TILE
from .rows import (
    gather,
    inverse_norm,
    mix_plane,
    most_entries,
    pull_entries,
    row_room,
    select_below,
    select_nearest,
    tile_room,
    weigh,
    write_entries,
)
from .simd import fma, full, load, maximum, minimum, store, total

TASKS = 64
"""Runs of tiles handed to threads: a fixed number, so that partial sums do not depend on the number of threads."""


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
        most = most_entries(start, low, high)
        room, found = tile_room(most, planes), row_room(most)
        for tile in range(low, high):
            count = gather(tile, columns, width, height, lists, splats, room)
            corner = (tile // columns) * TILE * pitch + (tile % columns) * TILE
            for row in range(TILE):
                reached, limit = select_nearest(row, count, room, found, like, normalise)
                active, weight_sum = weigh(reached, limit, found)
                scale = inverse_norm(weight_sum, normalise)
                at = corner + row * pitch
                for p in range(planes):
                    store(out, p * plane_size + at, mix_plane(p, planes, active, scale, found, room[5]))
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
        most = most_entries(start, low, high)
        room, found = tile_room(most, planes), row_room(most)
        sums = np.zeros(most * (3 + planes) * TILE, np.float32)
        lane_g = np.empty(planes * TILE, np.float32)
        for tile in range(low, high):
            count = gather(tile, columns, width, height, lists, splats, room)
            corner = (tile // columns) * TILE * pitch + (tile % columns) * TILE
            for row in range(TILE):
                at = corner + row * pitch
                limit, scale = load(kth, at), load(norm, at)
                reached = select_below(row, count, room, found, limit)
                active, _ = weigh(reached, limit, found)
                pull = full(np.float32(0))
                for p in range(planes):
                    g = load(slope, p * plane_size + at)
                    store(lane_g, p * TILE, g)
                    if normalise:
                        pull = fma(g, load(out, p * plane_size + at), pull)
                pull_entries(row, planes, active, scale, pull, lane_g, found, room, sums)
            write_entries(start[tile], count, planes, room, sums, gradient)


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
        most = most_entries(start, low, high)
        room, found = tile_room(most, planes), row_room(most)
        sums = np.zeros(most * (3 + planes) * TILE, np.float32)
        lane_g = np.empty(planes * TILE, np.float32)
        zero = full(np.float32(0))
        for tile in range(low, high):
            count = gather(tile, columns, width, height, lists, splats, room)
            corner = (tile // columns) * TILE * pitch + (tile % columns) * TILE
            tile_l1, tile_l2 = zero, zero
            for row in range(sampled[0], TILE, sampled[1]):
                reached, limit = select_nearest(row, count, room, found, like, normalise)
                active, weight_sum = weigh(reached, limit, found)
                scale = inverse_norm(weight_sum, normalise)
                at = corner + row * pitch
                texel = load(texels, at)
                pull = zero
                for p in range(planes):
                    value = mix_plane(p, planes, active, scale, found, room[5])
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
                pull_entries(row, planes, active, scale, pull, lane_g, found, room, sums)
            losses[task, 0] += total(tile_l1)
            losses[task, 1] += total(tile_l2)
            write_entries(start[tile], count, planes, room, sums, gradient)


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
        most = most_entries(start, low, high)
        room, found = tile_room(most, planes), row_room(most)
        members, lane_q, kept, lane_w = found
        features = room[5]
        sums = np.zeros(most * TILE, np.float32)
        lane_out = np.empty(planes * TILE, np.float32)
        lane_r = np.empty(planes * TILE, np.float32)
        zero, one = full(np.float32(0)), full(np.float32(1))
        for tile in range(low, high):
            count = gather(tile, columns, width, height, lists, splats, room)
            corner = (tile // columns) * TILE * pitch + (tile % columns) * TILE
            for row in range(TILE):
                reached, limit = select_nearest(row, count, room, found, like, normalise)
                active, weight_sum = weigh(reached, limit, found)
                scale = inverse_norm(weight_sum, normalise)
                at = corner + row * pitch
                texel = load(texels, at)
                for p in range(planes):
                    value = mix_plane(p, planes, active, scale, found, features)
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
