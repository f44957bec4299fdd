/* The loops behind kif_stored_..., one table per instruction set. */
#ifndef KIF_FUSION_H
#define KIF_FUSION_H

#include "kif.h"
#include "weighting.h"

typedef struct {
  void (*histogram)(const kif_stored *a, const kif_stored *b, int32_t kind, int64_t n,
                    int32_t level, uint32_t prefix, uint32_t *counts);
  void (*range)(const kif_stored *a, const kif_stored *b, int32_t kind, int64_t n, float *range);
  int64_t (*combine)(void *out, int32_t type, const kif_stored *base, const kif_stored *models,
                     const float *weights, const float *thresholds, int32_t count,
                     const kif_combination *rule, int64_t first, int64_t n);
  int64_t (*merge)(void *out, int32_t type, const kif_stored *base, const kif_stored *new_model,
                   const kif_stored *old_model, const kif_stored *new_score,
                   const kif_stored *old_score, int32_t score_kind, kif_bounds bounds,
                   const kif_merge_rule *rule, int64_t n);
} kif_fusion;

extern const kif_fusion kif_fusion_baseline;
#ifdef KIF_X86_TIERS
extern const kif_fusion kif_fusion_avx2;
extern const kif_fusion kif_fusion_avx512;
#endif

#endif
