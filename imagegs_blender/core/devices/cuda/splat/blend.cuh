// One block of 16 x 16 texels per thread block: select, blend, loss, gradient.
//
// First a thread is a texel: it finds the K smallest q of the block's list and blends. Then a warp is an entry: its lanes walk the
// texels, sum the entry's share of the gradient in registers and write it once. So nothing is added in memory, there are no
// atomics, and every run gives the same bits.
#pragma once

#include "common.cuh"

constexpr int TEXELS = BLOCK * BLOCK;
constexpr int KEPT = TOPK > 0 ? TOPK : 1;
constexpr int CHUNK = 128;  // entries of a list held in shared memory at a time

#ifdef HALF_TARGET
typedef unsigned short Target;
__device__ inline float value_of(Target t) { return half_to_float(t); }
#else
typedef float Target;
__device__ inline float value_of(Target t) { return t; }
#endif

// The splats of a band of blocks. features of splat i begin at features[i * stride].
struct Scene {
    const Splat* splats;
    const float* features;
    int stride;
    Field field;
    const int* start;
    const Entry* entries;
    int capacity;
};
static_assert(sizeof(Scene) == SCENE_BYTES, "Scene of layout.py");

// What a texel leaves for the gradient: its limit, 1 / normalizer, sum_c g_c out_c, and g_c = dL/dout_c.
struct Shared {
    Splat staged[CHUNK];
    float limit[TEXELS], scale[TEXELS], pull[TEXELS];
    float slope[PLANES][TEXELS];
};

struct Block {
    int first, count, x, y;
};

__device__ inline bool overflowed(const Scene& scene) {
    return scene.start[scene.field.columns * scene.field.rows] > scene.capacity;
}

__device__ inline Block block_of(const Scene& scene, int index) {
    const int first = scene.start[index];
    return {first, scene.start[index + 1] - first, index % scene.field.columns * BLOCK,
            (scene.field.first_row + index / scene.field.columns) * BLOCK};
}

// Texel of a thread: a warp has a patch of 8 x 4, so that its lanes keep nearly the same splats.
__device__ inline int column_of(int thread) { return thread / WARP % 2 * 8 + thread % 8; }
__device__ inline int row_in_block(int thread) { return thread / (2 * WARP) * 4 + thread % WARP / 8; }

// The rows of a block that are looked at: first, first + stride, ... A thread block has a thread for each of their texels.
struct Rows {
    int first, stride;
    __device__ int of(int thread) const { return first + stride * row_in_block(thread); }
};

__device__ inline void stage(const Scene& scene, const Block& block, int base, Splat* staged) {
    __syncthreads();
    for (int k = threadIdx.x; k < min(CHUNK, block.count - base); k += blockDim.x)
        staged[k] = near(scene.entries[block.first + base + k], scene.splats, scene.field);
    __syncthreads();
}

// The K-th smallest q of a texel, at most CUTOFF; CUTOFF for K = 0. Leaves the list staged where it fits.
__device__ inline float select_limit(const Scene& scene, const Block& block, float x, float y, Splat* staged) {
    float smallest[KEPT];
#pragma unroll
    for (int k = 0; k < KEPT; k++) smallest[k] = CUTOFF;
    for (int base = 0; base < max(block.count, 1); base += CHUNK) {
        stage(scene, block, base, staged);
#pragma unroll 2
        for (int j = 0; j < min(CHUNK, block.count - base); j++) {
            float q = log_weight(staged[j], x, y);
            if (TOPK > 0 && q < smallest[KEPT - 1]) {
#pragma unroll
                for (int k = 0; k < KEPT; k++) {
                    const float low = fminf(smallest[k], q);
                    q = fmaxf(smallest[k], q);
                    smallest[k] = low;
                }
            }
        }
    }
    return smallest[KEPT - 1];
}

// value = sum w f / (sum w + EPS) over q <= limit (the plain sum for K = 0). Returns 1 / normalizer.
__device__ inline float blend(const Scene& scene, const Block& block, float x, float y, float limit, Splat* staged,
                              float (&value)[PLANES]) {
    float sum = 0;
#pragma unroll
    for (int p = 0; p < PLANES; p++) value[p] = 0;
    for (int base = 0; base < block.count; base += CHUNK) {
        if (block.count > CHUNK) stage(scene, block, base, staged);
#pragma unroll 2
        for (int j = 0; j < min(CHUNK, block.count - base); j++) {
            const float q = log_weight(staged[j], x, y);
            if (q <= limit) {
                const float w = expf(-q);
                const float* feature = scene.features + (long long)staged[j].index * scene.stride;
                sum += w;
#pragma unroll
                for (int p = 0; p < PLANES; p++) value[p] = fmaf(w, feature[p], value[p]);
            }
        }
    }
    const float scale = TOPK > 0 ? 1 / (sum + EPS) : 1;
#pragma unroll
    for (int p = 0; p < PLANES; p++) value[p] *= scale;
    return scale;
}

