/*
 * Products in float32 by AMX, which multiplies bf16 and adds up in float32. The 24 bits of a float32's
 * mantissa are those of three bf16,
 *
 *   x = x1 + x2 + x3,   x1 = bf16(x), x2 = bf16(x - x1), x3 = x - x1 - x2
 *
 * and of the nine products of two such sums the six larger ones are added up:
 *
 *   ab = a1 b1 + a1 b2 + a2 b1 + a2 b2 + a1 b3 + a3 b1
 *
 * What is left out is below 2^-22 |ab|, with either sign, and less than what adding up rounds off: the
 * result is nearer to the exact one than by fused multiply-adds one after the other. Only numbers below
 * 2^-110 lose bits, and what is not finite may turn from infinite to NaN.
 *
 * Both factors are cut into squares of 16 rows or columns by 32 of the depth, filled up with zeros;
 * the three parts of a square lie one behind the other, each as AMX loads it.
 */
#ifndef KIF_PARTS_H
#define KIF_PARTS_H

#include "bf16.h"

/* How the factors of a product are held: as float32, rounded to bf16, or as parts. */
typedef enum { FLOAT32, BF16, IN_PARTS } held;

/* What is fastest in float32 for many rows. */
#ifdef __AMX_BF16__
#define HELD_BY_MANY_ROWS IN_PARTS
#else
#define HELD_BY_MANY_ROWS FLOAT32
#endif

enum {
  LEFT_ROWS = 96, /* and depth of the left factor at a time: it stays in the second-level cache */
  LEFT_DEPTH = 1024
};

#ifdef __AMX_BF16__

enum {
  PARTS = 3,
  PART_WORDS = SQUARE * PAIR_STEP,
  PARTS_STEP = 2 * PAIR_STEP, /* of the depth */
  STEP_WORDS = PARTS * PART_WORDS
};

/* Words of one row or column; of rows or columns, always whole squares. */
static inline int64_t parts_depth(int64_t depth) {
  return kif_parts(depth, PARTS_STEP) * (STEP_WORDS / SQUARE);
}

static inline int64_t parts_size(int64_t depth, int64_t count) {
  return kif_parts(count, SQUARE) * SQUARE * parts_depth(depth);
}

/* The parts of 32 floats, as words of those of `low` and `high` one behind the other. */
INLINE void cut(__m512 low, __m512 high, __m512i parts[PARTS]) {
#pragma GCC unroll 3
  for (int p = 0; p < PARTS; p++) {
    parts[p] = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    const __m256i upper = _mm512_extracti64x4_epi64(parts[p], 1);
    low -= (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(parts[p])), 16);
    high -= (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(upper), 16);
  }
}

/* One square of rows: `rows` rows of `count` floats, of which there may be fewer than 16 and 32. */
INLINE void cut_rows(const float *a, int64_t stride, int64_t rows, int64_t count, int32_t *target) {
  const __mmask16 low = (__mmask16)_cvtu32_mask16(count >= LANES ? 0xffff : (1u << count) - 1);
  const __mmask16 high =
      (__mmask16)_cvtu32_mask16(count <= LANES ? 0 : count >= 2 * LANES ? 0xffff : (1u << (count - LANES)) - 1);
  for (int64_t i = 0; i < SQUARE; i++) {
    __m512i parts[PARTS];
    const float *row = a + i * stride;
    if (i < rows) {
      cut(_mm512_maskz_loadu_ps(low, row), _mm512_maskz_loadu_ps(high, row + LANES), parts);
    } else {
      parts[0] = parts[1] = parts[2] = _mm512_setzero_si512();
    }
    for (int p = 0; p < PARTS; p++) {
      _mm512_storeu_si512(target + p * PART_WORDS + i * PAIR_STEP, parts[p]);
    }
  }
}

/* One square that lies transposed: `count` rows of `columns` floats become words of two rows each. */
INLINE void cut_columns(const float *b, int64_t stride, int64_t count, int64_t columns,
                        int32_t *target) {
  const __mmask16 inside = (__mmask16)_cvtu32_mask16(columns >= LANES ? 0xffff : (1u << columns) - 1);
  int16_t order[2 * LANES];
  for (int j = 0; j < LANES; j++) {
    order[2 * j] = (int16_t)j;
    order[2 * j + 1] = (int16_t)(LANES + j);
  }
  const __m512i interleaved = _mm512_loadu_si512(order);
  for (int64_t w = 0; w < PAIR_STEP; w++) {
    __m512i parts[PARTS];
    const float *even = b + 2 * w * stride;
    cut(_mm512_maskz_loadu_ps(2 * w < count ? inside : 0, even),
        _mm512_maskz_loadu_ps(2 * w + 1 < count ? inside : 0, even + stride), parts);
    for (int p = 0; p < PARTS; p++) {
      _mm512_storeu_si512(target + p * PART_WORDS + w * SQUARE,
                          _mm512_permutexvar_epi16(interleaved, parts[p]));
    }
  }
}

