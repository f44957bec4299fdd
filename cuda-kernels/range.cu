/*
 * range: the least and the greatest score s = I*U (or I) of each part: first the least ones, then the
 * greatest. Both are NaN where a score is NaN or there is none. Padding scores zero: the least score
 * is zero where more scores are than there is padding. 8 bytes an element, 4 for s = I.
 *
 * 1: a block does a part; parts are tensors, or everything           <- shipped for each tensor
 * 2: all blocks do one part; the one that finishes last writes        <- shipped for everything
 *
 * The state is all zero before and after.
 */
#include "weighting.cuh"

/* Magnitudes as bits. */
struct Extent {
  u64 zeros;
  u32 largest;
  /* The complement of the least one that is not zero, less one: its maximum, with nothing as 0. */
  u32 least;
  u32 finished;
  u32 unused;
};

__device__ __forceinline__ void widen(float score, Extent &found) {
  const u32 bits = magnitude(score);
  found.zeros += bits == 0;
  found.largest = bits > found.largest ? bits : found.largest;
  const u32 complement = ~(bits - 1);
  found.least = complement > found.least ? complement : found.least;
}

/* What all threads of the block find together, known to all. */
__device__ Extent extent_of(const float *__restrict__ sensitivity,
                            const float *__restrict__ uncertainty, int score, i64 first, i64 stride,
                            i64 n) {
  __shared__ u64 zeros;
  __shared__ u32 largest;
  __shared__ u32 least;
  __syncthreads();
  if (threadIdx.x == 0) {
    zeros = 0;
    largest = 0;
    least = 0;
  }
  __syncthreads();
  Extent mine = {0, 0, 0, 0, 0};
  const i64 fours = n / 4;
  for (i64 i = first; i < fours; i += stride) {
    const float4 a = four(sensitivity, i);
    float4 b = a;
    if (score != KIF_SENSITIVITY) {
      b = four(uncertainty, i);
    }
    widen(score_of(score, a.x, b.x), mine);
    widen(score_of(score, a.y, b.y), mine);
    widen(score_of(score, a.z, b.z), mine);
    widen(score_of(score, a.w, b.w), mine);
  }
  for (i64 i = 4 * fours + first; i < n; i += stride) {
    widen(score_of(score, sensitivity[i], uncertainty[i]), mine);
  }
  atomicAdd(&zeros, mine.zeros);
  atomicMax(&largest, mine.largest);
  atomicMax(&least, mine.least);
  __syncthreads();
  return {zeros, largest, least, 0, 0};
}

__device__ __forceinline__ void write_range(const Extent &found, i64 n, i64 padding, float *least,
                                            float *greatest) {
  if (n == padding || found.largest > 0x7f800000) {
    *least = __uint_as_float(0x7fc00000);
    *greatest = __uint_as_float(0x7fc00000);
    return;
  }
  *greatest = __uint_as_float(found.largest);
  *least = (i64)found.zeros > padding ? 0 : __uint_as_float(~found.least + 1);
}

/* Without spans, n elements with padding are the only part. */
extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_range_1(const float *__restrict__ sensitivity, const float *__restrict__ uncertainty,
                int score, const Span *__restrict__ spans, int count, i64 n, i64 padding,
                float *__restrict__ result) {
  for (int part = blockIdx.x; part < count; part += gridDim.x) {
    const Span span = spans == nullptr ? Span{0, n} : spans[part];
    const i64 length = span.end - span.begin;
    const Extent found = extent_of(sensitivity + span.begin, uncertainty + span.begin, score,
                                   threadIdx.x, KIF_THREADS, length);
    if (threadIdx.x == 0) {
      write_range(found, length, spans == nullptr ? padding : 0, &result[part],
                  &result[count + part]);
    }
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_range_2(const float *__restrict__ sensitivity, const float *__restrict__ uncertainty,
                int score, i64 n, i64 padding, Extent *state, float *__restrict__ result) {
  const Extent found = extent_of(sensitivity, uncertainty, score, KIF_FIRST, KIF_STRIDE, n);
  if (threadIdx.x == 0) {
    atomicAdd(&state->zeros, found.zeros);
    atomicMax(&state->largest, found.largest);
    atomicMax(&state->least, found.least);
    /* These are visible before this block says that it is done. */
    __threadfence();
    if (atomicAdd(&state->finished, 1u) == gridDim.x - 1) {
      __threadfence();
      const Extent all = {__ldcg(&state->zeros), __ldcg(&state->largest), __ldcg(&state->least), 0,
                          0};
      write_range(all, n, padding, &result[0], &result[1]);
      state->zeros = 0;
      state->largest = 0;
      state->least = 0;
      state->finished = 0;
    }
  }
}

KIF_EXPORT(kif_range_1)
KIF_EXPORT(kif_range_2)
