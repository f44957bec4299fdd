/* The bodies of the operations on a range of elements, one table of them per instruction set. */
#ifndef KIF_OPERATIONS_H
#define KIF_OPERATIONS_H

#include "kif.h"
#include "weighting.h"

enum {
  NORM_BLOCK = 4096, /* elements of one leaf of the tree of a norm */
  NORM_LANES = 256,
  DIGIT = 11, /* bits of a magnitude that one pass of a radix selection tells apart */
  BINS = 1 << DIGIT,
  HISTOGRAMS = 4, /* equal neighbours then do not wait for each other's count */
  MAGNITUDE = 31  /* bits */
};

/* What one thread has seen in one pass of a selection. */
typedef struct {
  uint32_t counts[HISTOGRAMS][BINS];
  uint64_t totals[BINS];
  int64_t uncollected; /* elements in counts that are not in totals yet */
  uint32_t next; /* how far the smallest magnitude beyond those counted lies from their end */
} kif_histogram;

/* What lies in a bracket of magnitudes, and how many elements lie below it. */
typedef struct {
  int64_t below;
  int64_t inside;
  int32_t largest; /* magnitude of all, as bits */
} kif_bracketed;

/* Magnitudes as bits, zeros apart. */
typedef struct {
  uint32_t largest;
  uint32_t least_less_one; /* of those that are not zero; less one, which makes zero the largest */
  int64_t zeros;
} kif_extent;

typedef struct {
  const float *inner_I, *inner_U, *outer_I, *outer_U;
} kif_scores;

typedef struct {
  void (*accumulate)(float *sum, const float *term, float scale, int64_t begin, int64_t end);
  void (*accumulate_product)(float *sum, const float *a, const float *b, float scale,
                             int64_t begin, int64_t end);
  double (*norm_block)(const float *v, int64_t count);
  void (*adamw)(float *w, const float *g, float *m, float *v, float clip,
                const kif_adamw_step *step, int64_t begin, int64_t end);
  void (*importance)(const float *w, const float *g, float *I, float *U, float clip,
                     const kif_importance_rule *rule, int64_t begin, int64_t end);
  void (*adamw_importance)(float *w, const float *g, float *m, float *v, float *I, float *U,
                           float clip, const kif_adamw_step *step, const kif_importance_rule *rule,
                           int64_t begin, int64_t end);
  /* Writes the magnitudes of the scores at the given places. */
  void (*gather)(const float *I, const float *U, int32_t score, const int64_t *places,
                 int64_t count, float *magnitudes);
  /* Adds up what is in the bracket [low, high] and writes its magnitudes. */
  void (*bracket)(const float *I, const float *U, int32_t score, uint32_t low, uint32_t high,
                  int64_t begin, int64_t end, float *magnitudes, kif_bracketed *found);
  /* Counts the magnitudes from first on by their distance from it, in bins of 2^shift. */
  void (*count)(const float *I, const float *U, int32_t score, uint32_t first, int bits, int shift,
                int64_t begin, int64_t end, kif_histogram *histogram);
  /* Widens the extent to the magnitudes of the scores. */
  void (*range)(const float *I, const float *U, int32_t score, int64_t begin, int64_t end,
                kif_extent *found);
  void (*merge)(float *w, float *base, const float *snapshot, float *inner_I, float *inner_U,
                float *outer_I, float *outer_U, kif_bounds bounds, const kif_merge_rule *rule,
                int64_t begin, int64_t end);
  /* Adds to the counts of both, inner only, outer only. */
  void (*mask_counts)(const kif_scores *scores, kif_bounds bounds, int32_t score, int64_t begin,
                      int64_t end, int64_t counts[3]);
  void (*dropout_row)(float *row, int64_t columns, uint32_t row_number, uint32_t plane,
                      uint32_t place, uint64_t key, uint32_t drop_below, float kept_value);
} kif_operations;

/* The instruction set that KIF_ISA_BEST stands for; 0 where KIF_MAX_ISA makes no sense. */
int32_t kif_allowed_isa(void);

extern const kif_operations kif_operations_baseline;
#ifdef KIF_X86_TIERS
extern const kif_operations kif_operations_avx2;
extern const kif_operations kif_operations_avx512;
#endif

#endif
