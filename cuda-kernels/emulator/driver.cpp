/*
 * As much of the CUDA driver's interface as the project calls, over the emulator: so that the way
 * from Java through JCuda to cuLaunchKernel can be tested where there is no driver. It demands what
 * a driver demands: a context, a queue, PTX that ends with NUL.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "call_log.h"

extern "C" {
void emulator_order(uint64_t seed);
int emulator_has_kernel(const char *name);
char *emulator_allocate(size_t bytes);
int emulator_free(char *device);
int emulator_copy(int kind, char *to, const char *from, size_t bytes);
int emulator_launch(const char *name, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                    void **arguments);
int emulator_launch_cooperative(const char *name, unsigned, unsigned, unsigned, unsigned, unsigned,
                                unsigned, void **arguments);
const char *emulator_error();
}

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3,
              INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, LAUNCH_FAILED = 719 };

using Address = unsigned long long;

int context, queue, module, events;
bool initialised, loaded;
thread_local void *current;
thread_local std::vector<void *> below;

char *pointer(Address address) { return reinterpret_cast<char *>(address); }

/* What every call needs. */
int ready() { return !initialised ? NOT_INITIALIZED : current != &context ? INVALID_CONTEXT : SUCCESS; }

int ready(const void *stream) {
  int status = ready();
  return status != SUCCESS ? status : stream == &queue ? SUCCESS : INVALID_HANDLE;
}

int failed(int status) {
  if (status != SUCCESS) {
    std::fprintf(stderr, "emulated driver: %s\n", emulator_error());
  }
  return status == SUCCESS ? SUCCESS : LAUNCH_FAILED;
}

}  // namespace

