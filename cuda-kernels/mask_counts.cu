/*
 * mask_counts: how many elements are important to both (0), the new task only (1), the history only
 * (2); the rest follows. With one threshold for everything (count 1) padding has score 0 and is taken
 * out again; with one for each tensor (spans, count) it is left out. counts is zero before. 16 bytes
 * an element.
 *
 * 1: three atomic additions a thread
 * 2: a sum over the warp by shuffles, then over the block, then one addition a block    <- shipped
 */
#include "weighting.cuh"

/* The class of an element, 3 for none. */
__device__ __forceinline__ int class_of(float inner, float outer, float inner_bound,
                                        float outer_bound) {
  const bool to_new = inner > inner_bound;
  const bool to_old = outer > outer_bound;
  return to_new ? (to_old ? 0 : 1) : (to_old ? 2 : 3);
}

__device__ __forceinline__ void count_classes(const float *inner_sensitivity,
                                              const float *inner_uncertainty,
                                              const float *outer_sensitivity,
                                              const float *outer_uncertainty,
                                              const float *inner_bounds, const float *outer_bounds,
                                              const Span *spans, int count, int score, i64 n,
                                              i64 padding, i64 counted[3]) {
  const bool each = spans != nullptr;
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    const int part = part_of(spans, count, i);
    if (each && i >= spans[part].end) {
      continue;
    }
    const int which = class_of(score_of(score, inner_sensitivity[i], inner_uncertainty[i]),
                               score_of(score, outer_sensitivity[i], outer_uncertainty[i]),
                               inner_bounds[part], outer_bounds[part]);
    counted[0] += which == 0;
    counted[1] += which == 1;
    counted[2] += which == 2;
  }
  if (KIF_FIRST == 0 && !each) {
    const int which = class_of(0, 0, inner_bounds[0], outer_bounds[0]);
    counted[0] -= which == 0 ? padding : 0;
    counted[1] -= which == 1 ? padding : 0;
    counted[2] -= which == 2 ? padding : 0;
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_mask_counts_1(const float *__restrict__ inner_sensitivity,
                      const float *__restrict__ inner_uncertainty,
                      const float *__restrict__ outer_sensitivity,
                      const float *__restrict__ outer_uncertainty,
                      const float *__restrict__ inner_threshold,
                      const float *__restrict__ outer_threshold, const Span *__restrict__ spans,
                      int count, int score, i64 n, i64 padding, u64 *__restrict__ counts) {
  i64 counted[3] = {0, 0, 0};
  count_classes(inner_sensitivity, inner_uncertainty, outer_sensitivity, outer_uncertainty,
                inner_threshold, outer_threshold, spans, count, score, n, padding, counted);
  for (int k = 0; k < 3; k++) {
    atomicAdd(&counts[k], (u64)counted[k]);
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_mask_counts_2(const float *__restrict__ inner_sensitivity,
                      const float *__restrict__ inner_uncertainty,
                      const float *__restrict__ outer_sensitivity,
                      const float *__restrict__ outer_uncertainty,
                      const float *__restrict__ inner_threshold,
                      const float *__restrict__ outer_threshold, const Span *__restrict__ spans,
                      int count, int score, i64 n, i64 padding, u64 *__restrict__ counts) {
  __shared__ i64 warps[3][KIF_THREADS / 32];
  i64 counted[3] = {0, 0, 0};
  count_classes(inner_sensitivity, inner_uncertainty, outer_sensitivity, outer_uncertainty,
                inner_threshold, outer_threshold, spans, count, score, n, padding, counted);
  for (int k = 0; k < 3; k++) {
    i64 sum = counted[k];
    for (int distance = 16; distance > 0; distance /= 2) {
      sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    if (threadIdx.x % 32 == 0) {
      warps[k][threadIdx.x / 32] = sum;
    }
  }
  __syncthreads();
  if (threadIdx.x < 3) {
    i64 sum = 0;
    for (int warp = 0; warp < KIF_THREADS / 32; warp++) {
      sum += warps[threadIdx.x][warp];
    }
    atomicAdd(&counts[threadIdx.x], (u64)sum);
  }
}

KIF_EXPORT(kif_mask_counts_1)
KIF_EXPORT(kif_mask_counts_2)