// The sums of `count` numbers over the warp, to row.
template <int N>
__device__ inline void write_sums(float* v, float* row, int count) {
    if constexpr (N > 0) {
        const float total = spread_sum<N>(v);
        const int group = WARP / N, k = threadIdx.x % WARP / group;
        if (threadIdx.x % group == 0 && k < count) row[k] = total;
    }
}

// The gradient of every entry of the block from what the texels left: (gq, gq dx, gq dy, gq dx^2, gq dx dy, gq dy^2, features...),
// gq = dL/dq, to row row_of(entry) of gradient.
__device__ inline void entry_gradients(const Scene& scene, const Block& block, const Rows& rows, const Shared& room, float* gradient) {
    constexpr int FIRST = SUMS > WARP ? WARP : power_of_two(SUMS), REST = SUMS > WARP ? power_of_two(SUMS - WARP) : 0;
    const int lane = threadIdx.x % WARP;
    for (int e = threadIdx.x / WARP; e < block.count; e += blockDim.x / WARP) {
        const Entry entry = scene.entries[block.first + e];
        const Splat s = near(entry, scene.splats, scene.field);
        const float* features = scene.features + (long long)s.index * scene.stride;
        float feature[PLANES], sum[FIRST + REST];
#pragma unroll
        for (int p = 0; p < PLANES; p++) feature[p] = features[p];
#pragma unroll
        for (int k = 0; k < FIRST + REST; k++) sum[k] = 0;
#pragma unroll 1
        for (int t = lane; t < blockDim.x; t += WARP) {
            const float x = block.x + column_of(t) + 0.5f, y = block.y + rows.of(t) + 0.5f;
            const float q = log_weight(s, x, y);
            if (q <= room.limit[t]) {
                const float w = expf(-q) * room.scale[t];
                float toward = -room.pull[t];
#pragma unroll
                for (int p = 0; p < PLANES; p++) {
                    const float g = room.slope[p][t];
                    toward = fmaf(g, feature[p], toward);
                    sum[6 + p] = fmaf(w, g, sum[6 + p]);
                }
                const float gq = -w * toward, dx = x - s.x, dy = y - s.y;
                sum[0] += gq;
                sum[1] = fmaf(gq, dx, sum[1]);
                sum[2] = fmaf(gq, dy, sum[2]);
                sum[3] = fmaf(gq * dx, dx, sum[3]);
                sum[4] = fmaf(gq * dx, dy, sum[4]);
                sum[5] = fmaf(gq * dy, dy, sum[5]);
            }
        }
        float* row = gradient + (long long)row_of(entry) * SUMS;
        write_sums<FIRST>(sum, row, SUMS);
        write_sums<REST>(sum + FIRST, row + FIRST, SUMS - FIRST);
    }
}

// Forward, pointwise loss and gradient in one pass, without storing the picture. Planes and texels are padded to whole blocks,
// texels (the weight of each) is 0 in the padding; l1 and l2 are loss ratios divided by the number of values.
// loss (blocks of all bands, 2): weighted sums of |r| and r^2.
// first_row, a number on the device: of every block the rows first_row, first_row + stride, ... are looked at, a thread per texel.
KERNEL(TEXELS) fused(Scene scene, const Target* target, const float* texels, long long plane, float l1, float l2,
                     const float* first_row, int stride, float* gradient, float* loss) {
    __shared__ Shared room;
    __shared__ float sums[TEXELS / WARP];
    if (overflowed(scene)) return;
    const Rows rows = {(int)first_row[0], stride};
    const Block block = block_of(scene, blockIdx.x);
    const int t = threadIdx.x, column = block.x + column_of(t), row = block.y + rows.of(t);
    const float x = column + 0.5f, y = row + 0.5f;
    const long long at = (long long)row * (scene.field.columns * BLOCK) + column;
    float value[PLANES];
    const float limit = select_limit(scene, block, x, y, room.staged);
    const float scale = blend(scene, block, x, y, limit, room.staged, value);
    const float texel = texels[at];
    float pull = 0, loss1 = 0, loss2 = 0;
#pragma unroll
    for (int p = 0; p < PLANES; p++) {
        const float r = value[p] - value_of(target[p * plane + at]);
        loss1 += fabsf(r);
        loss2 = fmaf(r, r, loss2);
        const float g = texel * fmaf(2 * l2, r, r > 0 ? l1 : r < 0 ? -l1 : 0);
        room.slope[p][t] = g;
        pull = fmaf(g, value[p], pull);
    }
    room.limit[t] = texel > 0 ? limit : -FAR;
    room.scale[t] = scale;
    room.pull[t] = TOPK > 0 ? pull : 0;
    const int index = scene.field.first_row * scene.field.columns + blockIdx.x;
    const float total1 = thread_block_sum(loss1 * texel, sums), total2 = thread_block_sum(loss2 * texel, sums);
    if (t == 0) loss[2 * index] = total1, loss[2 * index + 1] = total2;
    entry_gradients(scene, block, rows, room, gradient);
}

