/*
 * Matrix products in registers: C [rows, columns] (+)= A [rows, depth] * B [depth, columns].
 *
 * B is packed in panels of 16 columns: element (k, n) lies at (n / 16) * depth * 16 + k * 16 +
 * n % 16, and the last panel is filled up with zeros. The layout is the same for every instruction
 * set. A tile of C stays in registers while it runs along the depth: 6 rows by 8 columns with SSE,
 * by 16 with AVX2, by 64 with AVX-512.
 *
 * An element of C is a sum over the depth in ascending order, cut into blocks of DEPTH_BLOCK:
 * whatever part of C a thread computes, the bits are the same.
 */
#ifndef KIF_TILE_H
#define KIF_TILE_H

#include "vector.h"

#if defined(__AVX512F__) || KIF_LANES == 16
#define KIF_TILE_VECTORS 4
#elif defined(__aarch64__)
#define KIF_TILE_VECTORS 4
#else
#define KIF_TILE_VECTORS 2
#endif

enum {
  PANEL = 16, /* columns */
  TILE_ROWS = 6,
  TILE_VECTORS = KIF_TILE_VECTORS,
  TILE_COLUMNS = TILE_VECTORS * LANES,
  DEPTH_BLOCK = 256
};

/* B; a product may use less than its depth. */
typedef struct {
  const float *data;
  int64_t depth;
} panels;

static inline int64_t panel_count(int64_t columns) { return kif_parts(columns, PANEL); }

/* Floats of B in panels. */
static inline int64_t panels_size(int64_t depth, int64_t columns) {
  return panel_count(columns) * PANEL * depth;
}

/* From that column on, which begins a panel. */
static inline panels panels_from(panels b, int64_t column) {
  return (panels){b.data + column * b.depth, b.depth};
}

/* Packs B from row-major [depth, columns] whose rows are `stride` apart. */
static inline void pack_rows(const float *b, int64_t stride, int64_t depth, int64_t columns,
                             float *target) {
  for (int64_t k = 0; k < depth; k++, b += stride, target += PANEL) {
    for (int64_t n = 0; n < columns; n += PANEL) {
      float *row = target + n * depth;
      if (columns - n >= PANEL) {
        memcpy(row, b + n, PANEL * sizeof(float));
      } else {
        memset(row, 0, PANEL * sizeof(float));
        memcpy(row, b + n, sizeof(float) * (size_t)(columns - n));
      }
    }
  }
}

/*
 * Writes the transpose of a square of PANEL rows, `stride` apart, row by row. (With vectors of a
 * whole row each step swaps the halves of ever larger squares across the diagonal.)
 */
