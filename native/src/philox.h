/* The random numbers of dropout. */
#ifndef KIF_PHILOX_H
#define KIF_PHILOX_H

#include <stdint.h>

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline))
#endif

/* Philox 4x32-10 on several counters side by side, which differ in their first word only. */
enum { COUNTERS = 64 };

typedef struct {
  uint32_t x0[COUNTERS], x1[COUNTERS], x2[COUNTERS], x3[COUNTERS];
} words;

INLINE void philox(int counters, uint32_t first, uint32_t row, uint32_t plane, uint32_t place,
                   uint64_t key, words *restrict w) {
  uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);
  for (int j = 0; j < counters; j++) {
    w->x0[j] = first + (uint32_t)j;
    w->x1[j] = row;
    w->x2[j] = plane;
    w->x3[j] = place;
  }
  for (int round = 0; round < 10; round++) {
    for (int j = 0; j < counters; j++) {
      uint64_t product0 = (uint64_t)0xD2511F53u * w->x0[j];
      uint64_t product2 = (uint64_t)0xCD9E8D57u * w->x2[j];
      w->x0[j] = (uint32_t)(product2 >> 32) ^ w->x1[j] ^ key0;
      w->x1[j] = (uint32_t)product2;
      w->x2[j] = (uint32_t)(product0 >> 32) ^ w->x3[j] ^ key1;
      w->x3[j] = (uint32_t)product0;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

#endif
