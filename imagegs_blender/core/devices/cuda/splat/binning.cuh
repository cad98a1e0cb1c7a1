// Block lists: count, scan, scatter, rank. The same lists as cpu/blocks.py: by block, then by splat, then by copy.
#pragma once

#include "common.cuh"

constexpr int MOST = 0x7fffffff;

// Half width and half height of the ellipse q = CUTOFF, texels; false where it is empty.
__device__ inline bool extent(const Splat& s, float& x, float& y) {
    const float room = CUTOFF - s.bias, determinant = s.a * s.c - 0.25f * s.b * s.b;
    if (!(room > 0 && determinant > 0)) return false;
    x = sqrtf(room * s.c / determinant);
    y = sqrtf(room * s.a / determinant);
    return true;
}

// Leftmost and rightmost dx of the ellipse between dy = y0 and dy = y1; false where it is not there.
__device__ inline bool span(const Splat& s, float y0, float y1, float ex, float ey, float& left, float& right) {
    const float low = fmaxf(y0, -ey), high = fminf(y1, ey);
    if (low > high) return false;
    const float peak = -s.b * ex / (2 * s.c), slope = -s.b / (2 * s.a), room = CUTOFF - s.bias;
    const float right_y = fminf(fmaxf(peak, low), high), left_y = fminf(fmaxf(-peak, low), high);
    const float right_spread = (room - s.c * right_y * right_y) / s.a + slope * slope * right_y * right_y;
    const float left_spread = (room - s.c * left_y * left_y) / s.a + slope * slope * left_y * left_y;
    right = slope * right_y + sqrtf(fmaxf(right_spread, 0));
    left = slope * left_y - sqrtf(fmaxf(left_spread, 0));
    return left <= right;
}

// Walk the blocks of the band that a splat reaches, a block row per lane: at(block, copy, ordinal). Returns how many there are.
template <class Visitor>
__device__ int visit(const Splat& s, const Field& field, Visitor at) {
    float ex, ey;
    if (!extent(s, ex, ey)) return 0;
    const int lane = threadIdx.x % WARP, reach = field.wrap ? 1 : 0;
    int found = 0;
    for (int v = -reach; v <= reach; v++) {
        const float cy = s.y + (float)(v * field.height);
        if (cy + ey < 0.5f || cy - ey > field.height - 0.5f) continue;
        const int top = max(field.first_row, (int)floorf((cy - ey - 0.5f) / BLOCK));
        const int bottom = min(field.first_row + field.rows - 1, (int)floorf((cy + ey) / BLOCK));
        for (int u = -reach; u <= reach; u++) {
            const float cx = s.x + (float)(u * field.width);
            if (cx + ex < 0.5f || cx - ex > field.width - 0.5f) continue;
            for (int base = top; base <= bottom; base += WARP) {
                const int row = base + lane;
                int first = 0, last = -1;
                float left, right;
                const float y0 = (float)(row * BLOCK) + 0.5f - cy;
                if (row <= bottom && span(s, y0, y0 + (float)(BLOCK - 1), ex, ey, left, right) && cx + right >= 0.5f &&
                    cx + left <= field.width - 0.5f) {
                    // the first block whose last center is at or right of the left edge; float noise is given 1/100 texel
                    first = max(0, (int)ceilf((cx + left - (BLOCK - 0.5f) - 0.01f) / BLOCK));
                    last = min(field.columns - 1, (int)floorf((cx + right - 0.5f + 0.01f) / BLOCK));
                }
                const int count = max(0, last - first + 1);
                int upto = count;
                for (int step = 1; step < WARP; step *= 2) {
                    const int before = __shfl_up_sync(ALL, upto, step);
                    if (lane >= step) upto += before;
                }
#pragma unroll 1
                for (int k = 0; k < count; k++)
                    at((row - field.first_row) * field.columns + first + k, 3 * (v + 1) + u + 1, found + upto - count + k);
                found += __shfl_sync(ALL, upto, WARP - 1);
            }
        }
    }
    return found;
}

