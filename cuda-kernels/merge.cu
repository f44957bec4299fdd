/*
 * merge: w = base + (a*(snapshot - base) + b*(w - snapshot)), also the new base; (a, b) by whether
 * the inner and the outer score lie above their thresholds, which are read from device memory;
 * either importance may be reset to zero in the same pass. 36 bytes an element, 52 with both resets
 * of 8 each.
 *
 * 1: one element a thread at a time
 * 2: four neighbouring elements a thread at a time                                      <- shipped
 */
#include "kif_cuda.cuh"

struct Coefficients {
  float inner;
  float outer;
};

struct MergeRule {
  int score;
  Coefficients shared;
  Coefficients new_only;
  Coefficients old_only;
  Coefficients redundant;
  int reset_inner;
  int reset_outer;
};

__device__ __forceinline__ float merged(float w, float base, float snapshot, float inner_score,
                                        float outer_score, float inner_bound, float outer_bound,
                                        const MergeRule &rule) {
  const bool to_new = inner_score > inner_bound;
  const bool to_old = outer_score > outer_bound;
  const float a = to_new ? (to_old ? rule.shared.inner : rule.new_only.inner)
                         : (to_old ? rule.old_only.inner : rule.redundant.inner);
  const float b = to_new ? (to_old ? rule.shared.outer : rule.new_only.outer)
                         : (to_old ? rule.old_only.outer : rule.redundant.outer);
  return base + (a * (snapshot - base) + b * (w - snapshot));
}

/* One element, by any thread. */
__device__ __forceinline__ void merge_at(i64 i, float *w, float *base, const float *snapshot,
                                         float *inner_sensitivity, float *inner_uncertainty,
                                         float *outer_sensitivity, float *outer_uncertainty,
                                         float inner_bound, float outer_bound,
                                         const MergeRule &rule) {
  const float result =
      merged(w[i], base[i], snapshot[i],
             score_of(rule.score, inner_sensitivity[i], inner_uncertainty[i]),
             score_of(rule.score, outer_sensitivity[i], outer_uncertainty[i]), inner_bound,
             outer_bound, rule);
  w[i] = result;
  base[i] = result;
  if (rule.reset_inner) {
    inner_sensitivity[i] = 0;
    inner_uncertainty[i] = 0;
  }
  if (rule.reset_outer) {
    outer_sensitivity[i] = 0;
    outer_uncertainty[i] = 0;
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_merge_1(float *__restrict__ w, float *__restrict__ base, const float *__restrict__ snapshot,
                float *__restrict__ inner_sensitivity, float *__restrict__ inner_uncertainty,
                float *__restrict__ outer_sensitivity, float *__restrict__ outer_uncertainty,
                const float *__restrict__ inner_threshold,
                const float *__restrict__ outer_threshold, MergeRule rule, i64 n) {
  const float inner_bound = *inner_threshold;
  const float outer_bound = *outer_threshold;
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    merge_at(i, w, base, snapshot, inner_sensitivity, inner_uncertainty, outer_sensitivity,
             outer_uncertainty, inner_bound, outer_bound, rule);
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_merge_2(float *__restrict__ w, float *__restrict__ base, const float *__restrict__ snapshot,
                float *__restrict__ inner_sensitivity, float *__restrict__ inner_uncertainty,
                float *__restrict__ outer_sensitivity, float *__restrict__ outer_uncertainty,
                const float *__restrict__ inner_threshold,
                const float *__restrict__ outer_threshold, MergeRule rule, i64 n) {
  const float inner_bound = *inner_threshold;
  const float outer_bound = *outer_threshold;
  const float4 zero = make_float4(0, 0, 0, 0);
  const int score = rule.score;
  const i64 fours = n / 4;
  for (i64 i = KIF_FIRST; i < fours; i += KIF_STRIDE) {
    const float4 a = four(inner_sensitivity, i), c = four(outer_sensitivity, i);
    float4 b = a, d = c;
    if (score != KIF_SENSITIVITY) {
      b = four(inner_uncertainty, i);
      d = four(outer_uncertainty, i);
    }
    const float4 x = four(w, i), y = four(base, i), z = four(snapshot, i);
    float4 r;
    r.x = merged(x.x, y.x, z.x, score_of(score, a.x, b.x), score_of(score, c.x, d.x), inner_bound,
                 outer_bound, rule);
    r.y = merged(x.y, y.y, z.y, score_of(score, a.y, b.y), score_of(score, c.y, d.y), inner_bound,
                 outer_bound, rule);
    r.z = merged(x.z, y.z, z.z, score_of(score, a.z, b.z), score_of(score, c.z, d.z), inner_bound,
                 outer_bound, rule);
    r.w = merged(x.w, y.w, z.w, score_of(score, a.w, b.w), score_of(score, c.w, d.w), inner_bound,
                 outer_bound, rule);
    four(w, i) = r;
    four(base, i) = r;
    if (rule.reset_inner) {
      four(inner_sensitivity, i) = zero;
      four(inner_uncertainty, i) = zero;
    }
    if (rule.reset_outer) {
      four(outer_sensitivity, i) = zero;
      four(outer_uncertainty, i) = zero;
    }
  }
  for (i64 i = 4 * fours + KIF_FIRST; i < n; i += KIF_STRIDE) {
    merge_at(i, w, base, snapshot, inner_sensitivity, inner_uncertainty, outer_sensitivity,
             outer_uncertainty, inner_bound, outer_bound, rule);
  }
}

KIF_EXPORT(kif_merge_1)
KIF_EXPORT(kif_merge_2)
