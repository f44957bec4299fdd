/*
 * A CUDA runtime without a GPU, for a dry run of ONNX Runtime's CUDA provider: memory is that of the
 * host, copies copy, kernels do nothing. What the provider asks for is written to the file that
 * KIF_EMULATOR_CALLS names, between the calls of the emulated driver, so that one can read where
 * somebody would wait, what is copied, which kernels run, and in which part of the library they are.
 * Device memory of the emulated driver lies elsewhere on the host: emulator_host_address finds it.
 */
#define _GNU_SOURCE
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef cudaGetDeviceProperties

void fake_log(const char *format, ...) {
  const char *file = getenv("KIF_EMULATOR_CALLS");
  FILE *out = file == NULL ? NULL : fopen(file, "a");
  if (out != NULL) {
    va_list arguments;
    va_start(arguments, format);
    fputs("provider: ", out);
    vfprintf(out, format, arguments);
    fputc('\n', out);
    va_end(arguments);
    fclose(out);
  }
}

/* Memory */

static char *host(const void *address, size_t bytes) {
  static char *(*find)(const char *, size_t);
  if (find == NULL) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    find = driver == NULL ? NULL : dlsym(driver, "emulator_host_address");
  }
  char *found = find == NULL ? NULL : find(address, bytes);
  return found != NULL ? found : (char *)address;
}

cudaError_t cudaMalloc(void **result, size_t bytes) {
  fake_log("allocate %zu", bytes);
  *result = aligned_alloc(256, (bytes + 511) / 256 * 256);
  return cudaSuccess;
}
cudaError_t cudaFree(void *memory) { free(memory); return cudaSuccess; }
cudaError_t cudaMallocHost(void **result, size_t bytes) { *result = malloc(bytes); return cudaSuccess; }
cudaError_t cudaHostAlloc(void **result, size_t bytes, unsigned flags) {
  (void)flags;
  return cudaMallocHost(result, bytes);
}
cudaError_t cudaFreeHost(void *memory) { free(memory); return cudaSuccess; }

static const char *way(enum cudaMemcpyKind kind) {
  static const char *const names[] = {"within the host", "to the device", "to the host", "within the device", "anywhere"};
  return names[kind];
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
  fake_log("copy and wait %s %zu", way(kind), bytes);
  memcpy(host(to, bytes), host(from, bytes), bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
  fake_log("copy %s %zu%s", way(kind), bytes, stream == NULL ? " on the default stream" : "");
  memcpy(host(to, bytes), host(from, bytes), bytes);
  return cudaSuccess;
}
cudaError_t cudaMemset(void *to, int value, size_t bytes) { memset(host(to, bytes), value, bytes); return cudaSuccess; }
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
  (void)stream;
  return cudaMemset(to, value, bytes);
}
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
  *free_bytes = 79ul << 30;
  *total = 80ul << 30;
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *address) {
  memset(out, 0, sizeof *out);
  out->type = cudaMemoryTypeDevice;
  out->devicePointer = (void *)address;
  return cudaSuccess;
}

/* The device: as an H100 describes itself */

cudaError_t cudaGetDeviceCount(int *count) { *count = 1; return cudaSuccess; }
cudaError_t cudaGetDevice(int *device) { *device = 0; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int *version) { *version = 13000; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *version) { *version = 13000; return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device) {
  (void)device;
  memset(out, 0, sizeof *out);
  strcpy(out->name, "no GPU");
  out->major = 9;
  out->multiProcessorCount = 132;
  out->warpSize = 32;
  out->maxThreadsPerBlock = 1024;
  out->maxThreadsPerMultiProcessor = 2048;
  out->regsPerBlock = out->regsPerMultiprocessor = 65536;
  out->sharedMemPerBlock = 49152;
  out->sharedMemPerBlockOptin = 232448;
  out->sharedMemPerMultiprocessor = 233472;
  out->totalGlobalMem = 80ul << 30;
  out->l2CacheSize = 50 << 20;
  out->maxGridSize[0] = 2147483647;
  out->maxGridSize[1] = out->maxGridSize[2] = 65535;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
  struct cudaDeviceProp all;
  cudaGetDeviceProperties(&all, device);
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = all.major; break;
    case cudaDevAttrMultiProcessorCount: *value = all.multiProcessorCount; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = all.maxThreadsPerBlock; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = all.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrWarpSize: *value = all.warpSize; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = (int)all.sharedMemPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = (int)all.sharedMemPerBlockOptin; break;
    default: *value = 0;
  }
  return cudaSuccess;
}
const char *cudaGetErrorString(cudaError_t error) { (void)error; return "an error of no GPU"; }
const char *cudaGetErrorName(cudaError_t error) { (void)error; return "cudaErrorNoGpu"; }

