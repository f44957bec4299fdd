/* The operators as they are compiled for each instruction set. */
#ifndef KIF_TIERS_H
#define KIF_TIERS_H

#include "operators.h"

enum { KIF_MAX_OPERATORS = 24 };

typedef struct {
  const char *name;
  const kif_operator *const *operators; /* NULL ends them */
} kif_tier;

extern const kif_tier kif_tier_baseline, kif_tier_avx2, kif_tier_avx512, kif_tier_avx512bf16,
    kif_tier_amx;

#endif
