/*
 * accumulate: sum = sum + scale*term. 12 bytes an element. (Zeroing and copying are the driver's
 * own memset and memcpy, queued like kernels.)
 *
 * 1: one element a thread at a time
 * 2: four neighbouring elements a thread at a time                                      <- shipped
 */
#include "kif_cuda.cuh"

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_accumulate_1(float *__restrict__ sum, const float *__restrict__ term, float scale, i64 n) {
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    sum[i] = sum[i] + scale * term[i];
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_accumulate_2(float *__restrict__ sum, const float *__restrict__ term, float scale, i64 n) {
  const i64 fours = n / 4;
  for (i64 i = KIF_FIRST; i < fours; i += KIF_STRIDE) {
    float4 s = four(sum, i);
    const float4 t = four(term, i);
    s.x = s.x + scale * t.x;
    s.y = s.y + scale * t.y;
    s.z = s.z + scale * t.z;
    s.w = s.w + scale * t.w;
    four(sum, i) = s;
  }
  for (i64 i = 4 * fours + KIF_FIRST; i < n; i += KIF_STRIDE) {
    sum[i] = sum[i] + scale * term[i];
  }
}

KIF_EXPORT(kif_accumulate_1)
KIF_EXPORT(kif_accumulate_2)
