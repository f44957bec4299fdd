/*
 * One body per operation, in plain C that compilers vectorise. The build compiles this file once
 * per instruction set, with KIF_TIER naming it.
 */
#include "operations.h"

#include <math.h>
#include <string.h>

#include "philox.h"

#ifdef __FAST_MATH__
#error "fast-math would change results"
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

/* INLINE functions get constant arguments, so that a formula or a flag costs no branch in a loop. */

INLINE uint32_t magnitude(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x7fffffffu;
}

INLINE float sensitivity(int formula, float w, float g) {
  float p = w * g;
  switch (formula) {
    case KIF_SECOND_ORDER:
      return fabsf(p * p);
    case KIF_MIXED:
      return fabsf(p - 0.5f * (p * p));
    default:
      return fabsf(p);
  }
}

INLINE float score_of(int score, const float *I, const float *U, int64_t i) {
  return score == KIF_SENSITIVITY ? I[i] : I[i] * U[i];
}

static void accumulate(float *restrict sum, const float *restrict term, float scale, int64_t begin,
                       int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    sum[i] = sum[i] + scale * term[i];
  }
}

static void accumulate_product(float *restrict sum, const float *a, const float *b, float scale,
                               int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    sum[i] = sum[i] + scale * (a[i] * b[i]);
  }
}

static double norm_block(const float *restrict v, int64_t count) {
  double lanes[NORM_LANES] = {0};
  int64_t i = 0;
  for (; i + NORM_LANES <= count; i += NORM_LANES) {
    for (int j = 0; j < NORM_LANES; j++) {
      double x = v[i + j];
      lanes[j] += x * x;
    }
  }
  for (int j = 0; i + j < count; j++) {
    double x = v[i + j];
    lanes[j] += x * x;
  }
  for (int width = NORM_LANES / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; j++) {
      lanes[j] += lanes[j + width];
    }
  }
  return lanes[0];
}

/* The element-wise updates, shared by the operation of their own and the fused one. */

INLINE float adamw_element(float w, float h, float *m, float *v, kif_adamw_step s) {
  *m = *m + s.gain1 * (h - *m);
  *v = s.decay2 * *v + s.gain2 * (h * h);
  return s.decay * w - s.step_size * (*m / (sqrtf(*v) / s.correction2 + s.epsilon));
}

INLINE void importance_element(int formula, float w, float h, float *I, float *U,
                               kif_importance_rule r) {
  float s = sensitivity(formula, w, h);
  *I = r.decay1 * *I + r.gain1 * s;
  *U = r.decay2 * *U + r.gain2 * fabsf(s - *I);
}

static void adamw(float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
                  float clip, const kif_adamw_step *step, int64_t begin, int64_t end) {
  const kif_adamw_step s = *step;
  for (int64_t i = begin; i < end; i++) {
    w[i] = adamw_element(w[i], g[i] * clip, &m[i], &v[i], s);
  }
}

INLINE void importance_of(int formula, const float *restrict w, const float *restrict g,
                          float *restrict I, float *restrict U, float clip, kif_importance_rule r,
                          int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    importance_element(formula, w[i], g[i] * clip, &I[i], &U[i], r);
  }
}

static void importance(const float *w, const float *g, float *I, float *U, float clip,
                       const kif_importance_rule *rule, int64_t begin, int64_t end) {
  switch (rule->formula) {
    case KIF_SECOND_ORDER:
      importance_of(KIF_SECOND_ORDER, w, g, I, U, clip, *rule, begin, end);
      break;
    case KIF_MIXED:
      importance_of(KIF_MIXED, w, g, I, U, clip, *rule, begin, end);
      break;
    default:
      importance_of(KIF_FIRST_ORDER, w, g, I, U, clip, *rule, begin, end);
  }
}

INLINE void adamw_importance_of(int formula, float *restrict w, const float *restrict g,
                                float *restrict m, float *restrict v, float *restrict I,
                                float *restrict U, float clip, kif_adamw_step s,
                                kif_importance_rule r, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    float h = g[i] * clip;
    w[i] = adamw_element(w[i], h, &m[i], &v[i], s);
    importance_element(formula, w[i], h, &I[i], &U[i], r);
  }
}