/* Queues, events and recordings */

static int capturing;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
  (void)flags;
  fake_log("a queue of its own");
  *stream = malloc(1);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t *stream) { return cudaStreamCreateWithFlags(stream, 0); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
  (void)flags;
  *event = malloc(1);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }
static cudaError_t waited(const char *what) {
  fake_log("wait for the %s%s", what, capturing ? " while it is recorded" : "");
  return capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { (void)stream; return waited("queue"); }
cudaError_t cudaEventSynchronize(cudaEvent_t event) { (void)event; return waited("event"); }
cudaError_t cudaDeviceSynchronize(void) { return waited("device"); }
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
  (void)stream;
  *status = capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
  (void)stream;
  (void)mode;
  fake_log("record");
  capturing = 1;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  (void)stream;
  capturing = 0;
  *graph = malloc(1);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *result, cudaGraph_t graph, unsigned long long flags) {
  (void)graph;
  (void)flags;
  *result = malloc(1);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  (void)graph;
  (void)stream;
  fake_log("repeat");
  return cudaSuccess;
}

/* Kernels: which, and in which part of the library their code is */

enum { MOST = 100000 };
static struct {
  const void *function;
  const char *name;
  const void *part;
  int seen;
} kernels[MOST];
static int kernel_count;

struct wrapper {
  int magic, version;
  const void *part;
};

void **__cudaRegisterFatBinary(void *wrapper) {
  void **handle = malloc(sizeof *handle);
  *handle = (void *)((struct wrapper *)wrapper)->part;
  return handle;
}
void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }
void __cudaUnregisterFatBinary(void **handle) { (void)handle; }
void __cudaRegisterVar(void **handle, char *a, char *b, const char *c, int d, size_t e, int f, int g) {
  (void)handle, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g;
}
void __cudaRegisterFunction(void **handle, const char *function, char *a, const char *name, int b, void *c, void *d,
                            void *e, void *f, int *g) {
  (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g;
  if (kernel_count < MOST) {
    kernels[kernel_count].function = function;
    kernels[kernel_count].name = name;
    kernels[kernel_count++].part = *handle;
  }
}
static cudaError_t launch(const void *function) {
  for (int i = 0; i < kernel_count; i++) {
    if (kernels[i].function == function) {
      if (!kernels[i].seen) {
        Dl_info library;
        kernels[i].seen = dladdr(kernels[i].part, &library);
        fake_log("part %#lx", (long)((const char *)kernels[i].part - (const char *)library.dli_fbase));
      }
      fake_log("kernel %s", kernels[i].name);
      return cudaSuccess;
    }
  }
  fake_log("kernel unknown");
  return cudaErrorInvalidDeviceFunction;
}
cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t stream) {
  (void)grid, (void)block, (void)arguments, (void)shared;
  return stream == NULL ? cudaErrorInvalidResourceHandle : launch(function);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **arguments) {
  return cudaLaunchKernel(function, config->gridDim, config->blockDim, arguments, 0, config->stream);
}
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function) {
  *kernel = (cudaKernel_t)function;
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}
static __thread cudaStream_t pushed_stream;
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, struct CUstream_st *stream) {
  (void)grid, (void)block, (void)shared;
  pushed_stream = stream;
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
  grid->x = grid->y = grid->z = 1;
  *block = *grid;
  *shared = 0;
  *(cudaStream_t *)stream = pushed_stream;
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *function) {
  (void)function;
  memset(out, 0, sizeof *out);
  out->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function, int size,
                                                                   size_t shared, unsigned flags) {
  (void)function, (void)size, (void)shared, (void)flags;
  *blocks = 2;
  return cudaSuccess;
}
