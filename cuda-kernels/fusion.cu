/*
 * fusion: both thresholds (of I*U or I, one for all tensors) and the merge by masks, whose formulas
 * threshold.cu and merge.cu have. 52 bytes an element at least; 84 as the selections here read.
 *
 * 1: threshold, threshold, merge: seven launches, no wait                                <- shipped
 * 2: one launch of as many blocks as fit the GPU at once; after each pass of both selections all
 *    blocks wait for each other, six times
 *
 * Which one is faster on which GPU `kif bench kernels --op fusion --device cuda` tells.
 */
#include "merge_element.cuh"
#include "selection.cuh"

/* Where blocks of one launch wait for each other; all zero before the first. */
struct Barrier {
  u32 arrived;
  u32 round;
};

/* All blocks of the grid run at the same time: a cooperative launch sees to that, or is refused. The
 * emulator, whose blocks take turns, has one of its own. */
__device__ __forceinline__ void grid_barrier(Barrier *barrier) {
#ifdef KIF_EMULATOR
  (void)barrier;
  emulator::grid_barrier(__FILE__, __LINE__);
#else
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    volatile u32 *const round = &barrier->round;
    const u32 before = *round;
    if (atomicAdd(&barrier->arrived, 1u) == gridDim.x - 1) {
      barrier->arrived = 0;
      __threadfence();
      *round = before + 1;
    } else {
      while (*round == before) {
      }
    }
    __threadfence();
  }
  __syncthreads();
#endif
}

/* rank, next, fraction: of the quantile, as kif_threshold_1_pick has them; alike on both sides. */
extern "C" __global__ void __launch_bounds__(KIF_THREADS, 4)
    kif_fusion_2(float *__restrict__ w, float *__restrict__ base,
                 const float *__restrict__ snapshot, float *inner_sensitivity,
                 float *inner_uncertainty, float *outer_sensitivity, float *outer_uncertainty,
                 MergeRule rule, i64 n, i64 rank, int next, float fraction, i64 counted,
                 Selection *selections, Barrier *barrier, float *inner_threshold,
                 float *outer_threshold) {
  const Side inner = {inner_sensitivity, inner_uncertainty};
  const Side outer = {outer_sensitivity, outer_uncertainty};
  for (int number = 0; number < 3; number++) {
    count(inner.sensitivity, inner.uncertainty, rule.score, KIF_FIRST, KIF_STRIDE, n,
          &selections[0], number);
    __syncthreads();
    count(outer.sensitivity, outer.uncertainty, rule.score, KIF_FIRST, KIF_STRIDE, n,
          &selections[1], number);
    grid_barrier(barrier);
    if (blockIdx.x == 0) {
      pick(&selections[0], number, rank, next, fraction, counted, inner_threshold);
      __syncthreads();
    }
    if (blockIdx.x == gridDim.x - 1) {
      pick(&selections[1], number, rank, next, fraction, counted, outer_threshold);
    }
    grid_barrier(barrier);
  }
  const Bounds bounds = {__ldcg(inner_threshold), 0, __ldcg(outer_threshold), 0};
  const i64 fours = n / 4;
  for (i64 i = KIF_FIRST; i < fours; i += KIF_STRIDE) {
    merge_four(i, w, base, snapshot, inner, outer, bounds, rule);
  }
  for (i64 i = 4 * fours + KIF_FIRST; i < n; i += KIF_STRIDE) {
    merge_at(i, w, base, snapshot, inner, outer, bounds, rule);
  }
}

KIF_EXPORT(kif_fusion_2)
