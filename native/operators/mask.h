/*
 * Dropout, as DropoutMask in Java has it: element (plane, row, column) reads word column % 4 of
 * Philox 4x32-10 at counter (column / 4, row, plane, place) under its key, and is dropped where
 * the word's upper 24 bits lie below probability * 2^24; what is kept is times 1 / (1 - p).
 *
 * Packed rows number their elements as the padded batch would: keys [B, 3] has, for each sequence,
 * the random key of its micro-batch, its plane (its number within it), and `first`, the position of
 * its first token within its padded row.
 */
#ifndef KIF_MASK_H
#define KIF_MASK_H

#include <math.h>
#include <string.h>

#include "../src/philox.h"
#include "operators.h"

typedef struct {
  uint32_t place;
  uint32_t drop_below;
  float kept_value;
} kif_dropout;

static inline OrtStatus *dropout_of(const kif_node *node, const OrtKernelInfo *info,
                                    kif_dropout *dropout) {
  float probability = kif_float(node, info, "probability", 0);
  if (!(probability >= 0 && probability < 1)) {
    return kif_refuse(node, "attribute 'probability' must lie in [0, 1), but is %g",
                      (double)probability);
  }
  dropout->place = (uint32_t)kif_int(node, info, "place", 0);
  dropout->drop_below = (uint32_t)ceil((double)probability * (1 << 24));
  dropout->kept_value = (float)(1 / (1 - (double)probability));
  return NULL;
}

/* What the keys say of a sequence. */
typedef struct {
  uint64_t key;
  int64_t plane, first;
} kif_key;

INLINE kif_key key_of(const int64_t *keys, int64_t sequence) {
  const int64_t *k = keys + 3 * sequence;
  return (kif_key){.key = (uint64_t)k[0], .plane = k[1], .first = k[2]};
}

/* The mask, 0 or the kept value, of the elements [begin, begin + count) of one row. */
static __attribute__((unused)) void mask_row(const kif_dropout *dropout, uint64_t key,
                                             int64_t plane, int64_t row, int64_t begin,
                                             int64_t count, float *mask) {
  words w;
  float values[4 * COUNTERS];
  const int32_t bound = (int32_t)dropout->drop_below;
  const float kept = dropout->kept_value;
  for (int64_t column = begin - begin % 4; column < begin + count; column += 4 * COUNTERS) {
    philox(COUNTERS, (uint32_t)(column / 4), (uint32_t)row, (uint32_t)plane, dropout->place, key,
           &w);
    for (int j = 0; j < COUNTERS; j++) {
      values[4 * j] = (int32_t)(w.x0[j] >> 8) < bound ? 0 : kept;
      values[4 * j + 1] = (int32_t)(w.x1[j] >> 8) < bound ? 0 : kept;
      values[4 * j + 2] = (int32_t)(w.x2[j] >> 8) < bound ? 0 : kept;
      values[4 * j + 3] = (int32_t)(w.x3[j] >> 8) < bound ? 0 : kept;
    }
    int64_t from = kif_max(column, begin), to = kif_min(column + 4 * COUNTERS, begin + count);
    memcpy(mask + (from - begin), values + (from - column), sizeof(float) * (size_t)(to - from));
  }
}

#endif
