/*
 * importance: p = w * (g*clip); s = |p|, |p*p| or |p - 0.5*(p*p)|;
 *   I = decay1*I + gain1*s;  U = decay2*U + gain2*|s - I|, with the new I.
 * 24 bytes an element.
 *
 * 1: one element a thread at a time
 * 2: four neighbouring elements a thread at a time, so that each access is 16 bytes    <- shipped
 * 3: as 2, and counts the leading bits of the new scores: the first pass of a threshold, which
 *    threshold.cu goes on from
 */
#include "elementwise.cuh"
#include "selection.cuh"

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_importance_1(const float *__restrict__ w, const float *__restrict__ g,
                     float *__restrict__ sensitivity, float *__restrict__ uncertainty, float clip,
                     ImportanceRule rule, i64 n) {
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    importance_element(w[i], g[i] * clip, sensitivity[i], uncertainty[i], rule);
  }
}

/* A thread's elements, four at a time; each(sensitivity, uncertainty) sees each new pair. */
template <typename Each>
__device__ __forceinline__ void importance_fours(const float *__restrict__ w,
                                                 const float *__restrict__ g,
                                                 float *__restrict__ sensitivity,
                                                 float *__restrict__ uncertainty, float clip,
                                                 const ImportanceRule &rule, i64 n,
                                                 Each each) {
  const i64 fours = n / 4;
  for (i64 i = KIF_FIRST; i < fours; i += KIF_STRIDE) {
    const float4 x = four(w, i), y = four(g, i);
    float4 a = four(sensitivity, i), b = four(uncertainty, i);
    importance_element(x.x, y.x * clip, a.x, b.x, rule);
    importance_element(x.y, y.y * clip, a.y, b.y, rule);
    importance_element(x.z, y.z * clip, a.z, b.z, rule);
    importance_element(x.w, y.w * clip, a.w, b.w, rule);
    four(sensitivity, i) = a;
    four(uncertainty, i) = b;
    each(a.x, b.x);
    each(a.y, b.y);
    each(a.z, b.z);
    each(a.w, b.w);
  }
  for (i64 i = 4 * fours + KIF_FIRST; i < n; i += KIF_STRIDE) {
    importance_element(w[i], g[i] * clip, sensitivity[i], uncertainty[i], rule);
    each(sensitivity[i], uncertainty[i]);
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_importance_2(const float *__restrict__ w, const float *__restrict__ g,
                     float *__restrict__ sensitivity, float *__restrict__ uncertainty, float clip,
                     ImportanceRule rule, i64 n) {
  importance_fours(w, g, sensitivity, uncertainty, clip, rule, n, [](float, float) {});
}

/* state, rank: as kif_threshold_1_pick has them, before the first pass. */
extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_importance_3(const float *__restrict__ w, const float *__restrict__ g,
                     float *__restrict__ sensitivity, float *__restrict__ uncertainty, float clip,
                     ImportanceRule rule, i64 n, int score, Selection *state, i64 rank) {
  __shared__ Counted block;
  clear(block, 0);
  Pass pass = {0, 0, 0, 0, {0, 0}};
  importance_fours(w, g, sensitivity, uncertainty, clip, rule, n, [&](float s, float u) {
    take(score_of(score, s, u), pass, block.histogram);
  });
  add(block, pass, state);
  if (is_last(state)) {
    pick(state, 0, rank, 0, 0, 0, nullptr);
  }
}

KIF_EXPORT(kif_importance_1)
KIF_EXPORT(kif_importance_2)
KIF_EXPORT(kif_importance_3)
