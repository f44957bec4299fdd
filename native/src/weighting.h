/* How two scores choose the factors of two task vectors: the steps are those of kif_merge_rule. */
#ifndef KIF_WEIGHTING_H
#define KIF_WEIGHTING_H

#include <stdint.h>
#include <string.h>

#include "kif.h"

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline))
#endif

/* What the scores of both sides are held against. */
typedef struct {
  float inner_low, inner_high, outer_low, outer_high;
} kif_bounds;

typedef struct {
  float inner, outer;
} kif_factors;

/* The exponential of y from -64 to 64. Added to 1.5*2^23, y/ln 2 rounds to a whole number, which is
 * then the lowest bits; added to an exponent they multiply by a power of two. */
INLINE float kif_exp(float y) {
  const float rounder = 0x1.8p23f;
  float shifted = y * 1.442695f + rounder;
  float k = shifted - rounder;
  float r = (y - k * 0.693359375f) - k * -2.1219444e-4f;
  float p = 1 / 5040.0f;
  p = p * r + 1 / 720.0f;
  p = p * r + 1 / 120.0f;
  p = p * r + 1 / 24.0f;
  p = p * r + 1 / 6.0f;
  p = p * r + 1 / 2.0f;
  p = p * r + 1;
  p = p * r + 1;
  uint32_t bits, power;
  memcpy(&bits, &p, sizeof bits);
  memcpy(&power, &shifted, sizeof power);
  bits += power << 23;
  memcpy(&p, &bits, sizeof bits);
  return p;
}

INLINE float kif_normalised(float score, float low, float high) {
  float x = (score - low) / (high - low);
  return x > 0 ? x : 0;
}

INLINE kif_factors kif_factors_of(int weighting, float inner, float outer, kif_bounds b,
                                  const kif_merge_rule *r) {
  kif_factors f;
  if (weighting == KIF_SOFT) {
    float z = (kif_normalised(inner, b.inner_low, b.inner_high) -
               kif_normalised(outer, b.outer_low, b.outer_high)) /
              r->temperature;
    z = z < -64 ? -64 : z;
    z = z > 64 ? 64 : z;
    f.inner = 1 / (1 + kif_exp(-z));
    f.outer = 1 - f.inner;
  } else {
    int in = inner > b.inner_low;
    int out = outer > b.outer_low;
    f.inner = in ? (out ? r->shared[0] : r->new_only[0]) : (out ? r->old_only[0] : r->redundant[0]);
    f.outer = in ? (out ? r->shared[1] : r->new_only[1]) : (out ? r->old_only[1] : r->redundant[1]);
  }
  return f;
}

#endif