INLINE void transpose(const float *square, int64_t stride, float *target) {
#if KIF_LANES == 16
  vec v[PANEL];
  for (int i = 0; i < PANEL; i++) {
    v[i] = load(square + i * stride);
  }
#define KIF_SWAP(step, upper, lower)                                                      \
  for (int i = 0; i < PANEL; i++) {                                                       \
    if ((i & step) == 0) {                                                                \
      const vec a = v[i], b = v[i + step];                                                \
      v[i] = __builtin_shufflevector(a, b, upper);                                        \
      v[i + step] = __builtin_shufflevector(a, b, lower);                                 \
    }                                                                                     \
  }
#define KIF_LIST(...) __VA_ARGS__
  KIF_SWAP(1, KIF_LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
           KIF_LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
  KIF_SWAP(2, KIF_LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
           KIF_LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  KIF_SWAP(4, KIF_LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
           KIF_LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  KIF_SWAP(8, KIF_LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
           KIF_LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#undef KIF_LIST
#undef KIF_SWAP
  for (int i = 0; i < PANEL; i++) {
    store(target + i * PANEL, v[i]);
  }
#else
  for (int64_t k = 0; k < PANEL; k++) {
    for (int64_t j = 0; j < PANEL; j++) {
      target[k * PANEL + j] = square[j * stride + k];
    }
  }
#endif
}

/* Packs B from its transpose, row-major [columns, depth] whose rows are `stride` apart. */
static inline void pack_columns(const float *b, int64_t stride, int64_t depth, int64_t columns,
                                float *target) {
  for (int64_t n = 0; n < columns; n += PANEL, target += PANEL * depth) {
    const float *corner = b + n * stride;
    int64_t k = 0;
    if (columns - n >= PANEL) {
      for (; k + PANEL <= depth; k += PANEL) {
        transpose(corner + k, stride, target + k * PANEL);
      }
    }
    const int64_t width = kif_min(PANEL, columns - n);
    for (; k < depth; k++) {
      for (int64_t j = 0; j < PANEL; j++) {
        target[k * PANEL + j] = j < width ? corner[j * stride + k] : 0;
      }
    }
  }
}

/* Where the panels hold columns [vector * LANES, ...) of the tile, at depth 0. */
INLINE const float *panel_of(const float *b, int64_t panel_size, int vector) {
  return b + vector * LANES / PANEL * panel_size + vector * LANES % PANEL;
}

/* One tile. Element (i, k) of A lies at i * a_row + k * a_step. */
INLINE void tile(const int rows, const int vectors, int64_t depth, const float *a, int64_t a_row,
                 int64_t a_step, const float *b, int64_t panel_size, float *c, int64_t c_row,
                 int add) {
  vec sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 6
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
      sum[i][j] = add ? load(c + i * c_row + j * LANES) : splat(0);
    }
  }
  for (int64_t k = 0; k < depth; k++) {
    vec row[TILE_VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
      row[j] = load(panel_of(b, panel_size, j) + k * PANEL);
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
      vec factor = splat(a[i * a_row + k * a_step]);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; j++) {
        sum[i][j] = factor * row[j] + sum[i][j];
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

/* A function with loops of constant length for each number of rows. */
#define EACH_ROW_COUNT(rows, CALL) \
  switch (rows) {                  \
    case 1:                        \
      CALL(1);                     \
      break;                       \
    case 2:                        \
      CALL(2);                     \
      break;                       \
    case 3:                        \
      CALL(3);                     \
      break;                       \
    case 4:                        \
      CALL(4);                     \
      break;                       \
    case 5:                        \
      CALL(5);                     \
      break;                       \
    default:                       \
      CALL(6);                     \
  }

/*
 * The tile at a corner of C: the columns that C does not have are computed beside it. transposed:
 * A lies transposed, so that a_row is 1; else a_step is 1.
 */
INLINE void any_tile(const int transposed, const int vectors, int rows, int64_t columns,
                     int64_t depth, const float *a, int64_t a_stride, const float *b,
                     int64_t panel_size, float *c, int64_t c_row, int add) {
  float aside[TILE_ROWS * TILE_COLUMNS];
  const int inside = columns >= vectors * LANES;
  float *target = inside ? c : aside;
  int64_t target_row = inside ? c_row : TILE_COLUMNS;
  if (!inside && add) {
    for (int i = 0; i < rows; i++) {
      memcpy(aside + i * TILE_COLUMNS, c + i * c_row, sizeof(float) * (size_t)columns);
      memset(aside + i * TILE_COLUMNS + columns, 0,
             sizeof(float) * (size_t)(TILE_COLUMNS - columns));
    }
  }
  const int64_t a_row = transposed ? 1 : a_stride, a_step = transposed ? a_stride : 1;
#define TILE_OF(count) \
  tile(count, vectors, depth, a, a_row, a_step, b, panel_size, target, target_row, add)
  EACH_ROW_COUNT(rows, TILE_OF)
#undef TILE_OF
  if (!inside) {
    for (int i = 0; i < rows; i++) {
      memcpy(c + i * c_row, aside + i * TILE_COLUMNS, sizeof(float) * (size_t)columns);
    }
  }
}

INLINE void multiply_with(const int transposed, int64_t rows, int64_t columns, int64_t depth,
                          const float *a, int64_t a_stride, panels b, float *c, int64_t c_row,
                          int add) {
  const int64_t panel_size = b.depth * PANEL;
  for (int64_t k = 0; k < depth || k == 0; k += DEPTH_BLOCK) {
    int64_t part = kif_min(DEPTH_BLOCK, depth - k);
    const float *a_part = a + (transposed ? k * a_stride : k);
    for (int64_t n = 0; n < columns;) {
      /* Whole panels must be there for every vector of a wide tile. */
      const int wide = TILE_COLUMNS <= PANEL || columns - n > TILE_COLUMNS - PANEL;
      const int64_t width = wide ? TILE_COLUMNS : PANEL;
      const float *panel = b.data + n / PANEL * panel_size + n % PANEL + k * PANEL;
      for (int64_t m = 0; m < rows; m += TILE_ROWS) {
        int count = (int)kif_min(TILE_ROWS, rows - m);
        const float *corner = a_part + (transposed ? m : m * a_stride);
        if (wide) {
          any_tile(transposed, TILE_VECTORS, count, columns - n, part, corner, a_stride, panel,
                   panel_size, c + m * c_row + n, c_row, add || k > 0);
        } else {
          any_tile(transposed, PANEL / LANES, count, columns - n, part, corner, a_stride, panel,
                   panel_size, c + m * c_row + n, c_row, add || k > 0);
        }
      }
      n += width;
    }
  }
}

/* C (+)= A B with row-major A [rows, depth], its rows a_row apart; adds to C if so asked. */
static __attribute__((noinline, unused)) void multiply(int64_t rows, int64_t columns,
                                                       int64_t depth, const float *a,
                                                       int64_t a_row, panels b, float *c,
                                                       int64_t c_row, int add) {
  multiply_with(0, rows, columns, depth, a, a_row, b, c, c_row, add);
}

/* C (+)= A^T B with row-major A [depth, rows], its rows a_row apart. */
static __attribute__((noinline, unused)) void multiply_transposed(int64_t rows, int64_t columns,
                                                                  int64_t depth, const float *a,
                                                                  int64_t a_row, panels b, float *c,
                                                                  int64_t c_row, int add) {
  multiply_with(1, rows, columns, depth, a, a_row, b, c, c_row, add);
}

#endif
