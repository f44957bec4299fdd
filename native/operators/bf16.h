/*
 * Products in bf16: both factors are rounded to 8 bits of mantissa, to nearest even; sums are in
 * float32. Two neighbours along the depth make one word, the even one in its lower half.
 *
 *   c = c + a1 * b1, then c = c + a0 * b0, each with a fused multiply-add
 *
 * which is what the instruction VDPBF16PS of AVX-512 BF16 does (which also takes denormals as 0).
 * Tiers without it model it. B is packed in panels of 16 columns of words.
 */
#ifndef KIF_BF16_H
#define KIF_BF16_H

#include "tile.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

enum { PAIR_BLOCK = 256, BF16_ROWS = 96 };

/* 32-bit words of B in panels. */
static inline int64_t bf16_panels_size(int64_t depth, int64_t columns) {
  return panels_size(kif_parts(depth, 2), columns);
}

/* The bits of a float32 with its upper half rounded to bf16; NaN stays NaN. */
INLINE uint32_t rounded_to_bf16(uint32_t bits) {
  const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  return (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded;
}

/* Makes words of count pairs. */
INLINE void to_pairs(const float *restrict source, int64_t count, int32_t *restrict words) {
  uint32_t bits[2 * PAIR_BLOCK];
  memcpy(bits, source, sizeof(float) * (size_t)(2 * count));
  for (int64_t j = 0; j < 2 * count; j++) {
    bits[j] = rounded_to_bf16(bits[j]);
  }
  for (int64_t j = 0; j < count; j++) {
    words[j] = (int32_t)(bits[2 * j] >> 16 | (bits[2 * j + 1] & 0xffff0000));
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
                          const int32_t *a, const float *b, int64_t panel_size, float *c,
                          int64_t c_row, int add) {
  float aside[TILE_ROWS * TILE_COLUMNS] = {0};
  const int inside = columns >= vectors * LANES;
  float *target = inside ? c : aside;
  int64_t target_row = inside ? c_row : TILE_COLUMNS;
  for (int i = 0; !inside && add && i < rows; i++) {
    memcpy(aside + i * TILE_COLUMNS, c + i * c_row, sizeof(float) * (size_t)columns);
  }
#define TILE_OF(count) \
  bf16_tile(count, vectors, pairs, a, PAIR_BLOCK, b, panel_size, target, target_row, add)
  EACH_ROW_COUNT(rows, TILE_OF)
#undef TILE_OF
  for (int i = 0; !inside && i < rows; i++) {
    memcpy(c + i * c_row, aside + i * TILE_COLUMNS, sizeof(float) * (size_t)columns);
  }
}

/* C = A B with row-major A [rows, depth] of float32, at most BF16_ROWS rows, and B of pairs. */
static __attribute__((noinline, unused)) void multiply_bf16(int64_t rows, int64_t columns,
                                                            int64_t depth, const float *a,
                                                            int64_t a_row, panels b, float *c,
                                                            int64_t c_row) {
  int32_t words[BF16_ROWS * PAIR_BLOCK]; /* of A */
  const int64_t pairs = kif_parts(depth, 2), panel_size = b.depth * PANEL;
  for (int64_t k = 0; k < pairs || k == 0; k += PAIR_BLOCK) {
    int64_t part = kif_min(PAIR_BLOCK, pairs - k);
    for (int64_t i = 0; i < rows; i++) {
      const float *source = a + i * a_row + 2 * k;
      const int64_t whole = kif_min(part, depth / 2 - k);
      to_pairs(source, whole, words + i * PAIR_BLOCK);
      if (whole < part) { /* the last one of an odd depth */
        const float pair[2] = {source[2 * whole], 0};
        to_pairs(pair, 1, words + i * PAIR_BLOCK + whole);
      }
    }
    for (int64_t n = 0; n < columns;) {
      const int wide = TILE_COLUMNS <= PANEL || columns - n > TILE_COLUMNS - PANEL;
      const float *panel = b.data + n / PANEL * panel_size + n % PANEL + k * PANEL;
      for (int64_t m = 0; m < rows; m += TILE_ROWS) {
        int count = (int)kif_min(TILE_ROWS, rows - m);
        const int32_t *corner = words + m * PAIR_BLOCK;
        float *target = c + m * c_row + n;
        if (wide) {
          any_bf16_tile(TILE_VECTORS, count, columns - n, part, corner, panel, panel_size, target,
                        c_row, k > 0);
        } else {
          any_bf16_tile(PANEL / LANES, count, columns - n, part, corner, panel, panel_size, target,
                        c_row, k > 0);
        }
      }
      n += wide ? TILE_COLUMNS : PANEL;
    }
  }
}

#endif
