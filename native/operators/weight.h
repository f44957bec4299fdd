/*
 * Products with a weight that is read where it lies, a row-major matrix or its transpose. It is packed
 * in panels (tile.h, bf16.h) anew in each call, which costs as much as ten more rows, and no copy of it
 * is kept: it may be a mapped file whose pages all processes share.
 */
#ifndef KIF_WEIGHT_H
#define KIF_WEIGHT_H

#include "parts.h"

enum { WEIGHT_COLUMNS = 64 };

/* B [depth, columns]: element (k, n) lies at k * stride + n or, if transposed, n * stride + k. */
typedef struct {
  const float *data;
  int64_t stride;
  int transposed;
} weight;

/* From that element on. */
INLINE const float *weight_at(weight b, int64_t k, int64_t n) {
  return b.data + (b.transposed ? n * b.stride + k : k * b.stride + n);
}

/* Packs B's depth from k on and its columns from `column` on. */
static inline void pack_weight(weight b, held how, int64_t k, int64_t depth, int64_t column,
                               int64_t columns, float *target) {
  const float *corner = weight_at(b, k, column);
  if (b.transposed) {
    right_of_columns(how, corner, b.stride, depth, columns, target);
  } else {
    right_of_rows(how, corner, b.stride, depth, columns, target);
  }
}

/* A: rows of float32 or, where words are there, of bf16 (to_words). */
typedef struct {
  const float *data;
  const int32_t *words;
  int64_t stride; /* of what is there */
} left;

/* From that row on. */
INLINE left left_from(left a, int64_t row) {
  return (left){a.data + row * a.stride, a.words == NULL ? NULL : a.words + row * a.stride,
                a.stride};
}

/* C [rows, columns] (+)= A B over depth k to k + depth of A; B packed, from k on. */
INLINE void multiply_packed(int64_t rows, int64_t columns, int64_t k, int64_t depth, left a,
                            panels b, float *c, int64_t c_row, int add) {
  if (a.words != NULL) {
    multiply_bf16(rows, columns, padded_pairs(depth), a.words + k / 2, a.stride, b, c, c_row, add);
  } else {
    multiply(rows, columns, depth, a.data + k, a.stride, b, c, c_row, add);
  }
}

/*
 * C [rows, columns] = A B for few rows: columns of B from `column` on, at most WEIGHT_COLUMNS, are
 * packed on the stack, some of the depth at a time.
 */
static __attribute__((noinline, unused)) void multiply_weight(int64_t rows, int64_t columns,
                                                              int64_t depth, left a, weight b,
                                                              int64_t column, float *c,
                                                              int64_t c_row) {
  enum { BLOCK = DEPTH_BLOCK };
  _Static_assert(BLOCK % (2 * PAIR_STEP) == 0 && BLOCK <= 2 * PAIR_BLOCK, "whole words");
  _Alignas(64) float packed[BLOCK * WEIGHT_COLUMNS];
  for (int64_t k = 0; k < depth || k == 0; k += BLOCK) {
    const int64_t part = kif_min(BLOCK, depth - k);
    const held how = a.words == NULL ? FLOAT32 : BF16;
    pack_weight(b, how, k, part, column, columns, packed);
    multiply_packed(rows, columns, k, part, a,
                    (panels){packed, packed_depth(part, how)}, c, c_row, k > 0);
  }
}

#endif
