/*
 * Fusing stored weights: elements are widened a few hundred at a time into float32 that stays in
 * the cache, one plain loop for each step of the formula. Compiled once per instruction set.
 */
#include "fusion.h"

#include <math.h>
#include <string.h>

#include "philox.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

enum { SPAN = 512 };

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* ---- types ---- */

/* 2^112 moves a half's exponent, put where a float's is, to its place; it is exact, also for the
 * subnormal halves, which are subnormal floats before it. */
static float widen_f16(uint16_t half) {
  uint32_t rest = half & 0x7fffu;
  uint32_t finite = bits_of(float_of(rest << 13) * 0x1p112f);
  uint32_t bits = rest >= 0x7c00u ? 0x7f800000u | rest << 13 : finite;
  return float_of(bits | (uint32_t)(half & 0x8000u) << 16);
}

static uint16_t narrow_bf16(float x) {
  uint32_t bits = bits_of(x);
  uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
  uint32_t nan = bits >> 16 | 0x40u;
  return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

static uint16_t narrow_f16(float x) {
  uint32_t bits = bits_of(x);
  uint32_t rest = bits & 0x7fffffffu;
  /* The last bit of 0.5 as a float is 2^-24, the last bit of a subnormal half: the sum rounds there. */
  uint32_t subnormal = bits_of(float_of(rest) + 0.5f) - bits_of(0.5f);
  uint32_t normal = (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1)) >> 13;
  uint32_t half = rest < 0x38800000u ? subnormal : normal;
  half = rest >= 0x477ff000u ? 0x7c00u : half;
  half = rest > 0x7f800000u ? 0x7e00u : half;
  return (uint16_t)(half | (bits >> 16 & 0x8000u));
}

static void widen(float *restrict to, const kif_stored *from, int64_t begin, int count) {
  switch (from->type) {
    case KIF_BF16: {
      const unsigned char *data = (const unsigned char *)from->data + 2 * begin;
      for (int i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * i, 2);
        to[i] = float_of((uint32_t)half << 16);
      }
      break;
    }
    case KIF_F16: {
      const unsigned char *data = (const unsigned char *)from->data + 2 * begin;
      for (int i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * i, 2);
        to[i] = widen_f16(half);
      }
      break;
    }
    default:
      memcpy(to, (const unsigned char *)from->data + 4 * begin, 4 * (size_t)count);
  }
}

static void narrow(void *to, int32_t type, int64_t begin, const float *restrict from, int count) {
  uint16_t halves[SPAN];
  switch (type) {
    case KIF_BF16:
      for (int i = 0; i < count; i++) {
        halves[i] = narrow_bf16(from[i]);
      }
      memcpy((unsigned char *)to + 2 * begin, halves, 2 * (size_t)count);
      break;
    case KIF_F16:
      for (int i = 0; i < count; i++) {
        halves[i] = narrow_f16(from[i]);
      }
      memcpy((unsigned char *)to + 2 * begin, halves, 2 * (size_t)count);
      break;
    default:
      memcpy((unsigned char *)to + 4 * begin, from, 4 * (size_t)count);
  }
}

/* Of float32 results, as they are stored: rounding may overflow a half. */
static int64_t count_not_finite(const float *restrict x, int32_t type, int count) {
  /* The least magnitudes that round to infinity. */
  float limit = type == KIF_F16 ? 65520.0f : type == KIF_BF16 ? 0x1.ffp127f : INFINITY;
  int64_t found = 0;
  for (int i = 0; i < count; i++) {
    found += !(fabsf(x[i]) < limit);
  }
  return found;
}

/* ---- scores ---- */

static void scores(float *restrict to, const kif_stored *a, const kif_stored *b, int32_t kind,
                   int64_t begin, int count) {
  float other[SPAN];
  widen(to, a, begin, count);
  switch (kind) {
    case KIF_DIFFERENCE:
      widen(other, b, begin, count);
      for (int i = 0; i < count; i++) {
        to[i] = fabsf(to[i] - other[i]);
      }
      break;
    case KIF_PRODUCT:
      widen(other, b, begin, count);
      for (int i = 0; i < count; i++) {
        to[i] = fabsf(to[i] * other[i]);
      }
      break;
    default:
      for (int i = 0; i < count; i++) {
        to[i] = fabsf(to[i]);
      }
  }
}

