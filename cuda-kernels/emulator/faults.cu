/*
 * Kernels with one planted fault each, and each again without: check.sh shows that the emulator
 * catches the first and lets the second pass. Blocks of 256 threads.
 */
#include "cuda_on_cpu.h"

/* A reversal through shared memory, with the barrier and without. */
extern "C" __global__ void reverse(const float *a, float *b) {
  __shared__ float s[256];
  s[threadIdx.x] = a[threadIdx.x];
  __syncthreads();
  b[threadIdx.x] = s[255 - threadIdx.x];
}
extern "C" __global__ void missing_barrier(const float *a, float *b) {
  __shared__ float s[256];
  s[threadIdx.x] = a[threadIdx.x];
  b[threadIdx.x] = s[255 - threadIdx.x];
}
/* Right as long as threads take turns in order. */
extern "C" __global__ void hidden_race(const float *a, float *b) {
  __shared__ float s[256];
  s[threadIdx.x] = a[threadIdx.x];
  b[threadIdx.x] = threadIdx.x == 0 ? a[255] : s[threadIdx.x - 1];
}
/* A sum over what came before: a step reads its neighbour while the neighbour may already be a step
 * on. Right as long as threads take turns from the last to the first. */
extern "C" __global__ void scan(const float *a, float *b) {
  __shared__ float s[256];
  const unsigned t = threadIdx.x;
  s[t] = a[t];
  __syncthreads();
  for (unsigned distance = 1; distance < 256; distance *= 2) {
    const float other = t >= distance ? s[t - distance] : 0;
    __syncthreads();
    s[t] += other;
    __syncthreads();
  }
  b[t] = s[t];
}
extern "C" __global__ void race_across_a_barrier(const float *a, float *b) {
  __shared__ float s[256];
  const unsigned t = threadIdx.x;
  s[t] = a[t];
  __syncthreads();
  for (unsigned distance = 1; distance < 256; distance *= 2) {
    const float other = t >= distance ? s[t - distance] : 0;
    s[t] += other;
    __syncthreads();
  }
  b[t] = 1;
}
/* Counts blocks, as it should and not. */
extern "C" __global__ void count_blocks(const float *, unsigned *b) {
  if (threadIdx.x == 0) {
    atomicAdd(b, 1u);
  }
}
extern "C" __global__ void race_between_blocks(const float *, unsigned *b) {
  if (threadIdx.x == 0) {
    *b = *b + 1;
  }
}
extern "C" __global__ void one_past_the_end(const float *, float *b) {
  b[threadIdx.x + 1] = 1;
}
extern "C" __global__ void one_past_shared(const float *a, float *b) {
  __shared__ float s[256];
  s[threadIdx.x + 1] = a[threadIdx.x];
  __syncthreads();
  b[threadIdx.x] = s[threadIdx.x];
}
extern "C" __global__ void divergent_barrier(const float *, float *b) {
  if (threadIdx.x < 32) {
    __syncthreads();
  }
  b[threadIdx.x] = 1;
}
/* Counts the threads of each lane. */
extern "C" __global__ void count_lanes(const float *, unsigned *b) {
  __shared__ unsigned s[32];
  if (threadIdx.x < 32) {
    s[threadIdx.x] = 0;
  }
  __syncthreads();
  atomicAdd(&s[threadIdx.x % 32], 1u);
  __syncthreads();
  b[threadIdx.x] = s[threadIdx.x % 32];
}
extern "C" __global__ void uninitialised_shared(const float *, unsigned *b) {
  __shared__ unsigned s[32];
  atomicAdd(&s[threadIdx.x % 32], 1u);
  __syncthreads();
  b[threadIdx.x] = s[threadIdx.x % 32];
}
extern "C" __global__ void load_of_four(const float *a, float *b) {
  const float4 x = *reinterpret_cast<const float4 *>(a + threadIdx.x / 4 * 4);
  b[threadIdx.x] = x.x + x.y + x.z + x.w;
}
extern "C" __global__ void misaligned_load(const float *a, float *b) {
  const float4 x = *reinterpret_cast<const float4 *>(a + 1 + threadIdx.x / 8 * 4);
  b[threadIdx.x] = x.x + x.y + x.z + x.w;
}
extern "C" __global__ void sum_of_warp(const float *a, float *b) {
  float x = a[threadIdx.x];
  for (int distance = 16; distance > 0; distance /= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, distance);
  }
  b[threadIdx.x] = x;
}
extern "C" __global__ void shuffle_with_absent(const float *a, float *b) {
  if (threadIdx.x % 32 >= 16) {
    return;
  }
  b[threadIdx.x] = __shfl_xor_sync(0xffffffffu, a[threadIdx.x], 1);
}

KIF_EXPORT(reverse)
KIF_EXPORT(missing_barrier)
KIF_EXPORT(hidden_race)
KIF_EXPORT(scan)
KIF_EXPORT(race_across_a_barrier)
KIF_EXPORT(count_blocks)
KIF_EXPORT(race_between_blocks)
KIF_EXPORT(one_past_the_end)
KIF_EXPORT(one_past_shared)
KIF_EXPORT(divergent_barrier)
KIF_EXPORT(count_lanes)
KIF_EXPORT(uninitialised_shared)
KIF_EXPORT(load_of_four)
KIF_EXPORT(misaligned_load)
KIF_EXPORT(sum_of_warp)
KIF_EXPORT(shuffle_with_absent)
