// What all kernels share: the numbers, a splat, its log-weight, sums over a warp.
#pragma once

#include "constants.cuh"

#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)

constexpr unsigned ALL = 0xffffffffu;
constexpr int SUMS = 6 + PLANES;  // what a splat has: bias, center (2), conic (3), feature (C)

// q = a dx^2 + b dx dy + c dy^2 + bias around (x, y), texels.
struct alignas(16) Splat {
    float x, y, a, b;
    float c, bias;
    int index, reserved;
};
static_assert(sizeof(Splat) == 4 * SPLAT_FLOATS, "SPLAT_FLOATS of layout.py");

// The texels, and the band of block rows that is worked on: first_row .. first_row + rows.
struct Field {
    int width, height, columns, wrap;
    int first_row, rows;
};
static_assert(sizeof(Field) == FIELD_BYTES, "Field of layout.py");

constexpr float FAR = 3e38f;

#ifdef __CUDACC__
__device__ inline float half_to_float(unsigned short half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}
#endif

// A splat in a block: where its gradient goes, and which copy of which splat: 9 i + 3 (v + 1) + (u + 1).
typedef unsigned long long Entry;

__device__ inline int row_of(Entry entry) { return (int)(entry & 0xffffffffu); }
__device__ inline int code_of(Entry entry) { return (int)(entry >> 32); }

// The splat of an entry, moved to where its copy is.
__device__ inline Splat near(Entry entry, const Splat* splats, const Field& field) {
    const int code = code_of(entry), copy = code % 9;
    Splat s = splats[code / 9];
    s.x += (float)((copy % 3 - 1) * field.width);
    s.y += (float)((copy / 3 - 1) * field.height);
    s.index = code / 9;
    return s;
}

// q at (x, y). Every operation is spelled out, so that all kernels get the same bits and "q <= limit" means the same to them.
__device__ inline float log_weight(const Splat& s, float x, float y) {
    const float dx = x - s.x, dy = y - s.y;
    return fmaf(s.b * dx, dy, fmaf(s.a * dx, dx, fmaf(s.c * dy, dy, s.bias)));
}

__device__ constexpr int power_of_two(int n) { return n <= 1 ? 1 : 2 * power_of_two((n + 1) / 2); }

// Exchange halves of 2 HALF numbers with the lane across MASK, and add; then the same with the half that was kept.
template <int HALF, int MASK>
__device__ inline void fold(float* v) {
    if constexpr (HALF >= 1) {
        const bool upper = threadIdx.x & MASK;
#pragma unroll
        for (int k = 0; k < HALF; k++) {
            const float given = upper ? v[k] : v[k + HALF], kept = upper ? v[k + HALF] : v[k];
            v[k] = kept + __shfl_xor_sync(ALL, given, MASK);
        }
        fold<HALF / 2, MASK / 2>(v);
    } else if constexpr (MASK >= 1) {
        v[0] += __shfl_xor_sync(ALL, v[0], MASK);
        fold<0, MASK / 2>(v);
    }
}

// Sums of N numbers (a power of two, at most 32) over the warp: lane l gets number l / (32 / N). N shuffles instead of 5 N.
template <int N>
__device__ inline float spread_sum(float* v) {
    fold<N / 2, WARP / 2>(v);
    return v[0];
}

// Sum over the thread block in its first thread; `room` has one number per warp. The order of additions is fixed.
__device__ inline float thread_block_sum(float value, float* room) {
    for (int mask = WARP / 2; mask >= 1; mask /= 2) value += __shfl_xor_sync(ALL, value, mask);
    __syncthreads();
    if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = value;
    __syncthreads();
    float sum = 0;
    if (threadIdx.x == 0)
        for (int k = 0; k < blockDim.x / WARP; k++) sum += room[k];
    return sum;
}
