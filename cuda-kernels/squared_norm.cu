/*
 * squared_norm: the sum of squares in double over a fixed tree, so that no number of blocks changes
 * it. A leaf is a run of 4096 elements: lane j of 256 adds the squares of elements j, j+256, ... in
 * this order; lanes are folded in halves. The leaves are then folded neighbour with neighbour.
 * 4 bytes an element.
 *
 * 1: a leaf a block, a lane a thread
 * 2: four leaves a block, four neighbouring lanes a thread, so that each load is 16 bytes <- shipped
 *
 * fold: one level of 1024 neighbours; the host launches it until one number is left.
 */
#include "kif_cuda.cuh"

enum { LEAF = 4096, LANES = 256, FOLD = 1024 };

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_squared_norm_1(const float *__restrict__ v, i64 n, double *__restrict__ leaves) {
  __shared__ double lanes[LANES];
  const i64 count = (n + LEAF - 1) / LEAF;
  const int lane = threadIdx.x;
  for (i64 leaf = blockIdx.x; leaf < count; leaf += gridDim.x) {
    const i64 end = (leaf + 1) * LEAF < n ? (leaf + 1) * LEAF : n;
    double sum = 0;
    for (i64 i = leaf * LEAF + lane; i < end; i += LANES) {
      const double x = v[i];
      sum += x * x;
    }
    lanes[lane] = sum;
    __syncthreads();
    for (int width = LANES / 2; width > 0; width /= 2) {
      if (lane < width) {
        lanes[lane] += lanes[lane + width];
      }
      __syncthreads();
    }
    if (lane == 0) {
      leaves[leaf] = lanes[0];
    }
    __syncthreads();
  }
}

extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_squared_norm_2(const float *__restrict__ v, i64 n, double *__restrict__ leaves) {
  __shared__ double lanes[4][LANES];
  const i64 count = (n + LEAF - 1) / LEAF;
  const int group = threadIdx.x / 64;
  const int thread = threadIdx.x % 64;
  /* The whole block stays in step, for it meets at barriers. */
  for (i64 first = (i64)blockIdx.x * 4; first < count; first += (i64)gridDim.x * 4) {
    const i64 leaf = first + group;
    double a = 0, b = 0, c = 0, d = 0;
    if (leaf < count) {
      const i64 begin = leaf * LEAF;
      const i64 end = begin + LEAF < n ? begin + LEAF : n;
      for (i64 i = begin + 4 * thread; i < end; i += LANES) {
        if (i + 4 <= end) {
          const float4 x = four(v, i / 4);
          a += (double)x.x * (double)x.x;
          b += (double)x.y * (double)x.y;
          c += (double)x.z * (double)x.z;
          d += (double)x.w * (double)x.w;
        } else {
          a += (double)v[i] * (double)v[i];
          if (i + 1 < end) b += (double)v[i + 1] * (double)v[i + 1];
          if (i + 2 < end) c += (double)v[i + 2] * (double)v[i + 2];
        }
      }
    }
    lanes[group][4 * thread] = a;
    lanes[group][4 * thread + 1] = b;
    lanes[group][4 * thread + 2] = c;
    lanes[group][4 * thread + 3] = d;
    __syncthreads();
    for (int width = LANES / 2; width > 0; width /= 2) {
      for (int lane = thread; lane < width; lane += 64) {
        lanes[group][lane] += lanes[group][lane + width];
      }
      __syncthreads();
    }
    if (thread == 0 && leaf < count) {
      leaves[leaf] = lanes[group][0];
    }
    __syncthreads();
  }
}

/* Block b folds sums [1024 b, 1024 (b+1)) of count into folded[b]. */
extern "C" __global__ void __launch_bounds__(KIF_THREADS)
    kif_fold(const double *__restrict__ sums, i64 count, double *__restrict__ folded) {
  __shared__ double tree[FOLD];
  const i64 begin = (i64)blockIdx.x * FOLD;
  const int here = count - begin < FOLD ? (int)(count - begin) : FOLD;
  for (int i = threadIdx.x; i < here; i += KIF_THREADS) {
    tree[i] = sums[begin + i];
  }
  __syncthreads();
  for (int stride = 1; stride < here; stride *= 2) {
    for (int i = 2 * stride * threadIdx.x; i + stride < here; i += 2 * stride * KIF_THREADS) {
      tree[i] += tree[i + stride];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    folded[blockIdx.x] = tree[0];
  }
}

KIF_EXPORT(kif_squared_norm_1)
KIF_EXPORT(kif_squared_norm_2)
KIF_EXPORT(kif_fold)
