/*
 * Products in bf16: both factors are rounded to 8 bits of mantissa, to nearest even; sums are in
 * float32. Two neighbours along the depth make one word, the even one in its lower half.
 *
 *   c = c + a1 * b1, then c = c + a0 * b0, each with a fused multiply-add
 *
 * which is what the instruction VDPBF16PS of AVX-512 BF16 does (which also takes denormals as 0).
 * Tiers without it model it. TDPBF16PS of AMX sums even and odd elements of 32 apart first. B is
 * packed in panels of 16 columns of words.
 */
#ifndef KIF_BF16_H
#define KIF_BF16_H

#include "tile.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

enum {
  PAIR_BLOCK = 256,
  ROWS_AHEAD = 16, /* that are on their way to the second-level cache while rows are packed */
  PAIR_STEP = 16, /* words of a row that AMX takes at a time: rows are filled up to it with zeros */
  BF16_SPARE_ROWS = 31 /* behind the last row of words, which AMX may read */
};

static inline int64_t padded_pairs(int64_t depth) {
  return kif_parts(depth, 2 * PAIR_STEP) * PAIR_STEP;
}

/* The bits of a float32 with its upper half rounded to bf16; NaN stays NaN. */
INLINE uint32_t rounded_to_bf16(uint32_t bits) {
  const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  return (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded;
}

/* The same of a vector. */
INLINE ivec rounded_bits(ivec bits) {
  const ivec nan = (bits & 0x7fffffff) > 0x7f800000;
  return (nan & (bits | 0x400000)) | (~nan & (bits + 0x7fff + (bits >> 16 & 1)));
}

/* PAIR_STEP words from twice as many floats. */
INLINE void to_pairs(const float *source, int32_t *words) {
#ifdef __AVX512BF16__
  _mm512_storeu_si512(words, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(source + PAIR_STEP),
                                                          _mm512_loadu_ps(source)));
#else
  uint32_t bits[2 * PAIR_STEP];
  memcpy(bits, source, sizeof bits);
  for (int j = 0; j < 2 * PAIR_STEP; j++) {
    bits[j] = rounded_to_bf16(bits[j]);
  }
  for (int j = 0; j < PAIR_STEP; j++) {
    words[j] = (int32_t)(bits[2 * j] >> 16 | (bits[2 * j + 1] & 0xffff0000));
  }
#endif
}

/* A row of count floats as padded_pairs(count) words. */
INLINE void to_words(const float *source, int64_t count, int32_t *words) {
  int64_t k = 0;
  for (; k + 2 * PAIR_STEP <= count; k += 2 * PAIR_STEP) {
    to_pairs(source + k, words + k / 2);
  }
  if (k < count) {
    float rest[2 * PAIR_STEP] = {0};
    memcpy(rest, source + k, sizeof(float) * (size_t)(count - k));
    to_pairs(rest, words + k / 2);
  }
}

/* As pack_columns and pack_rows, with a panel of padded_pairs(depth) words for each column. */
static inline void pack_columns_bf16(const float *b, int64_t stride, int64_t depth,
                                     int64_t columns, float *target) {
  const int64_t pairs = padded_pairs(depth);
  for (int64_t n = 0; n < columns; n += PANEL, target += PANEL * pairs) {
    for (int64_t k = 0; k < depth; k += 2 * PAIR_STEP) {
      const int64_t count = kif_min(2 * PAIR_STEP, depth - k);
      _Alignas(64) float square[PANEL][PAIR_STEP];
      for (int64_t j = 0; j < PANEL; j++) {
        if (n + j < columns) {
          const float *row = b + (n + j) * stride + k, *next = row + ROWS_AHEAD * stride;
          __builtin_prefetch(next, 0, 2);
          __builtin_prefetch(next + PAIR_STEP, 0, 2);
          to_words(row, count, (int32_t *)square[j]);
        } else {
          memset(square[j], 0, sizeof square[j]);
        }
      }
      transpose(square[0], PAIR_STEP, target + k / 2 * PANEL);
    }
  }
}

/* PANEL words of two rows of as many floats, of which `count` are there; the rest, and NULL, are 0. */
INLINE void pair_rows(const float *even, const float *odd, int64_t count, float *words) {
#if defined(__AVX512BF16__) && KIF_LANES == 16
  /* Halves of the elements of both rows, one row behind the other, take turns. */
  static const int16_t turns[2 * LANES] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                           21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                           11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __mmask16 inside = (__mmask16)_cvtu32_mask16(count >= LANES ? 0xffff : (1u << count) - 1);
  const __m512 lower = _mm512_maskz_loadu_ps(even == NULL ? 0 : inside, even),
               upper = _mm512_maskz_loadu_ps(odd == NULL ? 0 : inside, odd);
  _mm512_storeu_si512(words, _mm512_permutexvar_epi16(_mm512_loadu_si512(turns),
                                                      (__m512i)_mm512_cvtne2ps_pbh(upper, lower)));
#else
  float padded[2][PANEL] = {{0}};
  if (count < PANEL || odd == NULL) {
    if (even != NULL) {
      memcpy(padded[0], even, sizeof(float) * (size_t)count);
    }
    if (odd != NULL) {
      memcpy(padded[1], odd, sizeof(float) * (size_t)count);
    }
    even = padded[0];
    odd = padded[1];
  }
  for (int64_t j = 0; j < PANEL; j += LANES) {
    const ivec lower = rounded_bits(load_bits(even + j)) >> 16 & 0xffff;
    const ivec upper = rounded_bits(load_bits(odd + j)) & (int32_t)0xffff0000;
    store(words + j, (vec)(lower | upper));
  }
#endif
}