// The picture: out (planes of `plane` texels). kept (2 planes), where not null: each texel's limit and 1 / normalizer.
KERNEL(TEXELS) forward(Scene scene, float* out, long long plane, float* kept) {
    __shared__ Splat staged[CHUNK];
    if (overflowed(scene)) return;
    const Block block = block_of(scene, blockIdx.x);
    const int column = block.x + column_of(threadIdx.x), row = block.y + row_in_block(threadIdx.x);
    const float x = column + 0.5f, y = row + 0.5f;
    const long long at = (long long)row * (scene.field.columns * BLOCK) + column;
    float value[PLANES];
    const float limit = select_limit(scene, block, x, y, staged);
    const float scale = blend(scene, block, x, y, limit, staged, value);
#pragma unroll
    for (int p = 0; p < PLANES; p++) out[p * plane + at] = value[p];
    if (kept) kept[at] = limit, kept[plane + at] = scale;
}

// The gradient of every entry from slope = dL/dout and what forward kept.
KERNEL(TEXELS) backward(Scene scene, const float* out, const float* kept, const float* slope, long long plane, float* gradient) {
    __shared__ Shared room;
    if (overflowed(scene)) return;
    const Block block = block_of(scene, blockIdx.x);
    const int t = threadIdx.x;
    const long long at =
        (long long)(block.y + row_in_block(t)) * (scene.field.columns * BLOCK) + block.x + column_of(t);
    float pull = 0;
#pragma unroll
    for (int p = 0; p < PLANES; p++) {
        const float g = slope[p * plane + at];
        room.slope[p][t] = g;
        pull = fmaf(g, out[p * plane + at], pull);
    }
    room.limit[t] = kept[at];
    room.scale[t] = kept[plane + at];
    room.pull[t] = TOPK > 0 ? pull : 0;
    __syncthreads();
    entry_gradients(scene, block, {0, 1}, room, gradient);
}

// What the picture lacks: error (height, width), the mean over the planes of the squared difference.
KERNEL(TEXELS) square_error(Scene scene, const Target* target, long long plane, float* error) {
    __shared__ Splat staged[CHUNK];
    if (overflowed(scene)) return;
    const Block block = block_of(scene, blockIdx.x);
    const int column = block.x + column_of(threadIdx.x), row = block.y + row_in_block(threadIdx.x);
    const float x = column + 0.5f, y = row + 0.5f;
    const long long at = (long long)row * (scene.field.columns * BLOCK) + column;
    float value[PLANES], sum = 0;
    const float limit = select_limit(scene, block, x, y, staged);
    blend(scene, block, x, y, limit, staged, value);
#pragma unroll
    for (int p = 0; p < PLANES; p++) {
        const float r = value[p] - value_of(target[p * plane + at]);
        sum = fmaf(r, r, sum);
    }
    if (column < scene.field.width && row < scene.field.height)
        error[(long long)row * scene.field.width + column] = sum / PLANES;
}

// gain[row_of(entry)]: how much the weighted squared error would grow in the block without the entry's splat. A normalized blend is
// then out + t (out - f), t = w / (1 - w) with w its share, and a plain sum out - w f. Who would take its place is not considered.
KERNEL(TEXELS) removal(Scene scene, const Target* target, const float* texels, long long plane, float* gain) {
    __shared__ Shared room;  // slope holds the picture, pull the texels' weights
    if (overflowed(scene)) return;
    const Block block = block_of(scene, blockIdx.x);
    const int own = threadIdx.x, pitch = scene.field.columns * BLOCK;
    const int column = block.x + column_of(own), row = block.y + row_in_block(own);
    float value[PLANES];
    const float limit = select_limit(scene, block, column + 0.5f, row + 0.5f, room.staged);
    room.scale[own] = blend(scene, block, column + 0.5f, row + 0.5f, limit, room.staged, value);
    room.pull[own] = texels[(long long)row * pitch + column];
    room.limit[own] = room.pull[own] > 0 ? limit : -FAR;
#pragma unroll
    for (int p = 0; p < PLANES; p++) room.slope[p][own] = value[p];
    __syncthreads();
    for (int e = threadIdx.x / WARP; e < block.count; e += TEXELS / WARP) {
        const Entry entry = scene.entries[block.first + e];
        const Splat s = near(entry, scene.splats, scene.field);
        const float* feature = scene.features + (long long)s.index * scene.stride;
        float sum = 0;
        for (int t = threadIdx.x % WARP; t < TEXELS; t += WARP) {
            const int x = block.x + column_of(t), y = block.y + row_in_block(t);
            const float q = log_weight(s, x + 0.5f, y + 0.5f);
            if (q > room.limit[t]) continue;
            const float w = expf(-q), share = fminf(w * room.scale[t], MOST_SHARE), step = TOPK > 0 ? share / (1 - share) : w;
            float grown = 0;
            for (int p = 0; p < PLANES; p++) {
                const float out = room.slope[p][t], moved = step * ((TOPK > 0 ? out : 0) - feature[p]);
                grown = fmaf(moved, moved + 2 * (out - value_of(target[p * plane + (long long)y * pitch + x])), grown);
            }
            sum = fmaf(grown, room.pull[t], sum);
        }
        sum = spread_sum<1>(&sum);
        if (threadIdx.x % WARP == 0) gain[row_of(entry)] = sum;
    }
}
