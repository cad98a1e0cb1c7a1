// CUDA C++ on the CPU, enough of it to run splat.cu unchanged: every thread of a thread block is a fiber that runs until it meets a
// barrier or a shuffle. Thread blocks run one after another. With `backwards`, threads run in the opposite order: a kernel that forgets a
// barrier then gives other bits.
#pragma once

#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>

#include <algorithm>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)

using std::max;
using std::min;

inline float half_to_float(unsigned short bits) {
    _Float16 half;
    std::memcpy(&half, &bits, sizeof half);
    return (float)half;
}

struct Index {
    unsigned x, y, z;
};
inline Index threadIdx, blockIdx, blockDim, gridDim;

namespace host {

constexpr int WARP = 32;
constexpr std::size_t STACK = 64 << 10;
enum State { READY, AT_BLOCK, AT_WARP, DONE };

struct Fiber {
    ucontext_t context;
    std::jmp_buf saved;
    State state;
    bool started;
    int parity;
    union {
        float number;
        int integer;
    } given[2];
};

inline std::vector<Fiber> fibers;
inline std::vector<char> stacks;
inline ucontext_t scheduler;
inline std::jmp_buf resumed;
inline int current;
inline bool backwards;
inline void (*body)(void*);
inline void* argument;

inline void yield(State why) {
    Fiber& fiber = fibers[current];
    fiber.state = why;
    if (!_setjmp(fiber.saved)) _longjmp(resumed, 1);
}

inline void enter() {
    body(argument);
    fibers[current].state = DONE;
    _longjmp(resumed, 1);
}

inline void resume(int thread) {
    Fiber& fiber = fibers[thread];
    current = thread;
    threadIdx = {(unsigned)thread, 0, 0};
    if (_setjmp(resumed)) return;
    if (fiber.started) _longjmp(fiber.saved, 1);
    fiber.started = true;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks.data() + STACK * thread;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
    swapcontext(&scheduler, &fiber.context);
}

inline bool all(int first, int last, State wanted) {
    for (int t = first; t < last; t++)
        if (fibers[t].state != wanted && fibers[t].state != DONE) return false;
    return true;
}

inline void release(int first, int last) {
    for (int t = first; t < last; t++)
        if (fibers[t].state != DONE) fibers[t].state = READY;
}

// Run a warp until all of its threads wait for the thread block or are done.
inline void run_warp(int first, int last) {
    while (true) {
        for (int k = first; k < last; k++) {
            const int t = backwards ? last - 1 - (k - first) : k;
            if (fibers[t].state == READY) resume(t);
        }
        if (all(first, last, AT_BLOCK)) return;
        if (!all(first, last, AT_WARP)) {
            std::fprintf(stderr, "threads of one warp wait for different things\n");
            std::abort();
        }
        release(first, last);
    }
}

inline void run_block(int threads) {
    if ((int)fibers.size() < threads) fibers.resize(threads), stacks.resize(STACK * threads);
    for (int t = 0; t < threads; t++) fibers[t].state = READY, fibers[t].started = false, fibers[t].parity = 0;
    const int warps = (threads + WARP - 1) / WARP;
    while (!all(0, threads, DONE)) {
        for (int k = 0; k < warps; k++) {
            const int w = backwards ? warps - 1 - k : k;
            run_warp(w * WARP, min(threads, (w + 1) * WARP));
        }
        release(0, threads);
    }
}

// The value that another lane of the warp gives; every lane of the warp must take part.
template <class T>
inline T exchange(T value, int from) {
    const int me = current, parity = fibers[me].parity ^= 1;
    std::memcpy(&fibers[me].given[parity], &value, sizeof value);
    yield(AT_WARP);
    T other;
    std::memcpy(&other, &fibers[me / WARP * WARP + from].given[parity], sizeof other);
    return other;
}

template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_const_t<A>*>(arguments[I])...);
}

template <class... A>
void launch(void (*kernel)(A...), Index grid, int threads, void** arguments) {
    struct Call {
        void (*kernel)(A...);
        void** arguments;
    } what = {kernel, arguments};
    body = [](void* given) {
        auto* what = static_cast<Call*>(given);
        call(what->kernel, what->arguments, std::index_sequence_for<A...>());
    };
    argument = &what;
    gridDim = grid, blockDim = {(unsigned)threads, 1, 1};
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) blockIdx = {x, y, z}, run_block(threads);
}

}  // namespace host

inline void __syncthreads() { host::yield(host::AT_BLOCK); }

inline int atomicAdd(int* address, int value) {
    const int before = *address;
    *address += value;
    return before;
}

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
    return host::exchange(value, lane);
}

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return host::exchange(value, (int)(threadIdx.x % host::WARP) ^ mask);
}

template <class T>
T __shfl_up_sync(unsigned, T value, int delta) {
    const int lane = threadIdx.x % host::WARP;
    return host::exchange(value, lane >= delta ? lane - delta : lane);
}
