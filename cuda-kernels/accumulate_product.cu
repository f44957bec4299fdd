/*
 * accumulate_product: sum = sum + scale*(a*b). 16 bytes an element; a and b may be one array.
 *
 * 1: one element a thread at a time
 * 2: four neighbouring elements a thread at a time                                      <- shipped
 */
#include "kif_cuda.cuh"

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_accumulate_product_1(float *__restrict__ sum, const float *__restrict__ a,
                             const float *__restrict__ b, float scale, i64 n) {
  for (i64 i = KIF_FIRST; i < n; i += KIF_STRIDE) {
    sum[i] = sum[i] + scale * (a[i] * b[i]);
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_accumulate_product_2(float *__restrict__ sum, const float *__restrict__ a,
                             const float *__restrict__ b, float scale, i64 n) {
  const i64 fours = n / 4;
  for (i64 i = KIF_FIRST; i < fours; i += KIF_STRIDE) {
    float4 s = four(sum, i);
    const float4 p = four(a, i);
    const float4 q = four(b, i);
    s.x = s.x + scale * (p.x * q.x);
    s.y = s.y + scale * (p.y * q.y);
    s.z = s.z + scale * (p.z * q.z);
    s.w = s.w + scale * (p.w * q.w);
    four(sum, i) = s;
  }
  for (i64 i = 4 * fours + KIF_FIRST; i < n; i += KIF_STRIDE) {
    sum[i] = sum[i] + scale * (a[i] * b[i]);
  }
}

KIF_EXPORT(kif_accumulate_product_1)
KIF_EXPORT(kif_accumulate_product_2)
