/*
 * Vectors of KIF_LANES floats in the language of GCC and Clang: the compiler makes the instructions
 * of whatever tier a file is compiled for. a * b + c may become one fused multiply-add.
 */
#ifndef KIF_VECTOR_H
#define KIF_VECTOR_H

#include <string.h>

#include "operators.h"

#ifndef KIF_LANES
#if defined(__AVX512F__)
#define KIF_LANES 16
#elif defined(__AVX2__)
#define KIF_LANES 8
#else
#define KIF_LANES 4
#endif
#endif

enum { LANES = KIF_LANES };

typedef float vec __attribute__((vector_size(4 * KIF_LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * KIF_LANES)));
typedef float unaligned_vec __attribute__((vector_size(4 * KIF_LANES), aligned(4), may_alias));
typedef int32_t unaligned_ivec __attribute__((vector_size(4 * KIF_LANES), aligned(4), may_alias));

INLINE vec load(const float *p) { return *(const unaligned_vec *)p; }
INLINE void store(float *p, vec v) { *(unaligned_vec *)p = v; }
INLINE ivec load_bits(const void *p) { return *(const unaligned_ivec *)p; }
INLINE vec splat(float x) { return x - (vec){0}; }

/* Where the mask is all ones, a, else b. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }
/* Written so, GCC makes one instruction of it. */
INLINE vec larger(vec a, vec b) {
  vec c;
  for (int i = 0; i < LANES; i++) {
    c[i] = a[i] > b[i] ? a[i] : b[i];
  }
  return c;
}

/* Halves are folded, so that the order of a sum is fixed. */
INLINE float sum_of(vec v) {
  float lanes[LANES];
  store(lanes, v);
  for (int width = LANES / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) {
      lanes[i] += lanes[i + width];
    }
  }
  return lanes[0];
}

/* Element i is the sum of v[i]: halves are folded, as in sum_of, of two vectors at a time. */
INLINE vec sums_of(vec *v) {
#define KIF_FOLD(width, lower, upper)                                 \
  for (int i = 0; i < width; i++) {                                   \
    const vec a = v[i], b = v[i + width];                             \
    v[i] = __builtin_shufflevector(a, b, lower) + __builtin_shufflevector(a, b, upper); \
  }
#define KIF_LIST(...) __VA_ARGS__
#if KIF_LANES == 16
  KIF_FOLD(8, KIF_LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
           KIF_LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
  KIF_FOLD(4, KIF_LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
           KIF_LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  KIF_FOLD(2, KIF_LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
           KIF_LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  KIF_FOLD(1, KIF_LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
           KIF_LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
#elif KIF_LANES == 8
  KIF_FOLD(4, KIF_LIST(0, 1, 2, 3, 8, 9, 10, 11), KIF_LIST(4, 5, 6, 7, 12, 13, 14, 15))
  KIF_FOLD(2, KIF_LIST(0, 1, 8, 9, 4, 5, 12, 13), KIF_LIST(2, 3, 10, 11, 6, 7, 14, 15))
  KIF_FOLD(1, KIF_LIST(0, 8, 2, 10, 4, 12, 6, 14), KIF_LIST(1, 9, 3, 11, 5, 13, 7, 15))
#else
  KIF_FOLD(2, KIF_LIST(0, 1, 4, 5), KIF_LIST(2, 3, 6, 7))
  KIF_FOLD(1, KIF_LIST(0, 4, 2, 6), KIF_LIST(1, 5, 3, 7))
#endif
#undef KIF_LIST
#undef KIF_FOLD
  return v[0];
}

INLINE float largest_of(vec v) {
  float lanes[LANES];
  store(lanes, v);
  float largest = lanes[0];
  for (int i = 1; i < LANES; i++) {
    largest = lanes[i] > largest ? lanes[i] : largest;
  }
  return largest;
}

/* The first `count` of a vector's elements; the rest read as 0, and are not written. */
INLINE vec load_some(const float *p, int64_t count) {
  float lanes[LANES] = {0};
  memcpy(lanes, p, sizeof(float) * (size_t)count);
  return load(lanes);
}

INLINE void store_some(float *p, vec v, int64_t count) {
  float lanes[LANES];
  store(lanes, v);
  memcpy(p, lanes, sizeof(float) * (size_t)count);
}

/* The sum of a[i] * b[i]. */
INLINE float dot(const float *a, const float *b, int64_t count) {
  vec sums = splat(0);
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    sums = load(a + i) * load(b + i) + sums;
  }
  if (i < count) {
    sums = load_some(a + i, count - i) * load_some(b + i, count - i) + sums;
  }
  return sum_of(sums);
}

/*
 * exp(x) within 2 units in the last place for x in [-87, 88]; 0 below; what is above must not come.
 * x = n ln 2 + r, abs(r) <= ln 2 / 2; exp(r) by the polynomial of Cephes' expf.
 */
INLINE vec exponential(vec x) {
  const vec shift = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
  const vec shifted = x * splat(1.44269504f) + shift;
  const vec n = shifted - shift;
  vec r = x - n * splat(0.693359375f);
  r = r - n * splat(-2.12194440e-4f);
  vec p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * (r * r) + r + splat(1.0f);
  const ivec power = ((ivec)shifted << 23) + (127 << 23); /* 2^n: n is what shifted ends with */
  return (vec)((ivec)(p * (vec)power) & ~(x < splat(-87.0f)));
}

#endif