static void adamw_importance(float *w, const float *g, float *m, float *v, float *I, float *U,
                             float clip, const kif_adamw_step *step,
                             const kif_importance_rule *rule, int64_t begin, int64_t end) {
  switch (rule->formula) {
    case KIF_SECOND_ORDER:
      adamw_importance_of(KIF_SECOND_ORDER, w, g, m, v, I, U, clip, *step, *rule, begin, end);
      break;
    case KIF_MIXED:
      adamw_importance_of(KIF_MIXED, w, g, m, v, I, U, clip, *step, *rule, begin, end);
      break;
    default:
      adamw_importance_of(KIF_FIRST_ORDER, w, g, m, v, I, U, clip, *step, *rule, begin, end);
  }
}

/*
 * Non-negative floats order like their bits, so digits of the bits select by rank. Magnitudes are
 * computed in short runs by vector instructions; those of interest, which are few, are then looked
 * at one by one.
 */
enum { RUN = 512, WORD = 64 };

/* Bit j is byte j, each of which is 0 or 1. */
INLINE uint64_t bits_of_bytes(const uint8_t *bytes) {
  uint64_t bits = 0;
  for (int k = 0; k < WORD / 8; k++) {
    uint64_t eight;
    memcpy(&eight, bytes + 8 * k, sizeof eight);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    eight = __builtin_bswap64(eight);
#endif
    /* The product moves byte j, which is bit 8*j, to bit 56 + j and nothing else to there. */
    bits |= (eight * UINT64_C(0x0102040810204080) >> 56) << 8 * k;
  }
  return bits;
}

static void gather(const float *I, const float *U, int32_t score, const int64_t *places,
                   int64_t count, float *magnitudes) {
  for (int64_t i = 0; i < count; i++) {
    magnitudes[i] = fabsf(score_of(score, I, U, places[i]));
  }
}

INLINE void bracket_of(int score, const float *restrict I, const float *restrict U, int32_t low,
                       int32_t high, int64_t begin, int64_t end, float *restrict magnitudes,
                       kif_bracketed *restrict found) {
  int32_t run[RUN];
  uint8_t inside[RUN];
  int64_t kept = 0;
  int32_t largest = found->largest;
  for (int64_t i = begin; i < end; i += RUN) {
    int count = end - i < RUN ? (int)(end - i) : RUN;
    int32_t below = 0;
    for (int j = 0; j < count; j++) {
      int32_t bits = (int32_t)magnitude(score_of(score, I, U, i + j));
      run[j] = bits;
      largest = bits > largest ? bits : largest;
      below += bits < low;
      inside[j] = (bits >= low) & (bits <= high);
    }
    found->below += below;
    int j = 0;
    for (; j + WORD <= count; j += WORD) {
      for (uint64_t set = bits_of_bytes(inside + j); set != 0; set &= set - 1) {
        memcpy(&magnitudes[kept++], &run[j + __builtin_ctzll(set)], sizeof(float));
      }
    }
    for (; j < count; j++) {
      if (inside[j]) {
        memcpy(&magnitudes[kept++], &run[j], sizeof(float));
      }
    }
  }
  found->inside += kept;
  found->largest = largest;
}

static void bracket(const float *I, const float *U, int32_t score, uint32_t low, uint32_t high,
                    int64_t begin, int64_t end, float *magnitudes, kif_bracketed *found) {
  if (score == KIF_SENSITIVITY) {
    bracket_of(KIF_SENSITIVITY, I, I, (int32_t)low, (int32_t)high, begin, end, magnitudes, found);
  } else {
    bracket_of(KIF_SENSITIVITY_TIMES_UNCERTAINTY, I, U, (int32_t)low, (int32_t)high, begin, end,
               magnitudes, found);
  }
}