// per_block (blocks) must be 0 before; per_splat (n).
KERNEL(BIN_THREADS) count_blocks(const Splat* splats, int n, Field field, int* per_block, int* per_splat) {
    const int i = blockIdx.x * (BIN_THREADS / WARP) + threadIdx.x / WARP;
    if (i >= n) return;
    const int found = visit(splats[i], field, [&](int block, int, int) { atomicAdd(&per_block[block], 1); });
    if (threadIdx.x % WARP == 0) per_splat[i] = found;
}

// Sum of each SCAN_CHUNK numbers, at most MOST.
KERNEL(SCAN_THREADS) chunk_sums(const int* values, int n, int* sums) {
    __shared__ long long room[SCAN_THREADS];
    long long sum = 0;
    for (int k = 0; k < SCAN_CHUNK / SCAN_THREADS; k++) {
        const int at = blockIdx.x * SCAN_CHUNK + k * SCAN_THREADS + threadIdx.x;
        if (at < n) sum += values[at];
    }
    room[threadIdx.x] = sum;
    for (int half = SCAN_THREADS / 2; half >= 1; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = (int)min(room[0], (long long)MOST);
}

// out (n + 1): sums of the numbers before each, and of all, at most MOST.
KERNEL(SCAN_THREADS) scan(const int* values, int n, const int* sums, int* out) {
    __shared__ long long room[SCAN_THREADS];
    long long before = 0;
    for (int k = threadIdx.x; k < blockIdx.x; k += SCAN_THREADS) before += sums[k];
    room[threadIdx.x] = before;
    for (int half = SCAN_THREADS / 2; half >= 1; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
    }
    __syncthreads();
    before = room[0];
    __syncthreads();
    const int first = blockIdx.x * SCAN_CHUNK + 4 * threadIdx.x;
    long long own = 0;
    for (int k = first; k < min(first + 4, n); k++) own += values[k];
    room[threadIdx.x] = own;
    for (int step = 1; step < SCAN_THREADS; step *= 2) {
        __syncthreads();
        const long long other = threadIdx.x >= step ? room[threadIdx.x - step] : 0;
        __syncthreads();
        room[threadIdx.x] += other;
    }
    before += room[threadIdx.x] - own;
    for (int k = first; k < min(first + 4, n); k++) {
        out[k] = (int)min(before, (long long)MOST);
        before += values[k];
        if (k == n - 1) out[n] = (int)min(before, (long long)MOST);
    }
}

// Put every entry into its block's list, in any order. filled (blocks) must be 0 before.
KERNEL(BIN_THREADS) scatter(const Splat* splats, int n, Field field, const int* start, const int* by_splat, int capacity,
                            int* filled, Entry* entries) {
    const int i = blockIdx.x * (BIN_THREADS / WARP) + threadIdx.x / WARP;
    if (i >= n || by_splat[n] > capacity) return;
    visit(splats[i], field, [&](int block, int copy, int ordinal) {
        const int at = start[block] + atomicAdd(&filled[block], 1);
        entries[at] = (Entry)(9 * i + copy) << 32 | (Entry)(by_splat[i] + ordinal);
    });
}

// A thread block per block sorts its list: an entry's place is the number of smaller ones.
KERNEL(RANK_THREADS) rank_entries(const int* start, int blocks, int capacity, const Entry* entries, Entry* sorted) {
    __shared__ Entry some[RANK_THREADS];
    const int first = start[blockIdx.x], count = start[blockIdx.x + 1] - first;
    if (start[blocks] > capacity) return;
    for (int from = 0; from < count; from += RANK_THREADS) {
        const int mine = from + threadIdx.x;
        const Entry entry = mine < count ? entries[first + mine] : 0;
        int rank = 0;
        for (int base = 0; base < count; base += RANK_THREADS) {
            __syncthreads();
            if (base + threadIdx.x < count) some[threadIdx.x] = entries[first + base + threadIdx.x];
            __syncthreads();
#pragma unroll 4
            for (int k = 0; k < min(RANK_THREADS, count - base); k++) rank += some[k] < entry;
        }
        if (mine < count) sorted[first + rank] = entry;
    }
}
