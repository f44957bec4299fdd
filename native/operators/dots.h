/*
 * Products of few rows with a weight that lies transposed (weight.h): every element is the dot
 * (vector.h) of a row of x and a row of the weight, whatever rows are beside it. Nothing is packed;
 * the weight is read once, from its beginning to its end. In bf16 it is rounded on the way. Where the
 * weight is not transposed, what x has are the factors of a mixture of its rows.
 */
#ifndef KIF_DOTS_H
#define KIF_DOTS_H

#include "weight.h"

#if KIF_LANES == 4 && defined(__aarch64__)
#define KIF_DOT_FOLDS 4
#elif KIF_LANES == 4
#define KIF_DOT_FOLDS 2
#else
#define KIF_DOT_FOLDS 1
#endif

enum {
  DOTS = KIF_DOT_FOLDS * LANES, /* that a tile has in registers */
  DOT_ROWS = DOTS / 4,          /* of the tallest tile */
  MOST_DOT_ROWS = 16,           /* more are multiplied faster with packed weights */
  AHEAD = 2048, /* floats of a row of the weight that are on their way to the second cache */
  TILE_AHEAD = 8 * AHEAD /* or those of the next tile, if it has no more than these */
};

/* LANES along the depth. */
INLINE void dot_step(const int rows, const int columns, const float *x, int64_t x_row,
                     const float *w, int64_t w_row, int64_t ahead, vec *sums) {
  vec factors[DOTS];
#pragma GCC unroll 16
  for (int j = 0; j < columns; j++) {
    factors[j] = load(w + j * w_row);
    __builtin_prefetch(w + j * w_row + ahead, 0, 2);
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) {
    const vec row = load(x + i * x_row);
#pragma GCC unroll 16
    for (int j = 0; j < columns; j++) {
      sums[i * columns + j] = row * factors[j] + sums[i * columns + j];
    }
  }
}

/* PAIR_STEP words along the depth. */
INLINE void dot_step_bf16(const int rows, const int columns, const int32_t *x, int64_t x_row,
                          const float *w, int64_t w_row, int64_t ahead, vec *sums) {
  enum { VECTORS = PAIR_STEP / LANES };
  int32_t words[DOTS][PAIR_STEP];
#pragma GCC unroll 16
  for (int j = 0; j < columns; j++) {
    to_pairs(w + j * w_row, words[j]);
    __builtin_prefetch(w + j * w_row + ahead, 0, 2);
    __builtin_prefetch(w + j * w_row + ahead + PAIR_STEP, 0, 2);
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int n = 0; n < VECTORS; n++) {
      const ivec row = load_bits(x + i * x_row + n * LANES);
#pragma GCC unroll 16
      for (int j = 0; j < columns; j++) {
        sums[i * columns + j] =
            dot_pairs(sums[i * columns + j], row, load_bits(words[j] + n * LANES));
      }
    }
  }
}

/* A tile of Y: rows * columns = DOTS. */
INLINE void dot_tile(const int bf16, const int rows, const int columns, int64_t depth, left x,
                     const float *w, int64_t w_row, float *y, int64_t y_row) {
  const int step = bf16 ? 2 * PAIR_STEP : LANES;
  const int64_t ahead = columns * w_row <= TILE_AHEAD ? columns * w_row : AHEAD;
  vec sums[DOTS];
#pragma GCC unroll 16
  for (int n = 0; n < DOTS; n++) {
    sums[n] = splat(0);
  }
  int64_t k = 0;
  for (; k + step <= depth; k += step) {
    if (bf16) {
      dot_step_bf16(rows, columns, x.words + k / 2, x.stride, w + k, w_row, ahead, sums);
    } else {
      dot_step(rows, columns, x.data + k, x.stride, w + k, w_row, ahead, sums);
    }
  }
  if (k < depth) {
    float rest[2][DOTS * 2 * PAIR_STEP] = {{0}};
    for (int j = 0; j < columns; j++) {
      memcpy(rest[1] + j * step, w + j * w_row + k, sizeof(float) * (size_t)(depth - k));
    }
    if (bf16) { /* words are filled up with zeros */
      dot_step_bf16(rows, columns, x.words + k / 2, x.stride, rest[1], step, 0, sums);
    } else {
      for (int i = 0; i < rows; i++) {
        memcpy(rest[0] + i * step, x.data + i * x.stride + k, sizeof(float) * (size_t)(depth - k));
      }
      dot_step(rows, columns, rest[0], step, rest[1], step, 0, sums);
    }
  }
  float dots[DOTS];
  for (int n = 0; n < DOTS; n += LANES) {
    store(dots + n, sums_of(sums + n));
  }
  for (int i = 0; i < rows; i++) {
    for (int j = 0; j < columns; j++) {
      y[i * y_row + j] = dots[i * columns + j];
    }
  }
}

