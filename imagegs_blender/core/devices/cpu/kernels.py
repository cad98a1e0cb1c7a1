"""The Numba kernels: one block of 16 x 16 texels at a time, one row of 16 texels at once (rows.py).

Gradients are stored per entry (a Gaussian in a block) and summed per Gaussian in order, so there are no atomics and every
run gives the same bytes.

All kernels share these arguments, and trust them: a lane is read and written without a check.

    size        (width, height, columns, rows): texels of the picture, and how many blocks it is cut into
    lists       (start, gaussian, copy) of blocks.BlockLists
    splats      (center, conic, bias, feature) of types.Splats, float32 and contiguous
    ranks       a tuple of K zeros. Numba compiles a kernel for each type of its arguments, and a tuple's length is part of
                its type: so K is known when the kernel is compiled, and the K smallest q of a texel stay in registers
    normalize   whether weights are divided by their sum; False for the plain sum, with one rank
    planes of texels   float32, flat: C planes, or one, padded to whole blocks, row by row. Texels' weights are 0 in the padding

The loops over runs of blocks, blocks and rows are alike in four kernels but not shared: an inlined helper was tried, and
Numba's analysis of arrays refused it.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..reference import MOST_SHARE
from .blocks import BLOCK
from .rows import (
    block_entries,
    gather,
    inverse_norm,
    mix_plane,
    most_entries,
    pull_entries,
    row_entries,
    select_below,
    select_nearest,
    weigh,
    write_entries,
)
from .simd import fma, full, load, maximum, minimum, store, total

TASKS = 64
"""Runs of blocks handed to threads: a fixed number, so that partial sums do not depend on the number of threads."""


@njit(inline="always")
def _corner(block, columns):
    """Where the first texel of a block is in a plane."""
    return ((block // columns) * BLOCK * columns + block % columns) * BLOCK


@njit(parallel=True, cache=True, error_model="numpy")
def render(size, lists, splats, ranks, normalize, out, kth, norm):
    """Blend every block into out (C planes).

    kth, norm   a plane each: every texel's limit (select_nearest) and 1 / normalizer; both empty where not wanted
    """
    _, _, columns, rows = size
    start, planes = lists[0], splats[3].shape[1]
    pitch, blocks = columns * BLOCK, columns * rows
    plane_size = pitch * rows * BLOCK
    for task in prange(TASKS):
        low, high = task * blocks // TASKS, (task + 1) * blocks // TASKS
        most = most_entries(start, low, high)
        entries, in_row = block_entries(most, planes), row_entries(most)
        for block in range(low, high):
            count = gather(block, size, lists, splats, entries)
            corner = (block // columns) * BLOCK * pitch + (block % columns) * BLOCK
            for row in range(BLOCK):
                reached, limit = select_nearest(row, count, entries, in_row, ranks, normalize)
                active, weight_sum = weigh(reached, limit, in_row)
                scale = inverse_norm(weight_sum, normalize)
                at = corner + row * pitch
                for p in range(planes):
                    store(out, p * plane_size + at, mix_plane(p, planes, active, scale, entries, in_row))
                if len(kth) > 0:
                    store(kth, at, limit)
                    store(norm, at, scale)


@njit(parallel=True, cache=True, error_model="numpy")
def backward(size, lists, splats, ranks, normalize, out, kth, norm, slope, gradient):
    """The gradient of every entry, from the slope and what render() kept.

    out, slope   C planes: the picture, and dL/dout
    kth, norm    a plane each, by render()
    gradient     (entries, 6 + C) float32, written: rows of write_entries()
    """
    _, _, columns, rows = size
    start, planes = lists[0], splats[3].shape[1]
    pitch, blocks = columns * BLOCK, columns * rows
    plane_size = pitch * rows * BLOCK
    for task in prange(TASKS):
        low, high = task * blocks // TASKS, (task + 1) * blocks // TASKS
        most = most_entries(start, low, high)
        entries, in_row = block_entries(most, planes), row_entries(most)
        sums = np.zeros(most * (3 + planes) * BLOCK, np.float32)
        lane_g = np.empty(planes * BLOCK, np.float32)
        for block in range(low, high):
            count = gather(block, size, lists, splats, entries)
            corner = (block // columns) * BLOCK * pitch + (block % columns) * BLOCK
            for row in range(BLOCK):
                at = corner + row * pitch
                limit, scale = load(kth, at), load(norm, at)
                reached = select_below(row, count, entries, in_row, limit)
                active, _ = weigh(reached, limit, in_row)
                pull = full(np.float32(0))
                for p in range(planes):
                    g = load(slope, p * plane_size + at)
                    store(lane_g, p * BLOCK, g)
                    if normalize:
                        pull = fma(g, load(out, p * plane_size + at), pull)
                pull_entries(row, planes, active, scale, pull, lane_g, entries, in_row, sums)
            write_entries(start[block], count, planes, entries, sums, gradient)


@njit(parallel=True, cache=True, error_model="numpy")
def fused(size, lists, splats, ranks, normalize, target, texels, l1, l2, sampled, gradient, losses):
    """Forward, pointwise loss and gradient in one pass, without storing the picture.

    target, texels   C planes, and a plane of the texels' weights
    l1, l2     loss ratios divided by the number of values
    sampled    (first, stride): of every block the rows first, first + stride, ... are looked at
    gradient   (entries, 6 + C) float32, written: rows of write_entries()
    losses     (TASKS, 2) float64, added to: the weighted sums of |r| and r^2
    """
    _, _, columns, rows = size
    start, planes = lists[0], splats[3].shape[1]
    pitch, blocks = columns * BLOCK, columns * rows
    plane_size = pitch * rows * BLOCK
    for task in prange(TASKS):
        low, high = task * blocks // TASKS, (task + 1) * blocks // TASKS
        most = most_entries(start, low, high)
        entries, in_row = block_entries(most, planes), row_entries(most)
        sums = np.zeros(most * (3 + planes) * BLOCK, np.float32)
        lane_g = np.empty(planes * BLOCK, np.float32)
        zero = full(np.float32(0))
        for block in range(low, high):
            count = gather(block, size, lists, splats, entries)
            corner = (block // columns) * BLOCK * pitch + (block % columns) * BLOCK
            block_l1, block_l2 = zero, zero
            for row in range(sampled[0], BLOCK, sampled[1]):
                reached, limit = select_nearest(row, count, entries, in_row, ranks, normalize)
                active, weight_sum = weigh(reached, limit, in_row)
                scale = inverse_norm(weight_sum, normalize)
                at = corner + row * pitch
                texel = load(texels, at)
                pull = zero
                for p in range(planes):
                    value = mix_plane(p, planes, active, scale, entries, in_row)
                    r = value - load(target, p * plane_size + at)
                    size_r = maximum(r, zero - r)
                    block_l1 = fma(size_r, texel, block_l1)
                    block_l2 = fma(r * r, texel, block_l2)
                    # sign(r) as r / |r|, 0 at 0
                    sign = minimum(maximum(r * full(np.float32(1e30)), full(np.float32(-1))), full(np.float32(1)))
                    g = texel * fma(full(np.float32(2 * l2)), r, full(np.float32(l1)) * sign)
                    store(lane_g, p * BLOCK, g)
                    if normalize:
                        pull = fma(g, value, pull)
                pull_entries(row, planes, active, scale, pull, lane_g, entries, in_row, sums)
            losses[task, 0] += total(block_l1)
            losses[task, 1] += total(block_l2)
            write_entries(start[block], count, planes, entries, sums, gradient)


@njit(parallel=True, cache=True, error_model="numpy")
def removal(size, lists, splats, ranks, normalize, target, texels, growth):
    """How much the weighted squared error would grow in an entry's block without it: Reference.removal(), block by block.

    target, texels   C planes, and a plane of the texels' weights
    growth           (entries,) float32, written
    """
    _, _, columns, rows = size
    start, planes = lists[0], splats[3].shape[1]
    pitch, blocks = columns * BLOCK, columns * rows
    plane_size = pitch * rows * BLOCK
    for task in prange(TASKS):
        low, high = task * blocks // TASKS, (task + 1) * blocks // TASKS
        most = most_entries(start, low, high)
        entries, in_row = block_entries(most, planes), row_entries(most)
        _, _, _, _, _, features = entries
        _, _, kept, lane_w = in_row
        sums = np.zeros(most * BLOCK, np.float32)
        lane_out = np.empty(planes * BLOCK, np.float32)
        lane_r = np.empty(planes * BLOCK, np.float32)
        zero, one = full(np.float32(0)), full(np.float32(1))
        for block in range(low, high):
            count = gather(block, size, lists, splats, entries)
            corner = (block // columns) * BLOCK * pitch + (block % columns) * BLOCK
            for row in range(BLOCK):
                reached, limit = select_nearest(row, count, entries, in_row, ranks, normalize)
                active, weight_sum = weigh(reached, limit, in_row)
                scale = inverse_norm(weight_sum, normalize)
                at = corner + row * pitch
                texel = load(texels, at)
                for p in range(planes):
                    value = mix_plane(p, planes, active, scale, entries, in_row)
                    store(lane_out, p * BLOCK, value)
                    store(lane_r, p * BLOCK, value - load(target, p * plane_size + at))
                for k in range(active):
                    j = kept[k]
                    t, kept_out = load(lane_w, k * BLOCK), zero
                    if normalize:
                        share = minimum(t * scale, full(np.float32(MOST_SHARE)))
                        t, kept_out = share / (one - share), one
                    grown = zero
                    for p in range(planes):
                        feature = full(features[j * planes + p])
                        moved = t * (kept_out * load(lane_out, p * BLOCK) - feature)
                        grown = fma(moved, moved + load(lane_r, p * BLOCK) + load(lane_r, p * BLOCK), grown)
                    store(sums, j * BLOCK, fma(grown, texel, load(sums, j * BLOCK)))
            for j in range(count):
                growth[start[block] + j] = total(load(sums, j * BLOCK))
                store(sums, j * BLOCK, zero)


@njit(parallel=True, cache=True, error_model="numpy")
def collect(by_gaussian, slot, gradient, conic, g_center, g_conic, g_bias, g_feature):
    """Sum the entries of each Gaussian, in order, into the gradients of its numbers.

    by_gaussian, slot   of blocks.BlockLists
    gradient     (entries, 6 + C): rows of write_entries()
    conic        (N, 3) float32
    g_center (N, 2), g_conic (N, 3), g_bias (N,), g_feature (N, C) float32, written: the gradient of types.Splats
    """
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