static inline void pack_rows_bf16(const float *b, int64_t stride, int64_t depth, int64_t columns,
                                  float *target) {
  const int64_t pairs = padded_pairs(depth);
  for (int64_t k = 0; k < pairs; k++, b += 2 * stride, target += PANEL) {
    for (int64_t n = 0; n < columns; n += PANEL) {
      __builtin_prefetch(b + ROWS_AHEAD * stride + n, 0, 2);
      __builtin_prefetch(b + (ROWS_AHEAD + 1) * stride + n, 0, 2);
      pair_rows(2 * k < depth ? b + n : NULL, 2 * k + 1 < depth ? b + stride + n : NULL,
                kif_min(PANEL, columns - n), target + n * pairs);
    }
  }
}

/* The words of rows [rows, padded_pairs(depth)] from their transpose [depth, rows]. */
static inline void words_of_columns(const float *a, int64_t stride, int64_t rows, int64_t depth,
                                    int32_t *target) {
  for (int64_t m = 0; m < rows; m += PANEL) {
    const int64_t height = kif_min(PANEL, rows - m);
    int32_t *corner = target + m * padded_pairs(depth);
    for (int64_t k = 0; k < depth; k += 2 * PAIR_STEP, corner += PAIR_STEP) {
      _Alignas(64) float square[PAIR_STEP * PANEL], turned[PANEL * PAIR_STEP];
      pack_rows_bf16(a + k * stride + m, stride, kif_min(2 * PAIR_STEP, depth - k), height, square);
      transpose(square, PANEL, turned);
      for (int64_t i = 0; i < height; i++) {
        memcpy(corner + i * padded_pairs(depth), turned + i * PAIR_STEP, sizeof(float) * PAIR_STEP);
      }
    }
  }
}

/* c + a * b over both halves of their words. */
INLINE vec dot_pairs(vec c, ivec a, ivec b) {
#if defined(__AVX512BF16__) && KIF_LANES == 16
  return (vec)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b);
#else
  const ivec upper = (ivec){0} + (int32_t)0xffff0000;
  c = (vec)(a & upper) * (vec)(b & upper) + c;
  return (vec)(a << 16) * (vec)(b << 16) + c;
#endif
}

INLINE void bf16_tile(const int rows, const int vectors, int64_t pairs, const int32_t *a,
                      int64_t a_row, const float *b, int64_t panel_size, float *c, int64_t c_row,
                      int add) {
  vec sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
      sum[i][j] = add ? load(c + i * c_row + j * LANES) : splat(0);
    }
  }
  for (int64_t k = 0; k < pairs; k++) {
    ivec row[TILE_VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
      row[j] = load_bits(panel_of(b, panel_size, j) + k * PANEL);
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
      ivec factor = (ivec){0} + a[i * a_row + k];
#pragma GCC unroll 4
      for (int j = 0; j < vectors; j++) {
        sum[i][j] = dot_pairs(sum[i][j], factor, row[j]);
      }
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
      store(c + i * c_row + j * LANES, sum[i][j]);
    }
  }
}

/* As any_tile. */
INLINE void any_bf16_tile(const int vectors, int rows, int64_t columns, int64_t pairs,
                          const int32_t *a, int64_t a_row, const float *b, int64_t panel_size,
                          float *c, int64_t c_row, int add) {
  float aside[TILE_ROWS * TILE_COLUMNS];
  const int inside = columns >= vectors * LANES;
  float *target = inside ? c : aside;
  int64_t target_row = inside ? c_row : TILE_COLUMNS;
  for (int i = 0; !inside && add && i < rows; i++) {
    memcpy(aside + i * TILE_COLUMNS, c + i * c_row, sizeof(float) * (size_t)columns);
    memset(aside + i * TILE_COLUMNS + columns, 0, sizeof(float) * (size_t)(TILE_COLUMNS - columns));
  }
#define TILE_OF(count) \
  bf16_tile(count, vectors, pairs, a, a_row, b, panel_size, target, target_row, add)
  EACH_ROW_COUNT(rows, TILE_OF)
#undef TILE_OF
  for (int i = 0; !inside && i < rows; i++) {
    memcpy(c + i * c_row, aside + i * TILE_COLUMNS, sizeof(float) * (size_t)columns);
  }
}