/* Columns [column, column + DOTS / rows) of all rows, `tall` of them at a time. */
INLINE void dot_rows(const int bf16, const int tall, int64_t rows, int64_t columns, int64_t depth,
                     left x, const float *w, int64_t w_row, float *y, int64_t y_row) {
  const int wide = DOTS / tall;
  for (int64_t n = 0; n < columns; n += wide) {
    const int64_t column = kif_min(n, columns - wide);
    for (int64_t m = 0; m < rows; m += tall) {
      const int64_t row = kif_min(m, rows - tall);
      dot_tile(bf16, tall, wide, depth, left_from(x, row), w + column * w_row, w_row,
               y + row * y_row + column, y_row);
    }
  }
}

/*
 * Y [rows, columns] = X W^T with X [rows, depth] and W [columns, depth], their rows apart as is said.
 * Where tiles do not go up, the last one computes some of the one before again. In bf16 there must be
 * DOTS columns.
 */
static __attribute__((noinline, unused)) void multiply_dots(int64_t rows, int64_t columns,
                                                            int64_t depth, left x, const float *w,
                                                            int64_t w_row, float *y,
                                                            int64_t y_row) {
  int tall = DOT_ROWS;
  while (tall > rows) {
    tall /= 2;
  }
  if (columns < DOTS / tall) {
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < columns; j++) {
        y[i * y_row + j] = dot(x.data + i * x.stride, w + j * w_row, depth);
      }
    }
    return;
  }
#define KIF_ROWS(bf16, count) dot_rows(bf16, count, rows, columns, depth, x, w, w_row, y, y_row)
  if (x.words != NULL) {
    tall == 1 ? KIF_ROWS(1, 1) : tall == 2 ? KIF_ROWS(1, 2) : KIF_ROWS(1, DOT_ROWS);
  } else {
    tall == 1 ? KIF_ROWS(0, 1) : tall == 2 ? KIF_ROWS(0, 2) : KIF_ROWS(0, DOT_ROWS);
  }
#undef KIF_ROWS
}

enum { MIXED_ROWS = 4, MIXED_VECTORS = 4 };

/* A tile of Y, of `some` columns where there is less than a vector of them. */
INLINE void mixture_tile(const int rows, const int vectors, int64_t some, int64_t depth,
                         const float *x, int64_t x_row, const float *b, int64_t b_row, float *y,
                         int64_t y_row) {
  vec sums[MIXED_ROWS][MIXED_VECTORS];
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int n = 0; n < vectors; n++) {
      sums[i][n] = splat(0);
    }
  }
  for (int64_t k = 0; k < depth; k++) {
    vec row[MIXED_VECTORS];
#pragma GCC unroll 4
    for (int n = 0; n < vectors; n++) {
      row[n] = some > 0 ? load_some(b + k * b_row, some) : load(b + k * b_row + n * LANES);
      __builtin_prefetch(b + k * b_row + (vectors + n) * LANES, 0, 3);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
      const vec factor = splat(x[i * x_row + k]);
#pragma GCC unroll 4
      for (int n = 0; n < vectors; n++) {
        sums[i][n] = factor * row[n] + sums[i][n];
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int n = 0; n < vectors; n++) {
      if (some > 0) {
        store_some(y + i * y_row, sums[i][n], some);
      } else {
        store(y + i * y_row + n * LANES, sums[i][n]);
      }
    }
  }
}

INLINE void mixture_columns(const int vectors, int64_t some, int64_t rows, int64_t depth,
                            const float *x, int64_t x_row, const float *b, int64_t b_row,
                            float *y, int64_t y_row) {
  int64_t i = 0;
  for (; i + MIXED_ROWS <= rows; i += MIXED_ROWS) {
    mixture_tile(MIXED_ROWS, vectors, some, depth, x + i * x_row, x_row, b, b_row, y + i * y_row,
                 y_row);
  }
  for (; i < rows; i++) {
    mixture_tile(1, vectors, some, depth, x + i * x_row, x_row, b, b_row, y + i * y_row, y_row);
  }
}

/* Y [rows, columns] = X B with B [depth, columns] as it lies: sums of its rows. */
static __attribute__((noinline, unused)) void multiply_mixtures(int64_t rows, int64_t columns,
                                                                int64_t depth, const float *x,
                                                                int64_t x_row, const float *b,
                                                                int64_t b_row, float *y,
                                                                int64_t y_row) {
  enum { WIDE = MIXED_VECTORS * LANES };
  int64_t n = 0;
  for (; n + WIDE <= columns; n += WIDE) {
    mixture_columns(MIXED_VECTORS, 0, rows, depth, x, x_row, b + n, b_row, y + n, y_row);
  }
  for (; n + LANES <= columns; n += LANES) {
    mixture_columns(1, 0, rows, depth, x, x_row, b + n, b_row, y + n, y_row);
  }
  if (n < columns) {
    mixture_columns(1, columns - n, rows, depth, x, x_row, b + n, b_row, y + n, y_row);
  }
}

#endif