INLINE void count_of(int score, const float *restrict I, const float *restrict U, uint32_t first,
                     int bits, int shift, int64_t begin, int64_t end,
                     kif_histogram *restrict histogram) {
  const uint32_t span = 1u << bits;
  uint32_t offsets[RUN]; /* from the first magnitude; smaller ones wrap around */
  uint32_t next = histogram->next;
  for (int64_t i = begin; i < end; i += RUN) {
    int count = end - i < RUN ? (int)(end - i) : RUN;
    uint32_t nearest = UINT32_MAX;
    uint32_t beyond = UINT32_MAX;
    for (int j = 0; j < count; j++) {
      uint32_t offset = magnitude(score_of(score, I, U, i + j)) - first;
      offsets[j] = offset;
      nearest = offset < nearest ? offset : nearest;
      beyond = offset - span < beyond ? offset - span : beyond;
    }
    next = beyond < next ? beyond : next;
    if (nearest >= span) {
      continue; /* as almost every run before the last digit */
    }
    int kept = 0;
    for (int j = 0; j < count; j++) {
      uint32_t offset = offsets[j];
      offsets[kept] = offset;
      kept += offset < span;
    }
    for (int j = 0; j < kept; j++) {
      histogram->counts[j % HISTOGRAMS][offsets[j] >> shift]++;
    }
  }
  histogram->next = next;
}

static void count(const float *I, const float *U, int32_t score, uint32_t first, int bits,
                  int shift, int64_t begin, int64_t end, kif_histogram *histogram) {
  if (score == KIF_SENSITIVITY) {
    count_of(KIF_SENSITIVITY, I, I, first, bits, shift, begin, end, histogram);
  } else {
    count_of(KIF_SENSITIVITY_TIMES_UNCERTAINTY, I, U, first, bits, shift, begin, end, histogram);
  }
}

INLINE void range_of(int score, const float *restrict I, const float *restrict U, int64_t begin,
                     int64_t end, kif_extent *restrict found) {
  uint32_t largest = found->largest;
  uint32_t least = found->least_less_one;
  for (int64_t i = begin; i < end;) {
    /* 32-bit sums over a run that cannot overflow them */
    int64_t stop = end - i < 1 << 20 ? end : i + (1 << 20);
    uint32_t zeros = 0;
    for (; i < stop; i++) {
      uint32_t bits = magnitude(score_of(score, I, U, i));
      largest = bits > largest ? bits : largest;
      least = bits - 1 < least ? bits - 1 : least;
      zeros += bits == 0;
    }
    found->zeros += zeros;
  }
  found->largest = largest;
  found->least_less_one = least;
}

static void range(const float *I, const float *U, int32_t score, int64_t begin, int64_t end,
                  kif_extent *found) {
  if (score == KIF_SENSITIVITY) {
    range_of(KIF_SENSITIVITY, I, I, begin, end, found);
  } else {
    range_of(KIF_SENSITIVITY_TIMES_UNCERTAINTY, I, U, begin, end, found);
  }
}

INLINE void merge_of(int weighting, int score, int reset_inner, int reset_outer, float *restrict w,
                     float *restrict base, const float *restrict snapshot, float *restrict inner_I,
                     float *restrict inner_U, float *restrict outer_I, float *restrict outer_U,
                     kif_bounds bounds, kif_merge_rule r, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    kif_factors f = kif_factors_of(weighting, score_of(score, inner_I, inner_U, i),
                                   score_of(score, outer_I, outer_U, i), bounds, &r);
    float merged = base[i] + (f.inner * (snapshot[i] - base[i]) + f.outer * (w[i] - snapshot[i]));
    w[i] = merged;
    base[i] = merged;
    if (reset_inner) {
      inner_I[i] = 0;
      inner_U[i] = 0;
    }
    if (reset_outer) {
      outer_I[i] = 0;
      outer_U[i] = 0;
    }
  }
}

