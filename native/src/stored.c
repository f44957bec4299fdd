/* kif_stored_... of kif.h: arguments are checked, and the loops of the processor called. */
#include <math.h>
#include <stddef.h>

#include "fusion.h"
#include "modes.h"
#include "operations.h"

static const kif_fusion *fusion(void) {
  switch (kif_allowed_isa()) {
    case 0:
      return NULL;
#ifdef KIF_X86_TIERS
    case KIF_ISA_AVX2:
      return &kif_fusion_avx2;
    case KIF_ISA_AVX512:
      return &kif_fusion_avx512;
#endif
    default:
      return &kif_fusion_baseline;
  }
}

static int usable(const kif_stored *array, int64_t n) {
  return array != NULL && (array->data != NULL || n == 0) && array->type >= KIF_F32 &&
         array->type <= KIF_BF16;
}

int32_t kif_stored_histogram(const kif_stored *a, const kif_stored *b, int32_t kind, int64_t n,
                             int32_t level, uint32_t prefix,
                             uint32_t counts[KIF_HISTOGRAM_SIZE]) {
  if (n < 0 || !usable(a, n) || kind < KIF_DIFFERENCE || kind > KIF_PRODUCT ||
      (kind != KIF_VALUE && !usable(b, n)) || level < 0 || level > 1 ||
      prefix >= KIF_HISTOGRAM_SIZE || counts == NULL) {
    return KIF_INVALID_ARGUMENT;
  }
  const kif_fusion *loops = fusion();
  if (loops == NULL) {
    return KIF_BAD_ENVIRONMENT;
  }
  kif_modes before = kif_use_default_modes();
  loops->histogram(a, b, kind, n, level, prefix, counts);
  kif_restore_modes(before);
  return KIF_OK;
}

int32_t kif_stored_range(const kif_stored *a, const kif_stored *b, int32_t kind, int64_t n,
                         float range[2]) {
  if (n < 0 || !usable(a, n) || kind < KIF_DIFFERENCE || kind > KIF_PRODUCT ||
      (kind != KIF_VALUE && !usable(b, n)) || range == NULL) {
    return KIF_INVALID_ARGUMENT;
  }
  const kif_fusion *loops = fusion();
  if (loops == NULL) {
    return KIF_BAD_ENVIRONMENT;
  }
  kif_modes before = kif_use_default_modes();
  loops->range(a, b, kind, n, range);
  kif_restore_modes(before);
  return KIF_OK;
}

int32_t kif_stored_combine(void *out, int32_t type, const kif_stored *base,
                           const kif_stored *models, const float *weights,
                           const float *thresholds, int32_t count, const kif_combination *rule,
                           int64_t first, int64_t n, int64_t *not_finite) {
  if (n < 0 || first < 0 || (out == NULL && n > 0) || type < KIF_F32 || type > KIF_BF16 ||
      models == NULL || weights == NULL || count < 1 || count > KIF_MAX_MODELS || rule == NULL ||
      not_finite == NULL || rule->sparsity < KIF_EVERY || rule->sparsity > KIF_RANDOM ||
      (rule->task_vectors && !usable(base, n)) ||
      (rule->sparsity == KIF_LARGE && thresholds == NULL)) {
    return KIF_INVALID_ARGUMENT;
  }
  for (int32_t i = 0; i < count; i++) {
    if (!usable(&models[i], n)) {
      return KIF_INVALID_ARGUMENT;
    }
  }
  const kif_fusion *loops = fusion();
  if (loops == NULL) {
    return KIF_BAD_ENVIRONMENT;
  }
  kif_modes before = kif_use_default_modes();
  *not_finite +=
      loops->combine(out, type, base, models, weights, thresholds, count, rule, first, n);
  kif_restore_modes(before);
  return KIF_OK;
}

int32_t kif_stored_merge(void *out, int32_t type, const kif_stored *base,
                         const kif_stored *new_model, const kif_stored *old_model,
                         const kif_stored new_score[2], const kif_stored old_score[2],
                         int32_t score_kind, const float new_bounds[2], const float old_bounds[2],
                         const kif_merge_rule *rule, int64_t n, int64_t *not_finite) {
  if (n < 0 || (out == NULL && n > 0) || type < KIF_F32 || type > KIF_BF16 || !usable(base, n) ||
      !usable(new_model, n) || !usable(old_model, n) || score_kind < KIF_DIFFERENCE ||
      score_kind > KIF_PRODUCT || new_score == NULL || old_score == NULL ||
      !usable(&new_score[0], n) || !usable(&old_score[0], n) ||
      (score_kind != KIF_VALUE && (!usable(&new_score[1], n) || !usable(&old_score[1], n))) ||
      new_bounds == NULL || old_bounds == NULL || rule == NULL || not_finite == NULL ||
      (rule->weighting != KIF_MASKS &&
       !(rule->weighting == KIF_SOFT && rule->temperature > 0 && rule->temperature < INFINITY))) {
    return KIF_INVALID_ARGUMENT;
  }
  const kif_fusion *loops = fusion();
  if (loops == NULL) {
    return KIF_BAD_ENVIRONMENT;
  }
  kif_modes before = kif_use_default_modes();
  const kif_bounds bounds = {new_bounds[0], new_bounds[1], old_bounds[0], old_bounds[1]};
  *not_finite += loops->merge(out, type, base, new_model, old_model, new_score, old_score,
                              score_kind, bounds, rule, n);
  kif_restore_modes(before);
  return KIF_OK;
}
