"""The Numba kernels: one block of 16 x 16 texels at a time, one row of 16 texels at once (rows.py).

Gradients are stored per entry (a Gaussian in a block) and summed per Gaussian in order, so there are no atomics and every
run gives the same bytes.

A kernel is a function of one block, and _swept() makes the loops around it. All kernels share these arguments.

    size        (width, height, columns, rows): texels of the picture, and how many blocks it is cut into
    lists       (start, gaussian, copy) of blocks.BlockLists
    splats      (center, conic, bias, feature) of types.Splats, float32 and contiguous
    ranks       a tuple of K zeros. Numba compiles a kernel for each type of its arguments, and a tuple's length is part of
                its type: so K is known when the kernel is compiled, and the K smallest q of a texel stay in registers
    normalize   whether weights are divided by their sum; False for the plain sum, with one rank
    planes of texels   float32, flat: C planes, or one, padded to whole blocks, row by row
    target      what blocks.tiled() makes of the target's planes and the texels' weights

Trusts: all of these come from device.py, which makes them to fit each other; a lane is read and written without a check.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..reference import MOST_SHARE
from .blocks import BLOCK, ORDER, tile_row
from .rows import (
    block_entries,
    gather,
    inverse_norm,
    lanes_of,
    mix,
    most_entries,
    padded_planes,
    pull_entries,
    row_entries,
    select_below,
    select_nearest,
    weigh,
    write_entries,
)
from .simd import fma, full, load, maximum, minimum, spread, store, total
from .ssim import pointwise_slope

TASKS = 64
"""Runs of blocks handed to threads: a fixed number, so that partial sums do not depend on the number of threads."""


def _swept(of_block):
    """A function that calls of_block() for every block, and takes size, lists, splats, ranks, normalize, and

    room    rows of lanes that of_block() keeps for every entry of a block, and others beside; 0 at first
    given   what only of_block() knows, a flat tuple

    of_block() gets

    task, first     the run of blocks, and the number of the block's first entry
    count, planes   how many entries the block has, and C
    place           (the block, where its first texel is in a plane, texels of a row of a padded plane, texels of that plane)
    entries, in_row   the scratch spaces of rows.py, the first one filled
    sums, lanes     the room for entries and the room beside, flat
    ranks, normalize, given

    Numba keeps no function in its cache that another one has made, but all that a kept one calls is part of it. So the
    kernels are jitted around their sweeps.
    """

    @njit(parallel=True, error_model="numpy")
    def sweep(size, lists, splats, ranks, normalize, room, given):
        _, _, columns, rows = size
        start, planes = lists[0], splats[3].shape[1]
        pitch, blocks = columns * BLOCK, columns * rows
        plane_size = pitch * rows * BLOCK
        for task in prange(TASKS):
            low, high = task * blocks // TASKS, (task + 1) * blocks // TASKS
            most = most_entries(start, low, high)
            entries, in_row = block_entries(most, planes), row_entries(most)
            sums, lanes = lanes_of(most * room[0]), lanes_of(room[1])
            for block in range(low, high):
                count = gather(block, size, lists, splats, entries)
                corner = (block // columns) * BLOCK * pitch + (block % columns) * BLOCK
                place = (block, corner, pitch, plane_size)
                of_block(
                    task, start[block], count, planes, place, entries, in_row, sums, lanes, ranks, normalize, given
                )

    return sweep


@njit(forceinline=True, error_model="numpy")
def _render_block(task, first, count, planes, place, entries, in_row, sums, lanes, ranks, normalize, given):
    _, corner, pitch, plane_size = place
    out, kth, norm = given
    for row in range(BLOCK):
        reached, limit = select_nearest(row, count, entries, in_row, ranks, normalize)
        active, weight_sum = weigh(reached, limit, in_row)
        scale = inverse_norm(weight_sum, normalize)
        at = corner + row * pitch
        mix(planes, active, scale, entries, in_row, lanes)
        for p in range(planes):
            store(out, p * plane_size + at, load(lanes, p * BLOCK))
        if len(kth) > 0:
            store(kth, at, limit)
            store(norm, at, scale)


_render = _swept(_render_block)


@njit(cache=True, error_model="numpy")
def render(size, lists, splats, ranks, normalize, out, kth, norm):
    """Blend every block into out (C planes).

    kth, norm   a plane each: every texel's limit (select_nearest) and 1 / normalizer; both empty where not wanted
    """
    _render(size, lists, splats, ranks, normalize, (0, padded_planes(splats[3].shape[1])), (out, kth, norm))


@njit(forceinline=True, error_model="numpy")
def _backward_block(task, first, count, planes, place, entries, in_row, sums, lanes, ranks, normalize, given):
    _, corner, pitch, plane_size = place
    out, kth, norm, slope, gradient = given
    for row in range(BLOCK):
        at = corner + row * pitch
        limit, scale = load(kth, at), load(norm, at)
        reached = select_below(row, count, entries, in_row, limit)
        active, _ = weigh(reached, limit, in_row)
        pull = full(np.float32(0))
        for p in range(planes):
            g = load(slope, p * plane_size + at)
            store(lanes, p * BLOCK, g)
            if normalize:
                pull = fma(g, load(out, p * plane_size + at), pull)
        pull_entries(row, planes, active, scale, pull, lanes, entries, in_row, sums)
    write_entries(first, count, planes, entries, sums, gradient)


_backward = _swept(_backward_block)


@njit(cache=True, error_model="numpy")
def backward(size, lists, splats, ranks, normalize, out, kth, norm, slope, gradient):
    """The gradient of every entry, from the slope and what render() kept.

    out, slope   C planes: the picture, and dL/dout
    kth, norm    a plane each, by render()
    gradient     (entries, 6 + C) float32, written: rows of write_entries()
    """
    planes = padded_planes(splats[3].shape[1])
    _backward(size, lists, splats, ranks, normalize, (3 + planes, planes), (out, kth, norm, slope, gradient))


@njit(forceinline=True, error_model="numpy")
def _fused_block(task, first, count, planes, place, entries, in_row, sums, lanes, ranks, normalize, given):
    target, l1, l2, start, stride, gradient, losses = given
    zero = full(np.float32(0))
    block_l1, block_l2 = zero, zero
    for at_row in range(ORDER[start], ORDER[start] + BLOCK // stride):
        row = ORDER[at_row]
        reached, limit = select_nearest(row, count, entries, in_row, ranks, normalize)
        active, weight_sum = weigh(reached, limit, in_row)
        scale = inverse_norm(weight_sum, normalize)
        at = tile_row(place[0], at_row, planes)
        texel = load(target, at + planes * BLOCK)
        pull = zero
        mix(planes, active, scale, entries, in_row, lanes)
        for p in range(planes):
            value = load(lanes, p * BLOCK)
            r = value - load(target, at + p * BLOCK)
            block_l1 = fma(maximum(r, zero - r), texel, block_l1)
            block_l2 = fma(r * r, texel, block_l2)
            g = texel * pointwise_slope(r, np.float32(l1), np.float32(l2))
            store(lanes, p * BLOCK, g)
            if normalize:
                pull = fma(g, value, pull)
        pull_entries(row, planes, active, scale, pull, lanes, entries, in_row, sums)
    losses[task, 0] += total(block_l1)
    losses[task, 1] += total(block_l2)
    write_entries(first, count, planes, entries, sums, gradient)


_fused = _swept(_fused_block)


@njit(cache=True, error_model="numpy")
def fused(size, lists, splats, ranks, normalize, target, l1, l2, sampled, gradient, losses):
    """Forward, pointwise loss and gradient in one pass, without storing the picture.

    l1, l2     loss ratios divided by the number of values
    sampled    (first, stride): of every block the rows first, first + stride, ... are looked at
    gradient   (entries, 6 + C) float32, written: rows of write_entries()
    losses     (TASKS, 2) float64, added to: the weighted sums of |r| and r^2
    """
    planes = padded_planes(splats[3].shape[1])
    given = (target, l1, l2, sampled[0], sampled[1], gradient, losses)
    _fused(size, lists, splats, ranks, normalize, (3 + planes, planes), given)


@njit(forceinline=True, error_model="numpy")
def _removal_block(task, first, count, planes, place, entries, in_row, sums, lanes, ranks, normalize, given):
    target, growth = given
    _, _, _, _, features = entries
    _, _, kept, lane_w = in_row
    zero, one = full(np.float32(0)), full(np.float32(1))
    pitch = padded_planes(planes)
    left = pitch * BLOCK  # the picture is in the first lanes, what it lacks behind
    for row in range(BLOCK):
        reached, limit = select_nearest(row, count, entries, in_row, ranks, normalize)
        active, weight_sum = weigh(reached, limit, in_row)
        scale = inverse_norm(weight_sum, normalize)
        at = tile_row(place[0], ORDER[row], planes)
        texel = load(target, at + planes * BLOCK)
        mix(planes, active, scale, entries, in_row, lanes)
        for p in range(planes):
            store(lanes, left + p * BLOCK, load(lanes, p * BLOCK) - load(target, at + p * BLOCK))
        for k in range(active):
            j = kept[k]
            t, kept_out = load(lane_w, k * BLOCK), zero
            if normalize:
                share = minimum(t * scale, full(np.float32(MOST_SHARE)))
                t, kept_out = share / (one - share), one
            grown = zero
            for p in range(planes):
                feature = spread(features, j * pitch + p)
                moved = t * (kept_out * load(lanes, p * BLOCK) - feature)
                r = load(lanes, left + p * BLOCK)
                grown = fma(moved, moved + r + r, grown)
            store(sums, j * BLOCK, fma(grown, texel, load(sums, j * BLOCK)))
    for j in range(count):
        growth[first + j] = total(load(sums, j * BLOCK))
        store(sums, j * BLOCK, zero)


_removal = _swept(_removal_block)


@njit(cache=True, error_model="numpy")
def removal(size, lists, splats, ranks, normalize, target, growth):
    """How much the weighted squared error would grow in an entry's block without it: Reference.removal(), block by block.

    growth           (entries,) float32, written
    """
    planes = padded_planes(splats[3].shape[1])
    _removal(size, lists, splats, ranks, normalize, (1, 2 * planes), (target, growth))


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
        g = gx = gy = gxx = gxy = gyy = np.float32(0)
        for p in range(planes):
            g_feature[i, p] = 0
        for k in range(by_gaussian[i], by_gaussian[i + 1]):
            entry = gradient[slot[k]]
            g, gx, gy = g + entry[0], gx + entry[1], gy + entry[2]
            gxx, gxy, gyy = gxx + entry[3], gxy + entry[4], gyy + entry[5]
            for p in range(planes):
                g_feature[i, p] += entry[6 + p]
        a, b, c = conic[i, 0], conic[i, 1], conic[i, 2]
        g_bias[i] = g
        g_center[i, 0] = -(2 * a * gx + b * gy)
        g_center[i, 1] = -(b * gx + 2 * c * gy)
        g_conic[i, 0], g_conic[i, 1], g_conic[i, 2] = gxx, gxy, gyy
