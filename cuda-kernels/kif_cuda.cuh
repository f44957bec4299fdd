/*
 * What every kernel here uses: 64-bit grid-stride loops, four floats at a time, the score that
 * thresholds are compared with. The contract is that of the other backends: bit for bit the scalar
 * Java of kernels.reference. So: compile with --fmad=false, no fast math, and round where the
 * formulas round.
 *
 * Vectors start on a multiple of 64 bytes (the layout sees to it); any length is allowed.
 */
#pragma once

#ifdef KIF_EMULATOR
#include "emulator/cuda_on_cpu.h"
#else
/* Makes a kernel known to the emulator by its name; nvcc needs nothing. */
#define KIF_EXPORT(kernel)
#endif

#ifdef __FAST_MATH__
#error "fast-math would change results"
#endif

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

/* Threads of every block; the host launches with this many. */
#define KIF_THREADS 256

/* The first index of this thread, and the stride to its next. */
#define KIF_FIRST ((i64)blockIdx.x * blockDim.x + threadIdx.x)
#define KIF_STRIDE ((i64)gridDim.x * blockDim.x)

/* The i-th group of four floats. */
__device__ __forceinline__ float4 &four(float *v, i64 i) { return reinterpret_cast<float4 *>(v)[i]; }
__device__ __forceinline__ const float4 &four(const float *v, i64 i) {
  return reinterpret_cast<const float4 *>(v)[i];
}

/* What is compared with a threshold: I*U, or I alone. */
enum { KIF_SENSITIVITY_TIMES_UNCERTAINTY = 0, KIF_SENSITIVITY = 1 };

__device__ __forceinline__ float score_of(int score, float sensitivity, float uncertainty) {
  return score == KIF_SENSITIVITY ? sensitivity : sensitivity * uncertainty;
}

/* Non-negative floats order like these bits; -0 counts as 0, and what is NaN lies above infinity. */
__device__ __forceinline__ u32 magnitude(float x) { return __float_as_uint(x) & 0x7fffffffu; }
