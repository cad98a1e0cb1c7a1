// L1, L2 and SSIM with their gradient, streamed as in ssim.py: a thread block takes a panel of columns of one plane and walks down a strip
// of rows. A thread is a column: rows are blurred along x through shared memory, along y by sums that each new row adds to.
#pragma once

#include "blend.cuh"

constexpr int RADIUS = SSIM_RADIUS, SPAN = 2 * SSIM_RADIUS + 1;

// Blurs along y a column that comes in from above: add(v) of row y returns the blur of row y - RADIUS.
struct Falling {
    float part[SPAN - 1];

    __device__ void clear() {
#pragma unroll
        for (int k = 0; k < SPAN - 1; k++) part[k] = 0;
    }

    __device__ float add(float value) {
        const float done = fmaf(tap(0), value, part[0]);
#pragma unroll
        for (int k = 0; k < SPAN - 2; k++) part[k] = fmaf(tap(k + 1), value, part[k + 1]);
        part[SPAN - 2] = tap(SPAN - 1) * value;
        return done;
    }
};

// slope = dL/dout, 0 in the padding. l1, l2 and ssim are loss ratios divided by the number of values.
// loss (thread blocks, 3): weighted sums of |r|, r^2 and SSIM.
KERNEL(SSIM_THREADS) ssim_loss(Field field, const float* out, const Target* target, const float* texels, long long plane, float l1,
                               float l2, float ssim, float* slope, float* loss) {
    __shared__ float row_x[SSIM_THREADS], row_y[SSIM_THREADS], parts[3][SSIM_THREADS], sums[SSIM_THREADS / WARP];
    const int t = threadIdx.x, pitch = field.columns * BLOCK;
    const int x = blockIdx.x * SSIM_PANEL - 2 * RADIUS + t;
    const int top = blockIdx.y * SSIM_STRIP, bottom = min(top + SSIM_STRIP, field.height);
    const bool inside = x >= 0 && x < field.width;
    const bool blurs = t >= RADIUS && t < SSIM_THREADS - RADIUS, own = t >= 2 * RADIUS && t < SSIM_THREADS - 2 * RADIUS && inside;
    out += blockIdx.z * plane, target += blockIdx.z * plane, slope += blockIdx.z * plane;
    Falling moment[5], part[3];
#pragma unroll
    for (int k = 0; k < 5; k++) moment[k].clear();
#pragma unroll
    for (int k = 0; k < 3; k++) part[k].clear();
    float sum1 = 0, sum2 = 0, sum3 = 0;
    for (int y = top - 2 * RADIUS; y < bottom + 2 * RADIUS; y++) {
        // 1. a row comes in
        const bool here = inside && y >= 0 && y < field.height;
        row_x[t] = here ? out[(long long)y * pitch + x] : 0;
        row_y[t] = here ? value_of(target[(long long)y * pitch + x]) : 0;
        __syncthreads();
        float mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
        if (blurs) {
#pragma unroll
            for (int k = 0; k < SPAN; k++) {
                const float a = row_x[t + k - RADIUS], b = row_y[t + k - RADIUS], wa = tap(k) * a, wb = tap(k) * b;
                mx += wa, my += wb;
                xx = fmaf(wa, a, xx), yy = fmaf(wb, b, yy), xy = fmaf(wa, b, xy);
            }
        }
        mx = moment[0].add(mx), my = moment[1].add(my);
        xx = moment[2].add(xx), yy = moment[3].add(yy), xy = moment[4].add(xy);
        // 2. statistics of row m; texels count by weight, outside the plane nothing counts
        const int m = y - RADIUS;
        const float texel = inside && m >= 0 && m < field.height ? texels[(long long)m * pitch + x] : 0;
        const float vx = xx - mx * mx, vy = yy - my * my, cov = xy - mx * my;
        const float n1 = fmaf(2 * mx, my, SSIM_C1), n2 = fmaf(2, cov, SSIM_C2);
        const float i1 = 1 / (fmaf(mx, mx, my * my) + SSIM_C1), i2 = 1 / (vx + vy + SSIM_C2);
        const float s = n1 * n2 * i1 * i2;
        const float by_v = -s * i2, by_c = 2 * n1 * i1 * i2;
        const float by_m = 2 * my * n2 * i1 * i2 - 2 * mx * s * i1 - 2 * mx * by_v - my * by_c;
        parts[0][t] = blurs ? by_m * texel : 0;
        parts[1][t] = blurs ? by_v * texel : 0;
        parts[2][t] = blurs ? by_c * texel : 0;
        if (own && m >= top && m < bottom) sum3 = fmaf(s, texel, sum3);
        __syncthreads();
        // 3. the slope of row n
        float by[3] = {0, 0, 0};
        if (own) {
#pragma unroll
            for (int k = 0; k < SPAN; k++)
#pragma unroll
                for (int j = 0; j < 3; j++) by[j] = fmaf(tap(k), parts[j][t + k - RADIUS], by[j]);
        }
#pragma unroll
        for (int j = 0; j < 3; j++) by[j] = part[j].add(by[j]);
        const int n = y - 2 * RADIUS;
        if (own && n >= top) {
            const long long at = (long long)n * pitch + x;
            const float a = out[at], b = value_of(target[at]), weight = texels[at], r = a - b;
            sum1 = fmaf(fabsf(r), weight, sum1);
            sum2 = fmaf(r * r, weight, sum2);
            const float by_ssim = fmaf(b, by[2], fmaf(2 * a, by[1], by[0]));
            slope[at] = weight * fmaf(2 * l2, r, r > 0 ? l1 : r < 0 ? -l1 : 0) - ssim * by_ssim;
        }
    }
    const int index = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const float total1 = thread_block_sum(sum1, sums), total2 = thread_block_sum(sum2, sums);
    const float total3 = thread_block_sum(sum3, sums);
    if (t == 0) loss[3 * index] = total1, loss[3 * index + 1] = total2, loss[3 * index + 2] = total3;
}
