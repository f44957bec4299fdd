/*
 * threshold: the exact q-quantile of the scores s = I*U (or I), without storing them: the value of
 * rank `rank` (and of the next rank, where the quantile falls between two) and torch's lerp of both.
 * Non-negative floats order like their bits, so three passes find 11, 10 and 10 bits of the value
 * from the top, each by a histogram of the scores that share the bits found so far; the third also
 * finds the smallest score beyond. 8 bytes an element a pass, 4 for s = I. The result stays on the
 * device as one float.
 *
 * 1: a kernel that counts and a kernel that picks, six launches
 * 2: the block that finishes a pass last picks, three launches                        <- shipped
 * 3: the first pass comes with the update of the importance that was the last one before
 *    (kif_importance_3), the other two are those of 2: 16 bytes an element, two launches
 * each: a quantile of each tensor; a block does all passes of a tensor, one launch    <- shipped
 *
 * In all, a thread adds runs of equal digits at once, for most scores may be equal (at the start of
 * a training all are zero). The state is all zero before the first pass and after the last.
 */
#include "selection.cuh"
#include "weighting.cuh"

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_threshold_1_count(const float *__restrict__ sensitivity,
                          const float *__restrict__ uncertainty, int score, i64 n,
                          Selection *__restrict__ state, int number) {
  count(sensitivity, uncertainty, score, KIF_FIRST, KIF_STRIDE, n, state, number);
}

/*
 * rank: of the lower neighbour, counted from 0 among all n scores; next: whether the upper one is
 * the next rank or the same; counted: how many scores are not padding.
 */
extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_threshold_1_pick(Selection *__restrict__ state, int number, i64 rank, int next,
                         float fraction, i64 counted, float *__restrict__ result) {
  pick(state, number, rank, next, fraction, counted, result);
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_threshold_2(const float *__restrict__ sensitivity, const float *__restrict__ uncertainty,
                    int score, i64 n, Selection *state, int number, i64 rank, int next,
                    float fraction, i64 counted, float *__restrict__ result) {
  count(sensitivity, uncertainty, score, KIF_FIRST, KIF_STRIDE, n, state, number);
  if (is_last(state)) {
    pick(state, number, rank, next, fraction, counted, result);
  }
}

/* Where a quantile lies among n sorted values: the rank of its lower neighbour, and whether it lies
 * between that and the next, as torch has it up to version 2.13. */
struct Place {
  i64 rank;
  int next;
  float fraction;
};

__device__ __forceinline__ Place place_of(float quantile, i64 n) {
  if (n == 0) {
    return {0, 0, 0};
  }
  if (n <= 1 << 24) {
    const float rank = quantile * (float)(n - 1);
    const i64 lower = (i64)rank;
    return {lower, rank > (float)lower, rank - (float)lower};
  }
  const double rank = (double)quantile * (double)(n - 1);
  const i64 lower = (i64)rank;
  return {lower, rank > (double)lower, (float)(rank - (double)lower)};
}

/* One state for each block. A tensor has fewer than 2^32 elements. */
extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_threshold_each(const float *__restrict__ sensitivity, const float *__restrict__ uncertainty,
                       int score, float quantile, const Span *__restrict__ spans, int parts,
                       Selection *states, float *__restrict__ result) {
  Selection *state = &states[blockIdx.x];
  for (int part = blockIdx.x; part < parts; part += gridDim.x) {
    const Span span = spans[part];
    const i64 n = span.end - span.begin;
    const Place place = place_of(quantile, n);
    for (int number = 0; number < 3; number++) {
      count(sensitivity + span.begin, uncertainty + span.begin, score, threadIdx.x, KIF_THREADS, n,
            state, number);
      /* The additions of all threads are where pick reads. */
      __threadfence();
      __syncthreads();
      pick(state, number, place.rank, place.next, place.fraction, n, &result[part]);
      __threadfence();
      __syncthreads();
    }
  }
}

KIF_EXPORT(kif_threshold_1_count)
KIF_EXPORT(kif_threshold_1_pick)
KIF_EXPORT(kif_threshold_2)
KIF_EXPORT(kif_threshold_each)
