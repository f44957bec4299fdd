/*
 * dropout_mask: element (plane, row, column) is 0 where the upper 24 bits of word column%4 of Philox
 * 4x32-10 at counter (column/4, row, plane, place) lie below drop_below, else kept_value.
 * 4 bytes an element.
 *
 * 1: one element a thread, the generator run for each
 * 2: one counter a thread, its four words used                                          <- shipped
 */
#include "kif_cuda.cuh"

/* Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). */
__device__ __forceinline__ void philox(u32 x[4], u64 key) {
  u32 key0 = (u32)key;
  u32 key1 = (u32)(key >> 32);
  for (int round = 0; round < 10; round++) {
    const u64 product0 = (u64)0xD2511F53u * x[0];
    const u64 product2 = (u64)0xCD9E8D57u * x[2];
    x[0] = (u32)(product2 >> 32) ^ x[1] ^ key0;
    x[1] = (u32)product2;
    x[2] = (u32)(product0 >> 32) ^ x[3] ^ key1;
    x[3] = (u32)product0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_dropout_mask_1(float *__restrict__ mask, i64 planes, i64 rows, i64 columns, u64 key,
                       u32 place, u32 drop_below, float kept_value) {
  const i64 n = planes * rows * columns;
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    const i64 line = i / columns;
    const i64 column = i % columns;
    u32 x[4] = {(u32)(column / 4), (u32)(line % rows), (u32)(line / rows), place};
    philox(x, key);
    mask[i] = x[column % 4] >> 8 < drop_below ? 0 : kept_value;
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_dropout_mask_2(float *__restrict__ mask, i64 planes, i64 rows, i64 columns, u64 key,
                       u32 place, u32 drop_below, float kept_value) {
  const i64 counters = (columns + 3) / 4;
  const i64 n = planes * rows * counters;
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    const i64 line = i / counters;
    const i64 counter = i % counters;
    u32 x[4] = {(u32)counter, (u32)(line % rows), (u32)(line / rows), place};
    philox(x, key);
    const i64 first = line * columns + 4 * counter;
    const i64 left = columns - 4 * counter;
#pragma unroll
    for (int word = 0; word < 4; word++) {
      if (word < left) {
        mask[first + word] = x[word] >> 8 < drop_below ? 0 : kept_value;
      }
    }
  }
}

KIF_EXPORT(kif_dropout_mask_1)
KIF_EXPORT(kif_dropout_mask_2)
