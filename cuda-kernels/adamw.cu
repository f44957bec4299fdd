/*
 * adamw: h = g*clip;  m = m + gain1*(h - m);  v = v*decay2 + gain2*(h*h);
 *   w = w*decay - step_size * (m / (sqrt(v)/correction2 + epsilon)).
 * 28 bytes an element; with the importance of the new w in the same pass 44 instead of 28 + 24.
 *
 * adamw 1, adamw_importance 1: one element a thread at a time
 * adamw 2, adamw_importance 2: four neighbouring elements a thread at a time      <- both shipped
 */
#include "elementwise.cuh"

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_adamw_1(float *__restrict__ w, const float *__restrict__ g, float *__restrict__ m,
                float *__restrict__ v, float clip, AdamWStep step, i64 n) {
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    adamw_element(w[i], g[i] * clip, m[i], v[i], step);
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_adamw_2(float *__restrict__ w, const float *__restrict__ g, float *__restrict__ m,
                float *__restrict__ v, float clip, AdamWStep step, i64 n) {
  const i64 fours = n / 4;
  for (i64 i = KIF_FIRST; i < fours; i += KIF_STRIDE) {
    const float4 y = four(g, i);
    float4 x = four(w, i), a = four(m, i), b = four(v, i);
    adamw_element(x.x, y.x * clip, a.x, b.x, step);
    adamw_element(x.y, y.y * clip, a.y, b.y, step);
    adamw_element(x.z, y.z * clip, a.z, b.z, step);
    adamw_element(x.w, y.w * clip, a.w, b.w, step);
    four(w, i) = x;
    four(m, i) = a;
    four(v, i) = b;
  }
  for (i64 i = 4 * fours + KIF_FIRST; i < n; i += KIF_STRIDE) {
    adamw_element(w[i], g[i] * clip, m[i], v[i], step);
  }
}

__device__ __forceinline__ void both(float &w, float g, float &m, float &v, float &sensitivity,
                                     float &uncertainty, float clip, const AdamWStep &step,
                                     const ImportanceRule &rule) {
  const float h = g * clip;
  adamw_element(w, h, m, v, step);
  importance_element(w, h, sensitivity, uncertainty, rule);
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_adamw_importance_1(float *__restrict__ w, const float *__restrict__ g,
                           float *__restrict__ m, float *__restrict__ v,
                           float *__restrict__ sensitivity, float *__restrict__ uncertainty,
                           float clip, AdamWStep step, ImportanceRule rule, i64 n) {
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    both(w[i], g[i], m[i], v[i], sensitivity[i], uncertainty[i], clip, step, rule);
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_adamw_importance_2(float *__restrict__ w, const float *__restrict__ g,
                           float *__restrict__ m, float *__restrict__ v,
                           float *__restrict__ sensitivity, float *__restrict__ uncertainty,
                           float clip, AdamWStep step, ImportanceRule rule, i64 n) {
  const i64 fours = n / 4;
  for (i64 i = KIF_FIRST; i < fours; i += KIF_STRIDE) {
    const float4 y = four(g, i);
    float4 x = four(w, i), a = four(m, i), b = four(v, i);
    float4 c = four(sensitivity, i), d = four(uncertainty, i);
    both(x.x, y.x, a.x, b.x, c.x, d.x, clip, step, rule);
    both(x.y, y.y, a.y, b.y, c.y, d.y, clip, step, rule);
    both(x.z, y.z, a.z, b.z, c.z, d.z, clip, step, rule);
    both(x.w, y.w, a.w, b.w, c.w, d.w, clip, step, rule);
    four(w, i) = x;
    four(m, i) = a;
    four(v, i) = b;
    four(sensitivity, i) = c;
    four(uncertainty, i) = d;
  }
  for (i64 i = 4 * fours + KIF_FIRST; i < n; i += KIF_STRIDE) {
    both(w[i], g[i], m[i], v[i], sensitivity[i], uncertainty[i], clip, step, rule);
  }
}

KIF_EXPORT(kif_adamw_1)
KIF_EXPORT(kif_adamw_2)
KIF_EXPORT(kif_adamw_importance_1)
KIF_EXPORT(kif_adamw_importance_2)
