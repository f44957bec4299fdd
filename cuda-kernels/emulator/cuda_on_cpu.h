/*
 * The part of CUDA that the kernels use, for a C++ compiler: the same .cu files become a shared
 * library in which every CUDA thread is a fiber. See emulator.cpp.
 *
 * Names that CUDA fixes, reserved ones among them, are the point of this file.
 */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

struct dim3 {
  unsigned x, y, z;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace emulator {

/* Where the fiber that runs is. */
extern dim3 thread_index, block_index, block_size, grid_size;

enum class WarpOperation { SYNC, SHUFFLE, SHUFFLE_XOR, SHUFFLE_UP, SHUFFLE_DOWN, BALLOT };

void block_barrier(const char *file, int line);
void grid_barrier(const char *file, int line);
uint64_t warp_operation(const char *file, int line, WarpOperation operation, unsigned mask,
                        uint64_t value, unsigned argument);

/* Calls a kernel with arguments as cuLaunchKernel takes them: one address for each. */
using Entry = void (*)(void **);
/* Says which of the arguments are addresses. */
using Addresses = bool (*)(int argument, int *count);
int add_kernel(const char *name, Entry entry, Addresses addresses);

template <class... A, size_t... I>
void apply(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_cv_t<A> *>(arguments[I])...);
}
template <class... A>
void call(void (*kernel)(A...), void **arguments) {
  apply(kernel, arguments, std::index_sequence_for<A...>{});
}
template <class... A>
bool is_address(void (*)(A...), int argument, int *count) {
  constexpr bool addresses[] = {std::is_pointer_v<A>...};
  *count = sizeof...(A);
  return argument < *count && addresses[argument];
}

template <class T>
uint64_t pack(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T unpack(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T>
T shuffle(const char *file, int line, WarpOperation operation, unsigned mask, T value,
          unsigned argument) {
  return unpack<T>(warp_operation(file, line, operation, mask, pack(value), argument));
}

}  // namespace emulator

#define KIF_EXPORT(kernel)                                                             \
  static const int emulator_has_##kernel = emulator::add_kernel(                       \
      #kernel, [](void **arguments) { emulator::call(kernel, arguments); },            \
      [](int argument, int *count) { return emulator::is_address(kernel, argument, count); });

#define __global__ __attribute__((visibility("hidden")))
#define __device__ static
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
/* In a section of their own, so that each block can find them full of rubbish. */
#define __shared__ static __attribute__((section("emulator_shared")))

#define threadIdx emulator::thread_index
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size
#define __syncthreads() emulator::block_barrier(__FILE__, __LINE__)
#define __syncwarp() \
  emulator::warp_operation(__FILE__, __LINE__, emulator::WarpOperation::SYNC, 0xffffffffu, 0, 0)
#define EMULATOR_SHUFFLE(operation, mask, value, argument)                                       \
  emulator::shuffle(__FILE__, __LINE__, emulator::WarpOperation::operation, mask, value, argument)
#define __shfl_sync(mask, value, lane) EMULATOR_SHUFFLE(SHUFFLE, mask, value, lane)
#define __shfl_xor_sync(mask, value, lanes) EMULATOR_SHUFFLE(SHUFFLE_XOR, mask, value, lanes)
#define __shfl_up_sync(mask, value, lanes) EMULATOR_SHUFFLE(SHUFFLE_UP, mask, value, lanes)
#define __shfl_down_sync(mask, value, lanes) EMULATOR_SHUFFLE(SHUFFLE_DOWN, mask, value, lanes)
#define __ballot_sync(mask, predicate)                                        \
  static_cast<unsigned>(emulator::warp_operation(                             \
      __FILE__, __LINE__, emulator::WarpOperation::BALLOT, mask, (predicate) ? 1 : 0, 0))

/* Blocks run one after another: what is atomic is ordered too. */
inline void __threadfence() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
template <class T>
T atomicAdd(T *address, T value) {
  return __atomic_fetch_add(address, value, __ATOMIC_ACQ_REL);
}
template <class T>
T atomicOr(T *address, T value) {
  return __atomic_fetch_or(address, value, __ATOMIC_ACQ_REL);
}
template <class T, class Better>
T emulator_exchange_if(T *address, T value, Better better) {
  T old = __atomic_load_n(address, __ATOMIC_ACQUIRE);
  while (better(value, old) && !__atomic_compare_exchange_n(address, &old, value, false,
                                                            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  return old;
}
template <class T>
T atomicMax(T *address, T value) {
  return emulator_exchange_if(address, value, [](T a, T b) { return a > b; });
}
template <class T>
T atomicMin(T *address, T value) {
  return emulator_exchange_if(address, value, [](T a, T b) { return a < b; });
}
template <class T>
T __ldcg(const T *address) {
  return *address;
}

inline unsigned __float_as_uint(float x) { return emulator::unpack<unsigned>(emulator::pack(x)); }
inline float __uint_as_float(unsigned x) { return emulator::unpack<float>(x); }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fdiv_rn(float a, float b) { return a / b; }
using std::fabs;