#ifndef __AMX_BF16__
/* C (+)= A B over some of the depth of B, whose panels are panel_size apart. */
static inline void multiply_pairs(int64_t rows, int64_t columns, int64_t pairs, const int32_t *a,
                                  int64_t a_row, const int32_t *b, int64_t panel_size, float *c,
                                  int64_t c_row, int add) {
  for (int64_t n = 0; n < columns;) {
    const int wide = TILE_COLUMNS <= PANEL || columns - n > TILE_COLUMNS - PANEL;
    const float *panel = (const float *)b + n / PANEL * panel_size + n % PANEL;
    for (int64_t m = 0; m < rows; m += TILE_ROWS) {
      const int count = (int)kif_min(TILE_ROWS, rows - m);
      const int32_t *corner = a + m * a_row;
      float *target = c + m * c_row + n;
      if (wide) {
        any_bf16_tile(TILE_VECTORS, count, columns - n, pairs, corner, a_row, panel, panel_size,
                      target, c_row, add);
      } else {
        any_bf16_tile(PANEL / LANES, count, columns - n, pairs, corner, a_row, panel, panel_size,
                      target, c_row, add);
      }
    }
    n += wide ? TILE_COLUMNS : PANEL;
  }
}
#else
enum { SQUARE = 16 };

/* The configuration of palette 1: eight tiles of 16 rows of 64 bytes. */
typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_shape;

#define TILES_OF_SQUARES                                  \
  {                                                       \
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, \
    .rows = {16, 16, 16, 16, 16, 16, 16, 16}              \
  }

/* C [32, 32] (+)= A B in four tiles. */
static inline void amx_tile(int64_t pairs, const int32_t *a, int64_t a_row, const int32_t *b,
                            int64_t panel_size, float *c, int64_t c_row, int add) {
  const size_t a_bytes = (size_t)a_row * 4, c_bytes = (size_t)c_row * 4, b_bytes = PANEL * 4;
  const int32_t *lower = a + SQUARE * a_row, *right = b + panel_size;
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
  for (int64_t k = 0; k < pairs; k += PAIR_STEP) {
    _tile_loadd(4, a + k, a_bytes);
    _tile_loadd(6, b + k * PANEL, b_bytes);
    _tile_loadd(7, right + k * PANEL, b_bytes);
    _tile_loadd(5, lower + k, a_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, c_bytes);
  _tile_stored(1, c + SQUARE, c_bytes);
  _tile_stored(2, c_lower, c_bytes);
  _tile_stored(3, c_lower + SQUARE, c_bytes);
}

/* C (+)= A B over some of the depth of B, whose panels are panel_size apart. */
static inline void multiply_pairs(int64_t rows, int64_t columns, int64_t pairs, const int32_t *a,
                                  int64_t a_row, const int32_t *b, int64_t panel_size, float *c,
                                  int64_t c_row, int add) {
  const _Alignas(64) tile_shape squares = TILES_OF_SQUARES;
  _tile_loadconfig(&squares);
  for (int64_t n = 0; n < columns; n += 2 * SQUARE) {
    const int64_t width = kif_min(2 * SQUARE, columns - n);
    for (int64_t m = 0; m < rows; m += 2 * SQUARE) {
      const int64_t height = kif_min(2 * SQUARE, rows - m);
      const int32_t *corner = a + m * a_row, *panel = b + n / PANEL * panel_size;
      float *target = c + m * c_row + n;
      if (width == 2 * SQUARE && height == 2 * SQUARE) {
        amx_tile(pairs, corner, a_row, panel, panel_size, target, c_row, add);
        continue;
      }
      float aside[4 * SQUARE * SQUARE] = {0};
      for (int64_t i = 0; add && i < height; i++) {
        memcpy(aside + i * 2 * SQUARE, target + i * c_row, sizeof(float) * (size_t)width);
      }
      amx_tile(pairs, corner, a_row, panel, width > SQUARE ? panel_size : 0, aside, 2 * SQUARE, add);
      for (int64_t i = 0; i < height; i++) {
        memcpy(target + i * c_row, aside + i * 2 * SQUARE, sizeof(float) * (size_t)width);
      }
    }
  }
  _tile_release();
}
#endif

/* C (+)= A B with words A [rows, pairs]; pairs, and B's depth in pairs, multiples of PAIR_STEP. */
static __attribute__((noinline, unused)) void multiply_bf16(int64_t rows, int64_t columns,
                                                            int64_t pairs, const int32_t *a,
                                                            int64_t a_row, panels b, float *c,
                                                            int64_t c_row, int add) {
  for (int64_t k = 0; k < pairs || k == 0; k += PAIR_BLOCK) {
    multiply_pairs(rows, columns, kif_min(PAIR_BLOCK, pairs - k), a + k, a_row,
                   (const int32_t *)b.data + k * PANEL, b.depth * PANEL, c, c_row, add || k > 0);
  }
}

#endif
