/* How two scores choose the factors of two task vectors: the steps of MergeRule, in Java. */
#pragma once

#include "kif_cuda.cuh"

struct Coefficients {
  float inner;
  float outer;
};

enum { KIF_MASKS = 0, KIF_SOFT = 1 };

struct MergeRule {
  int score;
  int weighting;
  Coefficients shared;
  Coefficients new_only;
  Coefficients old_only;
  Coefficients redundant;
  float temperature;
  int reset_inner;
  int reset_outer;
};

/* What the scores of both sides are held against. */
struct Bounds {
  float inner_low;
  float inner_high;
  float outer_low;
  float outer_high;
};

/* Where a tensor lies in the arena. */
struct Span {
  i64 begin;
  i64 end;
};

/* Which of count tensors an element lies in, or in whose padding; 0 where there is one part only. */
__device__ __forceinline__ int part_of(const Span *spans, int count, i64 i) {
  int low = 0;
  for (int high = count; high - low > 1;) {
    const int middle = (low + high) / 2;
    if (spans[middle].begin <= i) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

/* The bounds of one part of count; the high ones are there for soft weights only. */
__device__ __forceinline__ Bounds bounds_of(const float *inner, const float *outer, int count,
                                            int part, int weighting) {
  Bounds b = {inner[part], 0, outer[part], 0};
  if (weighting == KIF_SOFT) {
    b.inner_high = inner[count + part];
    b.outer_high = outer[count + part];
  }
  return b;
}

/* The exponential of y from -64 to 64. Added to 1.5*2^23, y/ln 2 rounds to a whole number, which is
 * then the lowest bits; added to an exponent they multiply by a power of two. */
__device__ __forceinline__ float exp_of(float y) {
  const float rounder = 12582912.0f;
  const float shifted = y * 1.442695f + rounder;
  const float k = shifted - rounder;
  const float r = (y - k * 0.693359375f) - k * -2.1219444e-4f;
  float p = 1 / 5040.0f;
  p = p * r + 1 / 720.0f;
  p = p * r + 1 / 120.0f;
  p = p * r + 1 / 24.0f;
  p = p * r + 1 / 6.0f;
  p = p * r + 1 / 2.0f;
  p = p * r + 1;
  p = p * r + 1;
  return __uint_as_float(__float_as_uint(p) + (__float_as_uint(shifted) << 23));
}

__device__ __forceinline__ float normalised(float score, float low, float high) {
  const float x = __fdiv_rn(score - low, high - low);
  return x > 0 ? x : 0;
}

__device__ __forceinline__ Coefficients coefficients_of(float inner, float outer, const Bounds &b,
                                                        const MergeRule &rule) {
  if (rule.weighting == KIF_SOFT) {
    float z = __fdiv_rn(normalised(inner, b.inner_low, b.inner_high) -
                            normalised(outer, b.outer_low, b.outer_high),
                        rule.temperature);
    z = z < -64 ? -64 : z;
    z = z > 64 ? 64 : z;
    const float a = __fdiv_rn(1, 1 + exp_of(-z));
    return {a, 1 - a};
  }
  const bool to_new = inner > b.inner_low;
  const bool to_old = outer > b.outer_low;
  return {to_new ? (to_old ? rule.shared.inner : rule.new_only.inner)
                 : (to_old ? rule.old_only.inner : rule.redundant.inner),
          to_new ? (to_old ? rule.shared.outer : rule.new_only.outer)
                 : (to_old ? rule.old_only.outer : rule.redundant.outer)};
}
