/* All operators of one instruction set. */
#include "tiers.h"

#define KIF_TEXT_(a) #a
#define KIF_TEXT(a) KIF_TEXT_(a)

#define OPERATORS(X)       \
  X(packed_attention)      \
  X(packed_attention_grad) \
  X(frozen_product)        \
  X(frozen_product_masked) \
  X(head_loss)             \
  X(head_product)          \
  X(rms_norm_grad)         \
  X(drop)                  \
  X(drop_add)              \
  X(rotary)                \
  X(gate)                  \
  X(gate_grad)             \
  X(low_rank_update)       \
  X(low_rank_update_grad)  \
  X(next_token)

#define DECLARE(name) extern const kif_operator KIF_OF_TIER(name);
OPERATORS(DECLARE)

#define ADDRESS(name) &KIF_OF_TIER(name),
static const kif_operator *const operators[] = {OPERATORS(ADDRESS) NULL};

_Static_assert(sizeof operators / sizeof *operators - 1 <= KIF_MAX_OPERATORS, "raise the limit");

const kif_tier KIF_OF_TIER(kif_tier) = {
    .name = KIF_TEXT(KIF_TIER),
    .operators = operators,
};
