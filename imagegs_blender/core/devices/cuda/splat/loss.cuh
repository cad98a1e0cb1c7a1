// The loss: the sum of what the thread blocks of fused and ssim_loss measured.
#pragma once

#include "common.cuh"

// Sums over the thread blocks' losses (parts, columns), in a fixed order, to total (columns).
KERNEL(LOSS_THREADS) sum_losses(const float* loss, int parts, int columns, double* total) {
    __shared__ double room[LOSS_THREADS];
    for (int column = 0; column < columns; column++) {
        double sum = 0;
        for (int k = threadIdx.x; k < parts; k += LOSS_THREADS) sum += loss[(long long)k * columns + column];
        __syncthreads();
        room[threadIdx.x] = sum;
        for (int half = LOSS_THREADS / 2; half >= 1; half /= 2) {
            __syncthreads();
            if (threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
        }
        if (threadIdx.x == 0) total[column] = room[0];
    }
}
