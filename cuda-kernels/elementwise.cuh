/* The formulas of one element that two kernels share. */
#pragma once

#include "kif_cuda.cuh"

/* How an update changes an importance; see ImportanceRule. */
struct ImportanceRule {
  int formula;
  float decay1;
  float gain1;
  float decay2;
  float gain2;
};

enum { KIF_FIRST_ORDER = 0, KIF_SECOND_ORDER = 1, KIF_MIXED = 2 };

/* g is the gradient times the clip coefficient. */
__device__ __forceinline__ void importance_element(float w, float g, float &sensitivity,
                                                   float &uncertainty, const ImportanceRule &r) {
  const float p = w * g;
  float s;
  if (r.formula == KIF_FIRST_ORDER) {
    s = fabsf(p);
  } else if (r.formula == KIF_SECOND_ORDER) {
    s = fabsf(p * p);
  } else {
    s = fabsf(p - 0.5f * (p * p));
  }
  const float smoothed = r.decay1 * sensitivity + r.gain1 * s;
  uncertainty = r.decay2 * uncertainty + r.gain2 * fabsf(s - smoothed);
  sensitivity = smoothed;
}

/* The scalars of one AdamW step; see AdamWStep. */
struct AdamWStep {
  float decay;
  float gain1;
  float decay2;
  float gain2;
  float step_size;
  float correction2;
  float epsilon;
};

__device__ __forceinline__ void adamw_element(float &w, float g, float &m, float &v,
                                              const AdamWStep &s) {
  m = m + s.gain1 * (g - m);
  v = v * s.decay2 + s.gain2 * (g * g);
  const float root = __fsqrt_rn(v);
  w = w * s.decay - s.step_size * __fdiv_rn(m, __fdiv_rn(root, s.correction2) + s.epsilon);
}