static void histogram(const kif_stored *a, const kif_stored *b, int32_t kind, int64_t n,
                      int32_t level, uint32_t prefix, uint32_t *counts) {
  float score[SPAN];
  for (int64_t begin = 0; begin < n; begin += SPAN) {
    int count = (int)(n - begin < SPAN ? n - begin : SPAN);
    scores(score, a, b, kind, begin, count);
    if (level == 0) {
      for (int i = 0; i < count; i++) {
        counts[bits_of(score[i]) >> 15]++;
      }
    } else {
      for (int i = 0; i < count; i++) {
        uint32_t bits = bits_of(score[i]);
        if (bits >> 15 == prefix) {
          counts[bits & 0x7fffu]++;
        }
      }
    }
  }
}

static void range(const kif_stored *a, const kif_stored *b, int32_t kind, int64_t n, float *range) {
  float score[SPAN];
  /* As bits, which order as the scores do; NaN lies above infinity. */
  uint32_t least = UINT32_MAX, greatest = 0;
  for (int64_t begin = 0; begin < n; begin += SPAN) {
    int count = (int)(n - begin < SPAN ? n - begin : SPAN);
    scores(score, a, b, kind, begin, count);
    for (int i = 0; i < count; i++) {
      uint32_t bits = bits_of(score[i]);
      least = bits < least ? bits : least;
      greatest = bits > greatest ? bits : greatest;
    }
  }
  if (n == 0) {
    return;
  }
  if (greatest > 0x7f800000u || isnan(range[0])) {
    range[0] = range[1] = NAN;
    return;
  }
  range[0] = float_of(least) < range[0] ? float_of(least) : range[0];
  range[1] = float_of(greatest) > range[1] ? float_of(greatest) : range[1];
}

/* ---- combining ---- */

/* What each element of a task vector is multiplied by: kept_value, or 0 where it was not drawn. */
static void draw(float *restrict factor, const kif_combination *rule, uint32_t model,
                 int64_t first, int count) {
  words w;
  uint32_t drawn[4 * COUNTERS];
  const int64_t end = first + count;
  for (int64_t element = first; element < end;) {
    const uint64_t counter = (uint64_t)element / 4;
    const int64_t skipped = element % 4;
    /* Counters side by side differ in their lower word only. */
    const int64_t alike = (int64_t)(UINT64_C(0x100000000) - (uint32_t)counter);
    int64_t counters = (skipped + end - element + 3) / 4;
    counters = counters < COUNTERS ? counters : COUNTERS;
    counters = counters < alike ? counters : alike;
    philox((int)counters, (uint32_t)counter, (uint32_t)(counter >> 32), model, 0, rule->key, &w);
    for (int64_t j = 0; j < counters; j++) {
      drawn[4 * j] = w.x0[j];
      drawn[4 * j + 1] = w.x1[j];
      drawn[4 * j + 2] = w.x2[j];
      drawn[4 * j + 3] = w.x3[j];
    }
    int64_t part = 4 * counters - skipped;
    part = part < end - element ? part : end - element;
    for (int64_t i = 0; i < part; i++) {
      factor[element - first + i] =
          drawn[skipped + i] >> 8 < rule->drop_below ? 0.0f : rule->kept_value;
    }
    element += part;
  }
}

