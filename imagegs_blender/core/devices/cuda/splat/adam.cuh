// Adam on the free numbers of the splats (splats.cuh).
#pragma once

#include "splats.cuh"

__device__ inline int group_of(int k) { return k < 2 ? 0 : k < 4 ? 1 : k < 6 ? k - 2 : 4; }

// Adam (Kingma & Ba 2015), a thread per number, with a count of steps per splat and group; then every number is kept in range.
// rates (GROUPS): 0 for groups that keep their value.
KERNEL(ROW_THREADS) adam(float* value, int n, Rules rules, const float* rates, int capacity, const int* needed, const float* gradient,
                         const int* steps, float* first, float* second) {
    const long long at = (long long)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (at >= (long long)n * SUMS || needed[0] > capacity) return;
    const int i = (int)(at / SUMS), k = (int)(at % SUMS), group = group_of(k);
    const float rate = rates[group];
    float now = value[at];
    if (rate > 0) {
        const int step = steps[i * GROUPS + group];
        const float correct1 = (float)(1 - pow(BETA1, step)), correct2 = (float)(1 - pow(BETA2, step));
        const float g = gradient[at];
        const float m = (float)BETA1 * first[at] + (float)(1 - BETA1) * g;
        const float v = (float)BETA2 * second[at] + (float)(1 - BETA2) * g * g;
        first[at] = m, second[at] = v;
        now -= rate * (m / correct1) / (sqrtf(v / correct2) + (float)TINY);
        if (k < 2) {
            const float size = k == 0 ? rules.width : rules.height;
            if (rules.wrap) now -= size * floorf(now / size);
            now = fminf(fmaxf(now, 0), size);
        }
    }
    if (group == 1) now = fminf(fmaxf(now, rules.lowest_scale), rules.highest_scale);
    if (group == 3) now = fminf(fmaxf(now, -rules.max_bias), rules.max_bias);
    value[at] = now;
}
