/* Packs weights for product.c and head_loss.c. The layouts are those of tile.h and bf16.h, for all
 * tiers the same. */
#include "bf16.h"

void kif_pack(const float *weight, int64_t rows, int64_t columns, int transposed, int bf16,
              float *panels) {
  const int64_t depth = transposed ? columns : rows, width = transposed ? rows : columns;
  if (!bf16) {
    if (transposed) {
      pack_columns(weight, columns, depth, width, panels);
    } else {
      pack_rows(weight, columns, depth, width, panels);
    }
    return;
  }
  const int64_t along = transposed ? 1 : columns, across = transposed ? columns : 1;
  for (int64_t n = 0; n < width; n += PANEL) {
    for (int64_t k = 0; k < depth; k += 2, panels += PANEL) {
      for (int64_t j = 0; j < PANEL; j++) {
        float pair[2] = {0};
        if (n + j < width) {
          const float *first = weight + (n + j) * across + k * along;
          pair[0] = first[0];
          pair[1] = k + 1 < depth ? first[along] : 0;
        }
        int32_t word;
        to_pairs(pair, 1, &word);
        memcpy(panels + j, &word, sizeof word);
      }
    }
  }
}