static int64_t combine(void *out, int32_t type, const kif_stored *base, const kif_stored *models,
                       const float *weights, const float *thresholds, int32_t count,
                       const kif_combination *rule, int64_t first, int64_t n) {
  const kif_combination r = *rule;
  float origin[SPAN], sum[SPAN], part[SPAN], result[SPAN];
  float vectors[KIF_MAX_MODELS][SPAN]; /* kept for the second look that a consensus needs */
  float takes[SPAN];
  int64_t not_finite = 0;
  for (int64_t begin = 0; begin < n; begin += SPAN) {
    const int span = (int)(n - begin < SPAN ? n - begin : SPAN);
    if (r.task_vectors) {
      widen(origin, base, begin, span);
    } else {
      memset(origin, 0, sizeof origin);
    }
    memset(sum, 0, sizeof sum);
    memset(part, 0, sizeof part);
    for (int32_t model = 0; model < count; model++) {
      float *restrict t = vectors[r.consensus ? model : 0];
      const float c = weights[model];
      widen(t, &models[model], begin, span);
      if (r.task_vectors) {
        for (int i = 0; i < span; i++) {
          t[i] = t[i] - origin[i];
        }
      }
      if (r.sparsity == KIF_LARGE) {
        const float threshold = thresholds[model];
        for (int i = 0; i < span; i++) {
          takes[i] = fabsf(t[i]) >= threshold ? 1.0f : 0.0f;
          t[i] = fabsf(t[i]) >= threshold ? t[i] : 0.0f;
        }
      } else if (r.sparsity == KIF_RANDOM) {
        draw(takes, rule, (uint32_t)model, first + begin, span);
        for (int i = 0; i < span; i++) {
          t[i] = takes[i] == 0.0f ? 0.0f : t[i] * takes[i];
        }
      }
      for (int i = 0; i < span; i++) {
        sum[i] = sum[i] + c * t[i];
      }
      if (r.normalize && !r.consensus) {
        if (r.sparsity == KIF_EVERY) {
          for (int i = 0; i < span; i++) {
            part[i] = part[i] + c;
          }
        } else {
          for (int i = 0; i < span; i++) {
            part[i] = part[i] + (takes[i] == 0.0f ? 0.0f : c);
          }
        }
      }
    }
    if (r.consensus) {
      /* Only what has the sign of the sum; zero has none. */
      float agreed[SPAN];
      memset(agreed, 0, sizeof agreed);
      for (int32_t model = 0; model < count; model++) {
        const float *restrict t = vectors[model];
        const float c = weights[model];
        for (int i = 0; i < span; i++) {
          int agrees = (t[i] > 0.0f && sum[i] > 0.0f) || (t[i] < 0.0f && sum[i] < 0.0f);
          agreed[i] = agreed[i] + (agrees ? c * t[i] : 0.0f);
          part[i] = part[i] + (agrees ? c : 0.0f);
        }
      }
      memcpy(sum, agreed, sizeof sum);
    }
    if (r.normalize) {
      for (int i = 0; i < span; i++) {
        sum[i] = sum[i] / (part[i] == 0.0f ? 1.0f : part[i]);
      }
    }
    if (r.task_vectors) {
      for (int i = 0; i < span; i++) {
        result[i] = origin[i] + r.scale * sum[i];
      }
    } else {
      for (int i = 0; i < span; i++) {
        result[i] = r.scale * sum[i];
      }
    }
    not_finite += count_not_finite(result, type, span);
    narrow(out, type, begin, result, span);
  }
  return not_finite;
}

INLINE void merge_of(int weighting, float *restrict result, const float *restrict origin,
                     const float *restrict learned, const float *restrict kept,
                     const float *restrict to_new, const float *restrict to_old, kif_bounds bounds,
                     const kif_merge_rule *rule, int count) {
  for (int i = 0; i < count; i++) {
    kif_factors f = kif_factors_of(weighting, to_new[i], to_old[i], bounds, rule);
    result[i] =
        origin[i] + (f.inner * (learned[i] - origin[i]) + f.outer * (kept[i] - origin[i]));
  }
}

static int64_t merge(void *out, int32_t type, const kif_stored *base, const kif_stored *new_model,
                     const kif_stored *old_model, const kif_stored *new_score,
                     const kif_stored *old_score, int32_t score_kind, kif_bounds bounds,
                     const kif_merge_rule *rule, int64_t n) {
  const kif_merge_rule r = *rule;
  float origin[SPAN], learned[SPAN], kept[SPAN], to_new[SPAN], to_old[SPAN], result[SPAN];
  int64_t not_finite = 0;
  for (int64_t begin = 0; begin < n; begin += SPAN) {
    const int span = (int)(n - begin < SPAN ? n - begin : SPAN);
    widen(origin, base, begin, span);
    widen(learned, new_model, begin, span);
    widen(kept, old_model, begin, span);
    scores(to_new, &new_score[0], &new_score[1], score_kind, begin, span);
    scores(to_old, &old_score[0], &old_score[1], score_kind, begin, span);
    if (r.weighting == KIF_SOFT) {
      merge_of(KIF_SOFT, result, origin, learned, kept, to_new, to_old, bounds, &r, span);
    } else {
      merge_of(KIF_MASKS, result, origin, learned, kept, to_new, to_old, bounds, &r, span);
    }
    not_finite += count_not_finite(result, type, span);
    narrow(out, type, begin, result, span);
  }
  return not_finite;
}

const kif_fusion JOIN(kif_fusion_, KIF_TIER) = {histogram, range, combine, merge};