static inline void transpose_parts(int32_t *words) {
  for (int p = 0; p < PARTS; p++, words += PART_WORDS) {
    transpose((const float *)words, SQUARE, (float *)words); /* reads all before it writes */
  }
}

/* A [rows, depth] as a left factor; with transposed = 1, A lies as [depth, rows]. */
static inline void parts_of_left(int transposed, const float *a, int64_t stride, int64_t rows,
                                 int64_t depth, int32_t *target) {
  for (int64_t m = 0; m < rows; m += SQUARE) {
    for (int64_t k = 0; k < depth; k += PARTS_STEP, target += STEP_WORDS) {
      if (transposed) {
        cut_columns(a + k * stride + m, stride, depth - k, rows - m, target);
        transpose_parts(target);
      } else {
        cut_rows(a + m * stride + k, stride, rows - m, depth - k, target);
      }
    }
  }
}

/* B [depth, columns] as a right factor; with transposed = 1, B lies as [columns, depth]. */
static inline void parts_of_right(int transposed, const float *b, int64_t stride, int64_t depth,
                                  int64_t columns, int32_t *target) {
  for (int64_t n = 0; n < columns; n += SQUARE) {
    for (int64_t k = 0; k < depth; k += PARTS_STEP, target += STEP_WORDS) {
      if (transposed) {
        cut_rows(b + n * stride + k, stride, columns - n, depth - k, target);
        transpose_parts(target);
      } else {
        cut_columns(b + k * stride + n, stride, depth - k, columns - n, target);
      }
    }
  }
}

