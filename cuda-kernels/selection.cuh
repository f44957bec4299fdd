/* Selection by rank: a pass that counts digits of the scores' bits, and one that picks; threshold.cu
 * says how they go together. */
#pragma once

#include "kif_cuda.cuh"

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
}

/* What a block has counted, in shared memory. */
struct Counted {
  u32 histogram[BINS];
  u32 beyond;
  u32 nan;
};

__device__ __forceinline__ void clear(Counted &block, int number) {
  for (int i = threadIdx.x; i < bins_of(number); i += KIF_THREADS) {
    block.histogram[i] = 0;
  }
  if (threadIdx.x == 0) {
    block.beyond = 0;
    block.nan = 0;
  }
  __syncthreads();
}

/* Adds what this block has counted to the state. Ends with all threads' additions done. */
__device__ __forceinline__ void add(Counted &block, Pass &pass, Selection *state) {
  flush(pass.run, block.histogram);
  if (pass.beyond > 0) {
    atomicMax(&block.beyond, pass.beyond);
  }
  if (pass.nan > 0) {
    atomicOr(&block.nan, 1u);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < bins_of(pass.number); i += KIF_THREADS) {
    if (block.histogram[i] > 0) {
      atomicAdd(&state->counts[i], (u64)block.histogram[i]);
    }
  }
  if (threadIdx.x == 0) {
    if (block.beyond > 0) {
      atomicMax(&state->beyond, block.beyond);
    }
    if (block.nan > 0) {
      atomicOr(&state->nan, 1u);
    }
  }
}

/* Adds this block's scores to the state. Ends with all threads' additions done. */
__device__ void count(const float *__restrict__ sensitivity, const float *__restrict__ uncertainty,
                      int score, i64 first, i64 stride, i64 n, Selection *state, int number) {
  __shared__ Counted block;
  clear(block, number);
  Pass pass = {number, __ldcg(&state->prefix), 0, 0, {0, 0}};
  take_from(sensitivity, uncertainty, score, first, stride, n, pass, block.histogram);
  add(block, pass, state);
}

/* Whether this block is the last one to come here; then it sees all additions of the others. */
__device__ __forceinline__ bool is_last(Selection *state) {
  __shared__ int last;
  /* Everybody's additions are visible before this block says that it is done. */
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(&state->finished, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (last) {
    __threadfence();
  }
  return last;
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
  const i64 wanted = number == 0 ? rank0 : __ldcg(&state->rank);
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