static void merge(float *w, float *base, const float *snapshot, float *inner_I, float *inner_U,
                  float *outer_I, float *outer_U, kif_bounds bounds, const kif_merge_rule *rule,
                  int64_t begin, int64_t end) {
#define MERGE(weighting, score, reset_inner, reset_outer)                                        \
  merge_of(weighting, score, reset_inner, reset_outer, w, base, snapshot, inner_I, inner_U,      \
           outer_I, outer_U, bounds, *rule, begin, end)
#define MERGE_RESETTING(weighting, score)                                        \
  switch ((rule->reset_inner != 0) * 2 + (rule->reset_outer != 0)) {             \
    case 0:                                                                      \
      MERGE(weighting, score, 0, 0);                                             \
      break;                                                                     \
    case 1:                                                                      \
      MERGE(weighting, score, 0, 1);                                             \
      break;                                                                     \
    case 2:                                                                      \
      MERGE(weighting, score, 1, 0);                                             \
      break;                                                                     \
    default:                                                                     \
      MERGE(weighting, score, 1, 1);                                             \
  }
  if (rule->weighting == KIF_SOFT) {
    if (rule->score == KIF_SENSITIVITY) {
      MERGE_RESETTING(KIF_SOFT, KIF_SENSITIVITY)
    } else {
      MERGE_RESETTING(KIF_SOFT, KIF_SENSITIVITY_TIMES_UNCERTAINTY)
    }
  } else if (rule->score == KIF_SENSITIVITY) {
    MERGE_RESETTING(KIF_MASKS, KIF_SENSITIVITY)
  } else {
    MERGE_RESETTING(KIF_MASKS, KIF_SENSITIVITY_TIMES_UNCERTAINTY)
  }
#undef MERGE_RESETTING
#undef MERGE
}

INLINE void mask_counts_of(int score, const kif_scores *scores, kif_bounds bounds, int64_t begin,
                           int64_t end, int64_t counts[3]) {
  const kif_scores s = *scores;
  for (int64_t i = begin; i < end;) {
    /* 32-bit sums over a run that cannot overflow them */
    int64_t stop = end - i < 1 << 20 ? end : i + (1 << 20);
    int32_t both = 0, inner = 0, outer = 0;
    for (; i < stop; i++) {
      int in = score_of(score, s.inner_I, s.inner_U, i) > bounds.inner_low;
      int out = score_of(score, s.outer_I, s.outer_U, i) > bounds.outer_low;
      both += in & out;
      inner += in;
      outer += out;
    }
    counts[0] += both;
    counts[1] += inner - both;
    counts[2] += outer - both;
  }
}

static void mask_counts(const kif_scores *scores, kif_bounds bounds, int32_t score, int64_t begin,
                        int64_t end, int64_t counts[3]) {
  if (score == KIF_SENSITIVITY) {
    mask_counts_of(KIF_SENSITIVITY, scores, bounds, begin, end, counts);
  } else {
    mask_counts_of(KIF_SENSITIVITY_TIMES_UNCERTAINTY, scores, bounds, begin, end, counts);
  }
}

static void dropout_row(float *restrict row, int64_t columns, uint32_t row_number, uint32_t plane,
                        uint32_t place, uint64_t key, uint32_t drop_below, float kept_value) {
  words w;
  float values[4 * COUNTERS];
  const int32_t bound = (int32_t)drop_below; /* both sides are below 2^25 */
  for (int64_t column = 0; column < columns; column += 4 * COUNTERS) {
    int64_t rest = columns - column;
    int count = rest < 4 * COUNTERS ? (int)rest : 4 * COUNTERS;
    int counters = (count + 3) / 4;
    philox(counters, (uint32_t)(column / 4), row_number, plane, place, key, &w);
    for (int j = 0; j < counters; j++) {
      values[4 * j] = (int32_t)(w.x0[j] >> 8) < bound ? 0 : kept_value;
      values[4 * j + 1] = (int32_t)(w.x1[j] >> 8) < bound ? 0 : kept_value;
      values[4 * j + 2] = (int32_t)(w.x2[j] >> 8) < bound ? 0 : kept_value;
      values[4 * j + 3] = (int32_t)(w.x3[j] >> 8) < bound ? 0 : kept_value;
    }
    memcpy(row + column, values, sizeof(float) * (size_t)count);
  }
}

const kif_operations JOIN(kif_operations_, KIF_TIER) = {
    .accumulate = accumulate,
    .accumulate_product = accumulate_product,
    .norm_block = norm_block,
    .adamw = adamw,
    .importance = importance,
    .adamw_importance = adamw_importance,
    .gather = gather,
    .bracket = bracket,
    .count = count,
    .range = range,
    .merge = merge,
    .mask_counts = mask_counts,
    .dropout_row = dropout_row,
};