/* C [32, 32] (+)= A B in four tiles; `below` and `right` lead to the second squares. */
INLINE void parts_tile(int64_t steps, const int32_t *a, int64_t below, const int32_t *b,
                       int64_t right, float *c, int64_t c_row, int add) {
  enum { BYTES = 4 * SQUARE };
  const int32_t *lower = a + below, *second = b + right;
  const size_t c_bytes = (size_t)c_row * 4;
  float *c_lower = c + SQUARE * c_row;
  if (add) {
    _tile_loadd(0, c, c_bytes);
    _tile_loadd(1, c + SQUARE, c_bytes);
    _tile_loadd(2, c_lower, c_bytes);
    _tile_loadd(3, c_lower + SQUARE, c_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
#define KIF_LEFT(part)                                 \
  _tile_loadd(4, a + ((part) - 1) * PART_WORDS, BYTES); \
  _tile_loadd(5, lower + ((part) - 1) * PART_WORDS, BYTES)
#define KIF_RIGHT(part)                                \
  _tile_loadd(6, b + ((part) - 1) * PART_WORDS, BYTES); \
  _tile_loadd(7, second + ((part) - 1) * PART_WORDS, BYTES)
#define KIF_MULTIPLY       \
  _tile_dpbf16ps(0, 4, 6); \
  _tile_dpbf16ps(1, 4, 7); \
  _tile_dpbf16ps(2, 5, 6); \
  _tile_dpbf16ps(3, 5, 7)
  for (int64_t s = 0; s < steps; s++) {
    KIF_LEFT(3);
    KIF_RIGHT(1);
    KIF_MULTIPLY;
    KIF_LEFT(2);
    KIF_MULTIPLY;
    KIF_RIGHT(2);
    KIF_MULTIPLY;
    KIF_LEFT(1);
    KIF_MULTIPLY;
    KIF_RIGHT(3);
    KIF_MULTIPLY;
    KIF_RIGHT(1);
    KIF_MULTIPLY;
    a += STEP_WORDS;
    lower += STEP_WORDS;
    b += STEP_WORDS;
    second += STEP_WORDS;
  }
#undef KIF_LEFT
#undef KIF_RIGHT
#undef KIF_MULTIPLY
  _tile_stored(0, c, c_bytes);
  _tile_stored(1, c + SQUARE, c_bytes);
  _tile_stored(2, c_lower, c_bytes);
  _tile_stored(3, c_lower + SQUARE, c_bytes);
}

/* C (+)= A B; a_depth and b_depth: parts_depth of what the factors have, of which `depth` is used. */
static __attribute__((noinline, unused)) void multiply_parts(int64_t rows, int64_t columns,
                                                             int64_t depth, const int32_t *a,
                                                             int64_t a_depth, const int32_t *b,
                                                             int64_t b_depth, float *c,
                                                             int64_t c_row, int add) {
  const _Alignas(64) tile_shape squares = TILES_OF_SQUARES;
  const int64_t steps = kif_parts(depth, PARTS_STEP);
  __asm__ volatile("" ::: "memory"); /* the compiler does not know what tiles read */
  _tile_loadconfig(&squares);
  for (int64_t n = 0; n < columns; n += 2 * SQUARE) {
    const int64_t width = kif_min(2 * SQUARE, columns - n);
    const int32_t *panel = b + n * b_depth;
    for (int64_t m = 0; m < rows; m += 2 * SQUARE) {
      const int64_t height = kif_min(2 * SQUARE, rows - m);
      const int32_t *corner = a + m * a_depth;
      const int64_t below = height > SQUARE ? SQUARE * a_depth : 0;
      const int64_t right = width > SQUARE ? SQUARE * b_depth : 0;
      float *target = c + m * c_row + n;
      if (width == 2 * SQUARE && height == 2 * SQUARE) {
        parts_tile(steps, corner, below, panel, right, target, c_row, add);
        continue;
      }
      float aside[4 * SQUARE * SQUARE] = {0};
      for (int64_t i = 0; add && i < height; i++) {
        memcpy(aside + i * 2 * SQUARE, target + i * c_row, sizeof(float) * (size_t)width);
      }
      __asm__ volatile("" ::: "memory");
      parts_tile(steps, corner, below, panel, right, aside, 2 * SQUARE, 1);
      for (int64_t i = 0; i < height; i++) {
        memcpy(target + i * c_row, aside + i * 2 * SQUARE, sizeof(float) * (size_t)width);
      }
    }
  }
  _tile_release();
}

#endif

/* Floats of a panel's row of the depth. */
static inline int64_t packed_depth(int64_t depth, held how) {
#ifdef __AMX_BF16__
  if (how == IN_PARTS) {
    return parts_depth(depth);
  }
#endif
  return how == BF16 ? padded_pairs(depth) : depth;
}

/* Floats of a right factor, and of what `multiply_held` needs aside. */
static inline int64_t right_size(held how, int64_t depth, int64_t columns) {
  return panel_count(columns) * PANEL * packed_depth(depth, how);
}

static inline int64_t aside_size(held how) {
#ifdef __AMX_BF16__
  if (how == IN_PARTS) {
    return parts_size(LEFT_DEPTH, LEFT_ROWS);
  }
#endif
  return how == BF16 ? (LEFT_ROWS + BF16_SPARE_ROWS) * padded_pairs(LEFT_DEPTH) : 0;
}

/* As pack_rows and pack_columns, in float32, bf16 or parts. */
static inline void right_of_rows(held how, const float *b, int64_t stride, int64_t depth,
                                 int64_t columns, float *target) {
#ifdef __AMX_BF16__
  if (how == IN_PARTS) {
    parts_of_right(0, b, stride, depth, columns, (int32_t *)target);
    return;
  }
#endif
  (how == BF16 ? pack_rows_bf16 : pack_rows)(b, stride, depth, columns, target);
}

static inline void right_of_columns(held how, const float *b, int64_t stride, int64_t depth,
                                    int64_t columns, float *target) {
#ifdef __AMX_BF16__
  if (how == IN_PARTS) {
    parts_of_right(1, b, stride, depth, columns, (int32_t *)target);
    return;
  }
#endif
  (how == BF16 ? pack_columns_bf16 : pack_columns)(b, stride, depth, columns, target);
}

/* Some of the left factor as multiply_held takes it, and C (+)= A B with that. */
static inline void multiply_left(held how, int transposed, int64_t rows, int64_t columns,
                                 int64_t depth, const float *a, int64_t a_row, const float *b,
                                 int64_t b_depth, float *c, int64_t c_row, int add,
                                 int32_t *words) {
#ifdef __AMX_BF16__
  if (how == IN_PARTS) {
    parts_of_left(transposed, a, a_row, rows, depth, words);
    multiply_parts(rows, columns, depth, words, parts_depth(depth), (const int32_t *)b, b_depth, c,
                   c_row, add);
    return;
  }
#endif
  (void)how;
  const int64_t pairs = padded_pairs(depth);
  if (transposed) {
    words_of_columns(a, a_row, rows, depth, words);
  } else {
    for (int64_t i = 0; i < rows; i++) {
      to_words(a + i * a_row, depth, words + i * pairs);
    }
  }
  multiply_bf16(rows, columns, pairs, words, pairs, (panels){b, b_depth}, c, c_row, add);
}

/*
 * C (+)= A B with row-major A [rows, depth], or A^T B with A [depth, rows] if transposed. B holds what
 * `how` says; `aside` has aside_size floats, where A is rounded or cut, some of it at a time.
 */
static inline void multiply_held(held how, int transposed, int64_t rows, int64_t columns,
                                 int64_t depth, const float *a, int64_t a_row, panels b, float *c,
                                 int64_t c_row, int add, float *aside) {
  if (how != FLOAT32) {
    for (int64_t m = 0; m < rows; m += LEFT_ROWS) {
      for (int64_t k = 0; k < depth || k == 0; k += LEFT_DEPTH) {
        multiply_left(how, transposed, kif_min(LEFT_ROWS, rows - m), columns,
                      kif_min(LEFT_DEPTH, depth - k),
                      a + (transposed ? k * a_row + m : m * a_row + k), a_row,
                      b.data + PANEL * packed_depth(k, how), b.depth, c + m * c_row, c_row,
                      add || k > 0, (int32_t *)aside);
      }
    }
  } else if (transposed) {
    multiply_transposed(rows, columns, depth, a, a_row, b, c, c_row, add);
  } else {
    multiply(rows, columns, depth, a, a_row, b, c, c_row, add);
  }
}

#endif
