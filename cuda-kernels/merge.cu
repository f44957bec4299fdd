/*
 * merge: w = base + (a*(snapshot - base) + b*(w - snapshot)), also the new base; (a, b) by the inner
 * and the outer score and the bounds of their part, which are read from device memory; either
 * importance may be reset to zero in the same pass. 36 bytes an element, 52 with both resets of 8
 * each. Parts are tensors (spans, count) or, with count 1, everything.
 *
 * 1: one element a thread at a time
 * 2: four neighbouring elements a thread at a time                                      <- shipped
 */
#include "merge_element.cuh"

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_merge_1(float *__restrict__ w, float *__restrict__ base, const float *__restrict__ snapshot,
                float *__restrict__ inner_sensitivity, float *__restrict__ inner_uncertainty,
                float *__restrict__ outer_sensitivity, float *__restrict__ outer_uncertainty,
                const float *__restrict__ inner_bounds, const float *__restrict__ outer_bounds,
                const Span *__restrict__ spans, int count, MergeRule rule, i64 n) {
  const Side inner = {inner_sensitivity, inner_uncertainty};
  const Side outer = {outer_sensitivity, outer_uncertainty};
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    const Bounds bounds = bounds_of(inner_bounds, outer_bounds, count, part_of(spans, count, i),
                                    rule.weighting);
    merge_at(i, w, base, snapshot, inner, outer, bounds, rule);
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_merge_2(float *__restrict__ w, float *__restrict__ base, const float *__restrict__ snapshot,
                float *__restrict__ inner_sensitivity, float *__restrict__ inner_uncertainty,
                float *__restrict__ outer_sensitivity, float *__restrict__ outer_uncertainty,
                const float *__restrict__ inner_bounds, const float *__restrict__ outer_bounds,
                const Span *__restrict__ spans, int count, MergeRule rule, i64 n) {
  const Side inner = {inner_sensitivity, inner_uncertainty};
  const Side outer = {outer_sensitivity, outer_uncertainty};
  const i64 fours = n / 4;
  for (i64 i = KIF_FIRST; i < fours; i += KIF_STRIDE) {
    const Bounds bounds = bounds_of(inner_bounds, outer_bounds, count,
                                    part_of(spans, count, 4 * i), rule.weighting);
    merge_four(i, w, base, snapshot, inner, outer, bounds, rule);
  }
  for (i64 i = 4 * fours + KIF_FIRST; i < n; i += KIF_STRIDE) {
    const Bounds bounds = bounds_of(inner_bounds, outer_bounds, count, part_of(spans, count, i),
                                    rule.weighting);
    merge_at(i, w, base, snapshot, inner, outer, bounds, rule);
  }
}

KIF_EXPORT(kif_merge_1)
KIF_EXPORT(kif_merge_2)
