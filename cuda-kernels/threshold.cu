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
 * each: a quantile of each tensor; a block does all passes of a tensor, one launch    <- shipped
 *
 * In both, a thread adds runs of equal digits at once, for most scores may be equal (at the start of
 * a training all are zero). The state is all zero before the first pass and after the last.
 */
#include "weighting.cuh"

enum { BINS = 2048, INFINITY_BITS = 0x7f800000, NAN_BITS = 0x7fc00000 };

struct Selection {
  u64 counts[BINS];
  /* The largest complement of a score above the prefix: its minimum, with nothing as 0. */
  u32 beyond;
  u32 nan;
  u32 prefix;
  u32 finished;
  /* Of the value wanted, among those that share the prefix. */
  i64 rank;
};

/* A run of equal digits not yet counted. */
struct Run {
  u32 digit;
  u32 length;
};

struct Pass {
  int number;
  u32 prefix;
  u32 beyond;
  u32 nan;
  Run run;
};

__device__ __forceinline__ int bins_of(int pass) { return pass == 0 ? 2048 : 1024; }

__device__ __forceinline__ void flush(Run &run, u32 *histogram) {
  if (run.length > 0) {
    atomicAdd(&histogram[run.digit], run.length);
  }
}

__device__ __forceinline__ void take(float score, Pass &pass, u32 *histogram) {
  const u32 bits = magnitude(score);
  u32 digit;
  if (pass.number == 0) {
    digit = bits >> 20;
    pass.nan |= bits > INFINITY_BITS;
  } else if (pass.number == 1) {
    if (bits >> 20 != pass.prefix) {
      return;
    }
    digit = bits >> 10 & 1023;
  } else {
    const u32 upper = bits >> 10;
    if (upper != pass.prefix) {
      if (upper > pass.prefix && ~bits > pass.beyond) {
        pass.beyond = ~bits;
      }
      return;
    }
    digit = bits & 1023;
  }
  if (digit != pass.run.digit) {
    flush(pass.run, histogram);
    pass.run.digit = digit;
    pass.run.length = 0;
  }
  pass.run.length++;
}

__device__ __forceinline__ void take_from(const float *__restrict__ sensitivity,
                                          const float *__restrict__ uncertainty, int score,
                                          i64 first, i64 stride, i64 n, Pass &pass,
                                          u32 *histogram) {
  const i64 fours = n / 4;
  for (i64 i = first; i < fours; i += stride) {
    const float4 a = four(sensitivity, i);
    float4 b = a;
    if (score != KIF_SENSITIVITY) {
      b = four(uncertainty, i);
    }
    take(score_of(score, a.x, b.x), pass, histogram);
    take(score_of(score, a.y, b.y), pass, histogram);
    take(score_of(score, a.z, b.z), pass, histogram);
    take(score_of(score, a.w, b.w), pass, histogram);
  }
  for (i64 i = 4 * fours + first; i < n; i += stride) {
    take(score_of(score, sensitivity[i], uncertainty[i]), pass, histogram);
  }
  flush(pass.run, histogram);
}

/* Adds this block's scores to the state. Ends with all threads' additions done. */
__device__ void count(const float *__restrict__ sensitivity, const float *__restrict__ uncertainty,
                      int score, i64 first, i64 stride, i64 n, Selection *state, int number) {
  __shared__ u32 histogram[BINS];
  __shared__ u32 beyond;
  __shared__ u32 nan;
  const int bins = bins_of(number);
  for (int i = threadIdx.x; i < bins; i += KIF_THREADS) {
    histogram[i] = 0;
  }
  if (threadIdx.x == 0) {
    beyond = 0;
    nan = 0;
  }
  __syncthreads();
  Pass pass = {number, state->prefix, 0, 0, {0, 0}};
  take_from(sensitivity, uncertainty, score, first, stride, n, pass, histogram);
  if (pass.beyond > 0) {
    atomicMax(&beyond, pass.beyond);
  }
  if (pass.nan > 0) {
    atomicOr(&nan, 1u);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < bins; i += KIF_THREADS) {
    if (histogram[i] > 0) {
      atomicAdd(&state->counts[i], (u64)histogram[i]);
    }
  }
  if (threadIdx.x == 0) {
    if (beyond > 0) {
      atomicMax(&state->beyond, beyond);
    }
    if (nan > 0) {
      atomicOr(&state->nan, 1u);
    }
  }
}

/* As torch interpolates: from the nearer end. */
__device__ __forceinline__ float lerp(float a, float b, float weight) {
  return weight < 0.5f ? a + weight * (b - a) : b - (b - a) * (1 - weight);
}

/* Reads the counts of a pass (past the first-level cache, where a stale line may lie), finds the
 * digit, and leaves the counts zero for the next pass. One block of KIF_THREADS threads. */
__device__ void pick(Selection *state, int number, i64 rank0, int next, float fraction, i64 counted,
                     float *result) {
  __shared__ i64 sums[KIF_THREADS];
  __shared__ u32 digit;
  __shared__ i64 rank;
  __shared__ i64 equal;
  __shared__ u32 following;
  const int each = bins_of(number) / KIF_THREADS;
  const int thread = threadIdx.x;
  i64 mine[BINS / KIF_THREADS];
  i64 sum = 0;
  for (int k = 0; k < each; k++) {
    mine[k] = (i64)__ldcg(&state->counts[thread * each + k]);
    state->counts[thread * each + k] = 0;
    sum += mine[k];
  }
  sums[thread] = sum;
  if (thread == 0) {
    following = 0xffffffffu;
    /* No rank can be beyond the last element; a NaN count cannot be, for NaNs are counted too. */
    digit = 0;
    rank = 0;
    equal = 0;
  }
  __syncthreads();
  for (int distance = 1; distance < KIF_THREADS; distance *= 2) {
    const i64 other = thread >= distance ? sums[thread - distance] : 0;
    __syncthreads();
    sums[thread] += other;
    __syncthreads();
  }
  const i64 wanted = number == 0 ? rank0 : state->rank;
  i64 before = sums[thread] - sum;
  for (int k = 0; k < each; k++) {
    if (wanted >= before && wanted < before + mine[k]) {
      digit = thread * each + k;
      rank = wanted - before;
      equal = mine[k];
    }
    before += mine[k];
  }
  __syncthreads();
  if (number == 2 && rank + 1 >= equal) {
    for (int k = 0; k < each; k++) {
      const u32 bin = thread * each + k;
      if (bin > digit && mine[k] > 0) {
        atomicMin(&following, bin);
      }
    }
  }
  __syncthreads();
  if (thread == 0) {
    const u32 prefix = number == 0 ? digit : __ldcg(&state->prefix) << 10 | digit;
    if (number < 2) {
      state->prefix = prefix;
      state->rank = rank;
    } else {
      const u32 beyond = __ldcg(&state->beyond);
      u32 above = prefix;
      if (next && rank + 1 >= equal) {
        above = following != 0xffffffffu ? (prefix & ~1023u) | following : ~beyond;
      }
      const float value = lerp(__uint_as_float(prefix), __uint_as_float(above), fraction);
      const bool none = counted == 0 || __ldcg(&state->nan) > 0;
      *result = none ? __uint_as_float(NAN_BITS) : value;
      state->beyond = 0;
      state->nan = 0;
      state->prefix = 0;
      state->rank = 0;
    }
    state->finished = 0;
  }
}

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
  __shared__ int last;
  count(sensitivity, uncertainty, score, KIF_FIRST, KIF_STRIDE, n, state, number);
  /* Everybody's additions are visible before this block says that it is done. */
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(&state->finished, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (last) {
    __threadfence();
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