EXPORT int cuInit(unsigned) {
  initialised = true;
  return SUCCESS;
}
EXPORT int cuDriverGetVersion(int *version) {
  *version = 13000;
  return SUCCESS;
}
EXPORT int cuDeviceGetCount(int *count) {
  *count = 1;
  return SUCCESS;
}
EXPORT int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal == 0 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuDeviceGetName(char *name, int length, int) {
  std::snprintf(name, length, "emulated GPU");
  return SUCCESS;
}
/* KIF_EMULATED_CAPABILITY: 75 for 7.5, else 9.0. */
static int capability() {
  const char *asked = std::getenv("KIF_EMULATED_CAPABILITY");
  return asked == nullptr ? 90 : std::atoi(asked);
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
  switch (attribute) {
    case 16: /* multiprocessors */
      *value = 3;
      return SUCCESS;
    case 75: /* compute capability, major and minor */
      *value = capability() / 10;
      return SUCCESS;
    case 76:
      *value = capability() % 10;
      return SUCCESS;
    default:
      return INVALID_VALUE;
  }
}
EXPORT int cuDevicePrimaryCtxRetain(void **result, int) {
  *result = &context;
  return SUCCESS;
}
EXPORT int cuCtxSetCurrent(void *wanted) {
  current = wanted;
  return SUCCESS;
}
EXPORT int cuCtxPushCurrent_v2(void *wanted) {
  below.push_back(current);
  current = wanted;
  return SUCCESS;
}
EXPORT int cuCtxPopCurrent_v2(void **popped) {
  if (below.empty()) {
    return INVALID_CONTEXT;
  }
  *popped = current;
  current = below.back();
  below.pop_back();
  return SUCCESS;
}
EXPORT int cuStreamCreate(void **result, unsigned) {
  *result = &queue;
  return ready();
}
EXPORT int cuStreamSynchronize(void *stream) {
  log_call("synchronize");
  return ready(stream);
}
EXPORT int cuStreamDestroy_v2(void *stream) { return ready(stream); }
EXPORT int cuMemHostAlloc(void **result, size_t bytes, unsigned) {
  *result = std::malloc(bytes);
  return *result == nullptr ? static_cast<int>(OUT_OF_MEMORY) : ready();
}
EXPORT int cuMemFreeHost(void *memory) {
  std::free(memory);
  return ready();
}
EXPORT int cuEventCreate(void **result, unsigned) {
  *result = &events;
  return ready();
}
EXPORT int cuEventRecord(void *event, void *stream) {
  return event == &events ? ready(stream) : static_cast<int>(INVALID_HANDLE);
}
EXPORT int cuEventSynchronize(void *event) {
  log_call("wait for the ring");
  return event == &events ? ready() : static_cast<int>(INVALID_HANDLE);
}
EXPORT int cuEventDestroy_v2(void *event) {
  return event == &events ? ready() : static_cast<int>(INVALID_HANDLE);
}
EXPORT int cuModuleLoadData(void **result, const void *image) {
  /* Reads to the NUL, as a driver does. */
  loaded = std::string(static_cast<const char *>(image)).find("\n.version 6.3\n") != std::string::npos;
  *result = &module;
  return loaded ? ready() : INVALID_VALUE;
}
EXPORT int cuModuleGetFunction(void **result, void *from, const char *name) {
  if (from != &module || !emulator_has_kernel(name)) {
    return NOT_FOUND;
  }
  *result = strdup(name);
  return ready();
}
EXPORT int cuMemAlloc_v2(Address *result, size_t bytes) {
  log_call("allocate %zu", bytes);
  if (bytes == 0) {
    return INVALID_VALUE;
  }
  *result = reinterpret_cast<Address>(emulator_allocate(bytes));
  return *result == 0 ? static_cast<int>(OUT_OF_MEMORY) : ready();
}
EXPORT int cuMemFree_v2(Address address) {
  log_call("free");
  int status = ready();
  return status != SUCCESS ? status : failed(emulator_free(pointer(address)));
}
EXPORT int cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, void *stream) {
  log_call("upload %zu", bytes);
  int status = ready(stream);
  return status != SUCCESS
             ? status
             : failed(emulator_copy(0, pointer(to), static_cast<const char *>(from), bytes));
}
EXPORT int cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, void *stream) {
  log_call("download %zu", bytes);
  int status = ready(stream);
  return status != SUCCESS
             ? status
             : failed(emulator_copy(1, static_cast<char *>(to), pointer(from), bytes));
}
EXPORT int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void *stream) {
  log_call("copy %zu", bytes);
  int status = ready(stream);
  return status != SUCCESS ? status : failed(emulator_copy(2, pointer(to), pointer(from), bytes));
}
EXPORT int cuMemsetD8Async(Address to, unsigned char value, size_t bytes, void *stream) {
  int status = value != 0 ? static_cast<int>(INVALID_VALUE) : ready(stream);
  return status != SUCCESS ? status : failed(emulator_copy(3, pointer(to), nullptr, bytes));
}
EXPORT int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                          void *stream, void **arguments, void **extra) {
  log_call("launch %s", static_cast<char *>(function));
  int status = shared != 0 || extra != nullptr ? static_cast<int>(INVALID_VALUE) : ready(stream);
  return status != SUCCESS
             ? status
             : failed(emulator_launch(static_cast<char *>(function), grid_x, grid_y, grid_z,
                                      block_x, block_y, block_z, arguments));
}
EXPORT int cuLaunchCooperativeKernel(void *function, unsigned grid_x, unsigned grid_y,
                                     unsigned grid_z, unsigned block_x, unsigned block_y,
                                     unsigned block_z, unsigned shared, void *stream,
                                     void **arguments) {
  int status = shared != 0 ? static_cast<int>(INVALID_VALUE) : ready(stream);
  return status != SUCCESS
             ? status
             : failed(emulator_launch_cooperative(static_cast<char *>(function), grid_x, grid_y,
                                                  grid_z, block_x, block_y, block_z, arguments));
}
EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *, int, size_t) {
  *blocks = 1;
  return ready();
}
EXPORT int cuGetErrorString(int status, const char **text) {
  *text = status == LAUNCH_FAILED ? "the emulator says what on the standard error"
                                  : "an error of the emulated driver";
  return SUCCESS;
}
EXPORT int cuGetErrorName(int, const char **text) {
  *text = "CUDA_ERROR_EMULATED";
  return SUCCESS;
}
