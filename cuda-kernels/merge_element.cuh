/* A merge of one element, and of four neighbours; formulas are in merge.cu. */
#pragma once

#include "weighting.cuh"

/* One side's importance. */
struct Side {
  float *__restrict__ sensitivity;
  float *__restrict__ uncertainty;
};

__device__ __forceinline__ float merged(float w, float base, float snapshot, float inner_score,
                                        float outer_score, const Bounds &bounds,
                                        const MergeRule &rule) {
  const Coefficients c = coefficients_of(inner_score, outer_score, bounds, rule);
  return base + (c.inner * (snapshot - base) + c.outer * (w - snapshot));
}

/* One element, by any thread. */
__device__ __forceinline__ void merge_at(i64 i, float *w, float *base, const float *snapshot,
                                         const Side &inner, const Side &outer,
                                         const Bounds &bounds, const MergeRule &rule) {
  const Coefficients c = coefficients_of(
      score_of(rule.score, inner.sensitivity[i], inner.uncertainty[i]),
      score_of(rule.score, outer.sensitivity[i], outer.uncertainty[i]), bounds, rule);
  const float before = base[i], between = snapshot[i];
  const float result = before + (c.inner * (between - before) + c.outer * (w[i] - between));
  w[i] = result;
  base[i] = result;
  if (rule.reset_inner) {
    inner.sensitivity[i] = 0;
    inner.uncertainty[i] = 0;
  }
  if (rule.reset_outer) {
    outer.sensitivity[i] = 0;
    outer.uncertainty[i] = 0;
  }
}

/* Four neighbours. A tensor begins at a multiple of 16 elements: they are of one part. */
__device__ __forceinline__ void merge_four(i64 i, float *w, float *base, const float *snapshot,
                                           const Side &inner, const Side &outer,
                                           const Bounds &bounds, const MergeRule &rule) {
  const int score = rule.score;
  const float4 a = four(inner.sensitivity, i), c = four(outer.sensitivity, i);
  float4 b = a, d = c;
  if (score != KIF_SENSITIVITY) {
    b = four(inner.uncertainty, i);
    d = four(outer.uncertainty, i);
  }
  const float4 x = four(w, i), y = four(base, i), z = four(snapshot, i);
  float4 r;
  r.x = merged(x.x, y.x, z.x, score_of(score, a.x, b.x), score_of(score, c.x, d.x), bounds, rule);
  r.y = merged(x.y, y.y, z.y, score_of(score, a.y, b.y), score_of(score, c.y, d.y), bounds, rule);
  r.z = merged(x.z, y.z, z.z, score_of(score, a.z, b.z), score_of(score, c.z, d.z), bounds, rule);
  r.w = merged(x.w, y.w, z.w, score_of(score, a.w, b.w), score_of(score, c.w, d.w), bounds, rule);
  four(w, i) = r;
  four(base, i) = r;
  const float4 zero = make_float4(0, 0, 0, 0);
  if (rule.reset_inner) {
    four(inner.sensitivity, i) = zero;
    four(inner.uncertainty, i) = zero;
  }
  if (rule.reset_outer) {
    four(outer.sensitivity, i) = zero;
    four(outer.uncertainty, i) = zero;
  }
}
