/*
 * Products of few rows with a weight that lies transposed (weight.h): every element is the dot
 * (vector.h) of a row of x and a row of the weight, whatever rows are beside it. Nothing is packed;
 * the weight is read once, from its beginning to its end.
 */
#ifndef KIF_DOTS_H
#define KIF_DOTS_H

#include "vector.h"

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
  AHEAD = 2048                  /* floats of the weight that are on their way to the second cache */
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

/* A tile of Y: rows * columns = DOTS. */
INLINE void dot_tile(const int rows, const int columns, int64_t depth, const float *x,
                     int64_t x_row, const float *w, int64_t w_row, float *y, int64_t y_row) {
  vec sums[DOTS];
#pragma GCC unroll 16
  for (int n = 0; n < DOTS; n++) {
    sums[n] = splat(0);
  }
  int64_t k = 0;
  for (; k + LANES <= depth; k += LANES) {
    dot_step(rows, columns, x + k, x_row, w + k, w_row, AHEAD, sums);
  }
  if (k < depth) {
    float rest[2][DOTS * LANES] = {{0}};
    for (int i = 0; i < rows; i++) {
      memcpy(rest[0] + i * LANES, x + i * x_row + k, sizeof(float) * (size_t)(depth - k));
    }
    for (int j = 0; j < columns; j++) {
      memcpy(rest[1] + j * LANES, w + j * w_row + k, sizeof(float) * (size_t)(depth - k));
    }
    dot_step(rows, columns, rest[0], LANES, rest[1], LANES, 0, sums);
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

/*
 * Y [rows, columns] = X W^T with X [rows, depth] and W [columns, depth], their rows apart as is said.
 * Where tiles do not go up, the last one computes some of the one before again.
 */
static __attribute__((noinline, unused)) void multiply_dots(int64_t rows, int64_t columns,
                                                            int64_t depth, const float *x,
                                                            int64_t x_row, const float *w,
                                                            int64_t w_row, float *y,
                                                            int64_t y_row) {
  int tall = DOT_ROWS;
  while (tall > rows) {
    tall /= 2;
  }
  const int wide = DOTS / tall;
  if (columns < wide) {
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < columns; j++) {
        y[i * y_row + j] = dot(x + i * x_row, w + j * w_row, depth);
      }
    }
    return;
  }
  for (int64_t n = 0; n < columns; n += wide) {
    const int64_t column = kif_min(n, columns - wide);
    for (int64_t m = 0; m < rows; m += tall) {
      const int64_t row = kif_min(m, rows - tall);
#define KIF_TILE(count)                                                                     \
  dot_tile(count, DOTS / count, depth, x + row * x_row, x_row, w + column * w_row, w_row,   \
           y + row * y_row + column, y_row);                                                \
  break
      switch (tall) {
        case 1:
          KIF_TILE(1);
        case 2:
          KIF_TILE(2);
        default:
          KIF_TILE(DOT_ROWS);
      }
#undef KIF_TILE
    }
  }
}

#endif
