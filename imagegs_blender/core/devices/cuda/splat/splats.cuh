// From the free numbers of optimizer.py to splats, and back: the gradient of entries, of splats, of the free numbers.
//
// The free numbers are rows of SUMS floats: mean (2, texels), scale (2, log scale or 1 / scale), rotation, bias, feature (C).
#pragma once

#include "common.cuh"

// How the free numbers are read and kept in range.
struct Rules {
    int inverse_scale, wrap;
    float width, height, lowest_scale, highest_scale, max_bias;
};

static_assert(sizeof(Rules) == RULES_BYTES, "Rules of layout.py");

// 1 / (2 s^2)
__device__ inline float steepness(float scale, int inverse) {
    const float s = inverse ? 1 / scale : expf(scale);
    return 0.5f / (s * s);
}

// The splats of the free numbers; a, b and c are conic() of gaussians.py.
KERNEL(ROW_THREADS) project(const float* value, int n, Rules rules, Splat* splats) {
    const int i = blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= n) return;
    const float* row = value + (long long)i * SUMS;
    const float u = steepness(row[2], rules.inverse_scale), v = steepness(row[3], rules.inverse_scale);
    const float cos = cosf(row[4]), sin = sinf(row[4]);
    Splat s;
    s.x = row[0], s.y = row[1];
    s.a = u * cos * cos + v * sin * sin;
    s.b = 2 * (u - v) * cos * sin;
    s.c = u * sin * sin + v * cos * cos;
    s.bias = row[5], s.index = i, s.reserved = 0;
    splats[i] = s;
}

// A warp per splat sums its rows of the entries' gradient, in order, to sums (n, SUMS), or adds them where `more` (a later band).
// With `last`, the sums become the gradient of (bias, center, conic, feature). needed[0] grows to the entries of the band.
KERNEL(ROW_THREADS) collect(const Splat* splats, int n, const int* by_splat, int capacity, const float* gradient, int more, int last,
                            float* sums, int* needed) {
    const int i = blockIdx.x * (ROW_THREADS / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (blockIdx.x == 0 && threadIdx.x == 0) needed[0] = max(needed[0], by_splat[n]);
    if (i >= n || by_splat[n] > capacity) return;
    for (int base = 0; base < SUMS; base += WARP) {
        const int k = base + lane;
        float sum = more && k < SUMS ? sums[(long long)i * SUMS + k] : 0;
        if (k < SUMS)
#pragma unroll 4
            for (int row = by_splat[i]; row < by_splat[i + 1]; row++) sum += gradient[(long long)row * SUMS + k];
        if (last && base == 0) {
            const float along_x = __shfl_sync(ALL, sum, 1), along_y = __shfl_sync(ALL, sum, 2);
            const Splat s = splats[i];
            if (lane == 1) sum = -(2 * s.a * along_x + s.b * along_y);
            if (lane == 2) sum = -(s.b * along_x + 2 * s.c * along_y);
        }
        if (k < SUMS) sums[(long long)i * SUMS + k] = sum;
    }
}

// sums from the gradient of splats to the gradient of the free numbers, in place; and one more step for the groups that move.
KERNEL(ROW_THREADS) chain(const float* value, int n, Rules rules, const float* rates, int capacity, const int* needed, float* sums,
                          int* steps) {
    const int i = blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= n || needed[0] > capacity) return;
    const float* row = value + (long long)i * SUMS;
    float* g = sums + (long long)i * SUMS;
    const float bias = g[0], gx = g[1], gy = g[2], ga = g[3], gb = g[4], gc = g[5];
    const float u = steepness(row[2], rules.inverse_scale), v = steepness(row[3], rules.inverse_scale);
    const float cos = cosf(row[4]), sin = sinf(row[4]);
    const float by_u = ga * cos * cos + 2 * gb * cos * sin + gc * sin * sin;
    const float by_v = ga * sin * sin - 2 * gb * cos * sin + gc * cos * cos;
    g[0] = gx, g[1] = gy;
    // u = 1 / (2 s^2): du / d(1/s) = 1/s, du / d(log s) = -2 u
    g[2] = rules.inverse_scale ? by_u * row[2] : -2 * u * by_u;
    g[3] = rules.inverse_scale ? by_v * row[3] : -2 * v * by_v;
    g[4] = 2 * (u - v) * ((gc - ga) * cos * sin + gb * (cos * cos - sin * sin));
    g[5] = bias;
    for (int k = 0; k < GROUPS; k++) steps[i * GROUPS + k] += rates[k] > 0;
}

// total (n) of the numbers of each splat's entries, in order; added to where `more`.
KERNEL(ROW_THREADS) sum_entries(const int* by_splat, int n, int capacity, const float* gain, int more, double* total) {
    const int i = blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= n || by_splat[n] > capacity) return;
    double sum = more ? total[i] : 0;
    for (int row = by_splat[i]; row < by_splat[i + 1]; row++) sum += gain[row];
    total[i] = sum;
}
