/*
 * As much of cuBLAS as the project calls, over the emulated driver: a product column by column, as
 * the manual has it, with the sums in order. It demands device memory and the driver's queue.
 */
#include <dlfcn.h>

#include <cstddef>

#include "call_log.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, MAPPING_ERROR = 11 };

struct Handle {
  const void *queue;
};

char *device(const float *address, size_t count) {
  using Find = char *(*)(const char *, size_t);
  static const Find find = [] {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return driver == nullptr ? nullptr
                             : reinterpret_cast<Find>(dlsym(driver, "emulator_host_address"));
  }();
  return find == nullptr
             ? nullptr
             : find(reinterpret_cast<const char *>(address), count * sizeof(float));
}

}  // namespace

EXPORT int cublasCreate_v2(Handle **handle) {
  *handle = new Handle{nullptr};
  return SUCCESS;
}
EXPORT int cublasDestroy_v2(Handle *handle) {
  delete handle;
  return SUCCESS;
}
EXPORT int cublasSetStream_v2(Handle *handle, const void *queue) {
  handle->queue = queue;
  return SUCCESS;
}
EXPORT int cublasSgemm_v2(Handle *handle, int transposed_a, int transposed_b, int m, int n, int k,
                          const float *alpha, const float *a, int lda, const float *b, int ldb,
                          const float *beta, float *c, int ldc) {
  log_call("sgemm %d %d m %d n %d k %d lda %d ldb %d ldc %d", transposed_a, transposed_b, m, n, k,
           lda, ldb, ldc);
  if (handle->queue == nullptr) {
    return NOT_INITIALIZED;
  }
  if (m < 0 || n < 0 || k < 0 || lda < (transposed_a ? k : m) || ldb < (transposed_b ? n : k) ||
      ldc < m) {
    return INVALID_VALUE;
  }
  const auto *from_a = reinterpret_cast<float *>(device(a, size_t(lda) * (transposed_a ? m : k)));
  const auto *from_b = reinterpret_cast<float *>(device(b, size_t(ldb) * (transposed_b ? k : n)));
  auto *to = reinterpret_cast<float *>(device(c, size_t(ldc) * n));
  if (from_a == nullptr || from_b == nullptr || to == nullptr) {
    return MAPPING_ERROR;
  }
  for (int j = 0; j < n; j++) {
    for (int i = 0; i < m; i++) {
      float sum = 0;
      for (int l = 0; l < k; l++) {
        sum += (transposed_a ? from_a[l + size_t(i) * lda] : from_a[i + size_t(l) * lda]) *
               (transposed_b ? from_b[j + size_t(l) * ldb] : from_b[l + size_t(j) * ldb]);
      }
      float &out = to[i + size_t(j) * ldc];
      out = *beta == 0 ? *alpha * sum : *alpha * sum + *beta * out;
    }
  }
  return SUCCESS;
}
