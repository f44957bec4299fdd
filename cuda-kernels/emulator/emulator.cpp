/*
 * Runs CUDA kernels on the processor. Every CUDA thread is a fiber; the blocks of a grid run one
 * after another; a barrier lets a block go on when all its threads have come. What a GPU leaves
 * undefined is an error here: a barrier that some threads skip, a shuffle with a lane that left, an
 * argument that is no device memory, a byte written beyond an allocation.
 *
 * Shared memory is filled with rubbish before each block, device memory when it is allocated. Fibers
 * take turns in order, or at random (emulator_order), which shows what relies on an order. Compiled
 * with -fsanitize=address, fibers' stacks are announced to it. For -fsanitize=thread this file is
 * compiled without, with EMULATOR_TSAN: each fiber is a thread to it, and only barriers, warp
 * operations and atomics order fibers.
 *
 * In a cooperative launch each block runs up to the next barrier of the grid before the next block
 * has its turn. What needs blocks that run at the same time cannot be shown, so neither can a barrier
 * that spins: kernels call this one in place of theirs. No speed can be shown either.
 */
#include "cuda_on_cpu.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define WITH_ASAN 1
#else
#define WITH_ASAN 0
#endif
#ifdef EMULATOR_TSAN
#include <sanitizer/tsan_interface.h>
#define WITH_TSAN 1
#else
#define WITH_TSAN 0
#endif

/* A switch of fibers: by hand where system calls for each one would be felt. */
#if defined(__x86_64__) && defined(__linux__)
#define BY_HAND 1
extern "C" void emulator_switch(void **from, void *to);
asm(R"(
.text
.hidden emulator_switch
.globl emulator_switch
.type emulator_switch,@function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch,.-emulator_switch
)");
#else
#define BY_HAND 0
#include <ucontext.h>
#endif

extern "C" __attribute__((weak)) char __start_emulator_shared[];
extern "C" __attribute__((weak)) char __stop_emulator_shared[];

namespace emulator {

dim3 thread_index, block_index, block_size, grid_size;

namespace {

constexpr int WARP = 32;
constexpr size_t PAGE = 4096;
constexpr size_t STACK = WITH_ASAN || WITH_TSAN ? 256 << 10 : 64 << 10;
constexpr char SHARED_RUBBISH = static_cast<char>(0xA5);
/* As floats, NaN. */
constexpr char MEMORY_RUBBISH = static_cast<char>(0xFF);
constexpr char GUARD = static_cast<char>(0xFD);
constexpr size_t GUARD_BYTES = 256;

enum class State { READY, AT_BARRIER, AT_WARP_OPERATION, AT_GRID_BARRIER, DONE };

struct Fiber {
  State state;
  dim3 index;
  int lane, warp;
  /* Where it waits. */
  const char *file;
  int line;
  WarpOperation operation;
  unsigned mask, argument;
  uint64_t value, result;
  /* How many barriers and warp operations it came to; which lanes of its warp had come to an odd
   * number of the latter when they met. */
  unsigned barriers, operations, odd;
  char *stack;
#if BY_HAND
  void *saved;
#else
  ucontext_t saved;
#endif
  void *fake_stack, *tsan;
};

struct Kernel {
  Entry entry;
  Addresses addresses;
};

std::mutex one_launch;
std::string error;
std::vector<Fiber> fibers;
std::vector<char *> stacks;
Fiber *current;
Entry kernel;
void **kernel_arguments;
uint64_t random_state;
bool random_order;

#if BY_HAND
void *scheduler;
#else
ucontext_t scheduler;
#endif
[[maybe_unused]] void *scheduler_fake_stack, *scheduler_tsan;
[[maybe_unused]] const void *scheduler_bottom;
[[maybe_unused]] size_t scheduler_size;
/* Addresses that ThreadSanitizer orders fibers by. Each fiber uses its two in turn: one that went on
 * to its next barrier must not be taken for ordered before one that has yet to leave the last. */
char order_start, order_end, order_grid, order_barrier[2], order_lane[1024][2];
/* Whether blocks of this launch may wait for each other. */
bool cooperative;

std::map<std::string, Kernel> &kernels() {
  static std::map<std::string, Kernel> all;
  return all;
}

/* The first one is kept: what follows may only be its consequence. */
__attribute__((format(printf, 1, 2))) void fail(const char *format, ...) {
  if (!error.empty()) {
    return;
  }
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  error = text;
}

void to_scheduler(bool for_good) {
  Fiber *self = current;
  (void)self;
  (void)for_good;
#if WITH_ASAN
  __sanitizer_start_switch_fiber(for_good ? nullptr : &self->fake_stack, scheduler_bottom,
                                 scheduler_size);
#endif
#if WITH_TSAN
  __tsan_switch_to_fiber(scheduler_tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if BY_HAND
  emulator_switch(&self->saved, scheduler);
#else
  swapcontext(&self->saved, &scheduler);
#endif
#if WITH_ASAN
  __sanitizer_finish_switch_fiber(self->fake_stack, &scheduler_bottom, &scheduler_size);
#endif
}

void release(char *address) {
  (void)address;
#if WITH_TSAN
  __tsan_release(address);
#endif
}

void acquire(char *address) {
  (void)address;
#if WITH_TSAN
  __tsan_acquire(address);
#endif
}

void run_fiber() {
#if WITH_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_bottom, &scheduler_size);
#endif
  acquire(&order_start);
  kernel(kernel_arguments);
  release(&order_end);
  current->state = State::DONE;
  to_scheduler(true);
  abort();
}

void to_fiber(Fiber &fiber) {
  current = &fiber;
  thread_index = fiber.index;
#if WITH_TSAN
  __tsan_switch_to_fiber(fiber.tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if WITH_ASAN
  __sanitizer_start_switch_fiber(&scheduler_fake_stack, fiber.stack, STACK);
#endif
#if BY_HAND
  emulator_switch(&scheduler, fiber.saved);
#else
  swapcontext(&scheduler, &fiber.saved);
#endif
#if WITH_ASAN
  __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
}

void start(Fiber &fiber, char *stack) {
  fiber.stack = stack;
  fiber.state = State::READY;
  fiber.fake_stack = nullptr;
  fiber.barriers = 0;
  fiber.operations = 0;
#if BY_HAND
  /* As if it had been switched from at its first instruction: a null return address, the entry,
   * six registers. */
  void **top = reinterpret_cast<void **>(stack + STACK);
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(run_fiber);
  for (int i = 0; i < 6; i++) {
    *--top = nullptr;
  }
  fiber.saved = top;
#else
  getcontext(&fiber.saved);
  fiber.saved.uc_stack.ss_sp = stack;
  fiber.saved.uc_stack.ss_size = STACK;
  fiber.saved.uc_link = nullptr;
  makecontext(&fiber.saved, run_fiber, 0);
#endif
}

uint32_t random_number() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return static_cast<uint32_t>(random_state >> 16);
}

/* Redzones lie between the arrays of the section. */
__attribute__((no_sanitize("address"), noinline)) void spoil_shared_memory() {
  for (volatile char *p = __start_emulator_shared; p < __stop_emulator_shared; p++) {
    *p = SHARED_RUBBISH;
  }
}

/* Blocks that wait for each other lay their shared memory aside, for all use one place. */
__attribute__((no_sanitize("address"), noinline)) void copy_shared_memory(std::vector<char> &to) {
  to.resize(static_cast<size_t>(__stop_emulator_shared - __start_emulator_shared));
  volatile char *target = to.data();
  for (volatile char *p = __start_emulator_shared; p < __stop_emulator_shared; p++) {
    *target++ = *p;
  }
}
__attribute__((no_sanitize("address"), noinline)) void put_shared_memory(
    const std::vector<char> &from) {
  const volatile char *source = from.data();
  for (volatile char *p = __start_emulator_shared; p < __stop_emulator_shared; p++) {
    *p = *source++;
  }
}

/* Lets the lanes of a mask go on when all of them have come. */
bool finish_warp_operations() {
  bool any = false;
  int count = static_cast<int>(fibers.size());
  for (int first = 0; first < count; first += WARP) {
    int lanes = std::min(WARP, count - first);
    Fiber *warp = &fibers[first];
    for (int i = 0; i < lanes; i++) {
      Fiber &leader = warp[i];
      if (leader.state != State::AT_WARP_OPERATION) {
        continue;
      }
      unsigned mask = leader.mask;
      if (!(mask >> i & 1) || (lanes < WARP && mask >> lanes != 0)) {
        fail("%s:%d: lane %d of %d called with mask 0x%x", leader.file, leader.line, i, lanes, mask);
        return false;
      }
      bool all = true;
      unsigned ballot = 0, odd = 0;
      for (int k = 0; k < lanes; k++) {
        if (!(mask >> k & 1)) {
          continue;
        }
        Fiber &other = warp[k];
        if (other.state == State::DONE) {
          fail("%s:%d: lane %d of mask 0x%x has left the kernel", leader.file, leader.line, k, mask);
          return false;
        }
        all = all && other.state == State::AT_WARP_OPERATION && other.mask == mask &&
              other.line == leader.line && other.operation == leader.operation;
        ballot |= other.value != 0 ? 1u << k : 0;
        odd |= (other.operations & 1) << k;
      }
      if (!all) {
        continue;
      }
      for (int k = 0; k < lanes; k++) {
        if (!(mask >> k & 1)) {
          continue;
        }
        Fiber &fiber = warp[k];
        int from = k;
        int argument = static_cast<int>(fiber.argument);
        switch (fiber.operation) {
          case WarpOperation::SHUFFLE:
            from = argument & (WARP - 1);
            break;
          case WarpOperation::SHUFFLE_XOR:
            from = k ^ argument;
            break;
          case WarpOperation::SHUFFLE_UP:
            from = k < argument ? k : k - argument;
            break;
          case WarpOperation::SHUFFLE_DOWN:
            from = k + argument >= WARP ? k : k + argument;
            break;
          case WarpOperation::SYNC:
          case WarpOperation::BALLOT:
            break;
        }
        if (from >= lanes || !(mask >> from & 1)) {
          fail("%s:%d: lane %d reads lane %d, which does not take part", fiber.file, fiber.line, k,
               from);
          return false;
        }
        fiber.result =
            fiber.operation == WarpOperation::BALLOT ? ballot : warp[from].value;
      }
      for (int k = 0; k < lanes; k++) {
        if (mask >> k & 1) {
          warp[k].odd = odd;
          warp[k].state = State::READY;
        }
      }
      any = true;
    }
  }
  return any;
}

/* Lets a block go on when all its threads have come to one barrier. */
bool finish_barrier(uint64_t block) {
  Fiber *first = nullptr;
  int waiting = 0, left = 0;
  for (Fiber &fiber : fibers) {
    if (fiber.state == State::DONE) {
      left++;
    } else if (fiber.state == State::AT_BARRIER) {
      waiting++;
      if (first == nullptr) {
        first = &fiber;
      } else if (fiber.line != first->line || fiber.file != first->file) {
        fail("block %llu: threads wait at different barriers, %s:%d and %s:%d",
             static_cast<unsigned long long>(block), first->file, first->line, fiber.file,
             fiber.line);
        return false;
      }
    }
  }
  int count = static_cast<int>(fibers.size());
  if (first == nullptr || waiting + left < count) {
    fail("block %llu: deadlock, %d threads at a barrier, %d have left, %d wait for their warp",
         static_cast<unsigned long long>(block), waiting, left, count - waiting - left);
    return false;
  }
  if (left > 0) {
    fail("%s:%d: a barrier while %d of %d threads have left the kernel", first->file, first->line,
         left, count);
    return false;
  }
  for (Fiber &fiber : fibers) {
    fiber.state = State::READY;
  }
  return true;
}

void start_block(uint64_t block) {
  if (__start_emulator_shared != nullptr) {
    spoil_shared_memory();
  }
  int count = static_cast<int>(fibers.size());
  for (int i = 0; i < count; i++) {
    Fiber &fiber = fibers[i];
    unsigned t = static_cast<unsigned>(i);
    fiber.index = {t % block_size.x, t / block_size.x % block_size.y,
                   t / block_size.x / block_size.y};
    fiber.lane = i % WARP;
    fiber.warp = i / WARP;
    start(fiber, stacks[cooperative ? block * static_cast<unsigned>(count) + t : t]);
#if WITH_TSAN
    /* Used again for other blocks, for their number is limited; two sets, for two blocks that
     * follow each other must be different threads. */
    static std::map<uint64_t, std::vector<void *>> pool;
    std::vector<void *> &these = pool[cooperative ? block : block % 2];
    if (static_cast<int>(these.size()) <= i) {
      these.push_back(__tsan_create_fiber(0));
    }
    fiber.tsan = these[i];
#endif
  }
}

/* Runs a block until its end, which is true, or until all its threads wait for the whole grid. */
bool run_block(uint64_t block, std::vector<int> &turns) {
  int count = static_cast<int>(fibers.size());
  block_index = {static_cast<unsigned>(block % grid_size.x),
                 static_cast<unsigned>(block / grid_size.x % grid_size.y),
                 static_cast<unsigned>(block / grid_size.x / grid_size.y)};
  while (error.empty()) {
    if (random_order) {
      for (int i = count - 1; i > 0; i--) {
        std::swap(turns[i], turns[random_number() % (i + 1)]);
      }
    }
    for (int i : turns) {
      if (fibers[i].state == State::READY) {
        to_fiber(fibers[i]);
      }
    }
    int done = 0, at_warp = 0, at_grid = 0;
    for (Fiber &fiber : fibers) {
      done += fiber.state == State::DONE;
      at_warp += fiber.state == State::AT_WARP_OPERATION;
      at_grid += fiber.state == State::AT_GRID_BARRIER;
    }
    if (done == count) {
      return true;
    }
    if (at_grid == count) {
      return false;
    }
    if ((at_warp == 0 || !finish_warp_operations()) && error.empty()) {
      finish_barrier(block);
    }
  }
  return true;
}

/* Blocks run in turn, each up to a barrier of the grid, at which all of them have to come. */
void run_cooperative(uint64_t blocks, uint64_t threads, uint64_t first, std::vector<int> &turns) {
  std::vector<std::vector<Fiber>> all(blocks, std::vector<Fiber>(threads));
  std::vector<std::vector<char>> shared(blocks);
  bool started = false;
  for (uint64_t ended = 0; ended < blocks && error.empty(); started = true) {
    if (ended > 0) {
      fail("a barrier of the grid while %llu of %llu blocks have left the kernel",
           static_cast<unsigned long long>(ended), static_cast<unsigned long long>(blocks));
    }
    for (uint64_t i = 0; i < blocks && error.empty(); i++) {
      uint64_t block = (first + i) % blocks;
      fibers.swap(all[block]);
      if (!started) {
        start_block(block);
      } else {
        put_shared_memory(shared[block]);
        for (Fiber &fiber : fibers) {
          fiber.state = State::READY;
        }
      }
      ended += run_block(block, turns);
      copy_shared_memory(shared[block]);
      fibers.swap(all[block]);
      acquire(&order_end);
      acquire(&order_grid);
      release(&order_start);
      release(&order_grid);
    }
  }
}

/* Device memory. The host sees its addresses with a bias, under which nothing lies: to follow one
 * ends the process, as it would with the address of a GPU. Launches take the bias off arguments that
 * are pointers; structures passed to kernels hold none. */

constexpr uintptr_t BIAS = uintptr_t{1} << 46;

/* By address without bias. */
std::map<char *, size_t> allocations;

char *with_bias(char *address) {
  return reinterpret_cast<char *>(reinterpret_cast<uintptr_t>(address) + BIAS);
}

/* Where so many bytes at a device address lie, or null if they are not within one allocation. */
char *locate(const char *device, size_t bytes) {
  char *address = reinterpret_cast<char *>(reinterpret_cast<uintptr_t>(device) - BIAS);
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin()) {
    return nullptr;
  }
  auto [begin, size] = *std::prev(next);
  return static_cast<size_t>(address - begin) < size && bytes <= size - (address - begin) ? address
                                                                                         : nullptr;
}

/* Sanitizers watch the ends themselves, to the byte. */
constexpr size_t MARGIN = WITH_ASAN || WITH_TSAN ? 0 : GUARD_BYTES;

void check_guards() {
  for (auto [begin, size] : allocations) {
    for (size_t i = 0; i < MARGIN; i++) {
      char *before = begin - 1 - i;
      char *behind = begin + size + i;
      if (*before != GUARD || *behind != GUARD) {
        fail("device memory of %zu bytes: a byte %s it was overwritten", size,
             *behind != GUARD ? "behind" : "before");
        *before = GUARD;
        *behind = GUARD;
        return;
      }
    }
  }
}

}  // namespace

int add_kernel(const char *name, Entry entry, Addresses addresses) {
  kernels()[name] = {entry, addresses};
  return 0;
}

void block_barrier(const char *file, int line) {
  Fiber *self = current;
  self->file = file;
  self->line = line;
  self->state = State::AT_BARRIER;
  char *order = &order_barrier[self->barriers++ & 1];
  release(order);
  to_scheduler(false);
  acquire(order);
}

void grid_barrier(const char *file, int line) {
  Fiber *self = current;
  if (!cooperative) {
    fail("%s:%d: a barrier of the grid in a launch whose blocks need not run together", file, line);
  }
  self->file = file;
  self->line = line;
  self->state = State::AT_GRID_BARRIER;
  release(&order_grid);
  to_scheduler(false);
  acquire(&order_grid);
}

uint64_t warp_operation(const char *file, int line, WarpOperation operation, unsigned mask,
                        uint64_t value, unsigned argument) {
  Fiber *self = current;
  self->file = file;
  self->line = line;
  self->operation = operation;
  self->mask = mask;
  self->value = value;
  self->argument = argument;
  self->state = State::AT_WARP_OPERATION;
  int first = self->warp * WARP;
  self->operations++;
  release(&order_lane[first + self->lane][self->operations & 1]);
  to_scheduler(false);
  for (int lane = 0; lane < WARP; lane++) {
    if (mask >> lane & 1) {
      acquire(&order_lane[first + lane][self->odd >> lane & 1]);
    }
  }
  return self->result;
}

}  // namespace emulator

using namespace emulator;

#define EXPORT extern "C" __attribute__((visibility("default")))

/* What went wrong in the last call that returned something else than 0. */
EXPORT const char *emulator_error() { return error.c_str(); }

/* 0: fibers take turns in order; else at random from this seed. */
EXPORT void emulator_order(uint64_t seed) {
  random_order = seed != 0;
  random_state = seed * 0x9E3779B97F4A7C15u + 1;
}

EXPORT int emulator_has_kernel(const char *name) { return kernels().count(name) > 0; }

/* Device memory on a multiple of 256 bytes, full of rubbish; 0 if there is none left. */
EXPORT char *emulator_allocate(size_t bytes) {
  std::lock_guard<std::mutex> lock(one_launch);
  bytes = std::max<size_t>(bytes, 1);
  void *place = nullptr;
  if (posix_memalign(&place, 256, bytes + 2 * MARGIN) != 0) {
    return nullptr;
  }
  char *begin = static_cast<char *>(place) + MARGIN;
  memset(place, GUARD, MARGIN);
  memset(begin, MEMORY_RUBBISH, bytes);
  memset(begin + bytes, GUARD, MARGIN);
  allocations[begin] = bytes;
  return with_bias(begin);
}

EXPORT int emulator_free(char *device) {
  std::lock_guard<std::mutex> lock(one_launch);
  error.clear();
  char *begin = locate(device, 0);
  if (begin == nullptr || allocations.count(begin) == 0) {
    fail("%p was not allocated", static_cast<void *>(device));
    return 1;
  }
  allocations.erase(begin);
  free(begin - MARGIN);
  return 0;
}

/* Where the host finds device memory, for libraries that run on the host in the place of a GPU; 0 if
   it is none. */
EXPORT char *emulator_host_address(const char *device, size_t bytes) {
  std::lock_guard<std::mutex> lock(one_launch);
  return locate(device, bytes);
}

/* kind: 0 host to device, 1 device to host, 2 within the device, 3 zeroes device memory. */
EXPORT int emulator_copy(int kind, char *to, const char *from, size_t bytes) {
  std::lock_guard<std::mutex> lock(one_launch);
  error.clear();
  char *target = kind == 1 ? to : locate(to, bytes);
  const char *source = kind == 1 || kind == 2 ? locate(from, bytes) : from;
  if (target == nullptr) {
    fail("a copy of %zu bytes to %p, which is no device memory", bytes, static_cast<void *>(to));
    return 1;
  }
  if (source == nullptr && kind != 3) {
    fail("a copy of %zu bytes from %p, which is no device memory", bytes,
         static_cast<const void *>(from));
    return 1;
  }
  if (kind == 3) {
    memset(target, 0, bytes);
  } else {
    memcpy(target, source, bytes);
  }
  return 0;
}

static int launch(bool together, const char *name, unsigned grid_x, unsigned grid_y,
                  unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                  void **arguments) {
  std::lock_guard<std::mutex> lock(one_launch);
  error.clear();
  cooperative = together;
  auto found = kernels().find(name);
  if (found == kernels().end()) {
    fail("there is no kernel %s", name);
    return 1;
  }
  uint64_t threads = uint64_t{block_x} * block_y * block_z;
  uint64_t blocks = uint64_t{grid_x} * grid_y * grid_z;
  if (threads < 1 || threads > 1024 || blocks < 1) {
    fail("%s: a grid of %llu blocks of %llu threads cannot be launched", name,
         static_cast<unsigned long long>(blocks), static_cast<unsigned long long>(threads));
    return 1;
  }
  int count = 0;
  found->second.addresses(0, &count);
  std::vector<void *> translated(arguments, arguments + count);
  std::vector<char *> pointers(count);
  for (int i = 0; i < count; i++) {
    if (found->second.addresses(i, &count)) {
      char *device;
      memcpy(&device, arguments[i], sizeof device);
      pointers[i] = locate(device, 0);
      if (pointers[i] == nullptr && device != nullptr) {
        fail("%s: argument %d, %p, is no device memory", name, i, static_cast<void *>(device));
        return 1;
      }
      translated[i] = &pointers[i];
    }
  }
  kernel = found->second.entry;
  kernel_arguments = translated.data();
  grid_size = {grid_x, grid_y, grid_z};
  block_size = {block_x, block_y, block_z};
  while (stacks.size() < (together ? blocks * threads : threads)) {
    /* With a page before it that nobody may touch. */
    char *stack = static_cast<char *>(mmap(nullptr, PAGE + STACK, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stack == MAP_FAILED) {
      fail("no memory for the stacks of %llu threads", static_cast<unsigned long long>(threads));
      return 1;
    }
    mprotect(stack, PAGE, PROT_NONE);
    stacks.push_back(stack + PAGE);
  }
  fibers.resize(threads);
  std::vector<int> turns(threads);
  for (size_t i = 0; i < threads; i++) {
    turns[i] = static_cast<int>(i);
  }
#if WITH_TSAN
  scheduler_tsan = __tsan_get_current_fiber();
#endif
  release(&order_start);
  /* Set, blocks are not ordered to each other either: for kernels without shared memory, whose
   * place all blocks share here. */
  static const bool blocks_race = getenv("EMULATOR_BLOCKS_RACE") != nullptr;
  uint64_t first = random_order ? random_number() % blocks : 0;
  if (together) {
    run_cooperative(blocks, threads, first, turns);
  }
  for (uint64_t i = together ? blocks : 0; i < blocks && error.empty(); i++) {
    start_block((first + i) % blocks);
    run_block((first + i) % blocks, turns);
    if (!blocks_race) {
      acquire(&order_end);
      release(&order_start);
    }
  }
  acquire(&order_end);
  check_guards();
  return error.empty() ? 0 : 700;
}

/* As cuLaunchKernel. */
EXPORT int emulator_launch(const char *name, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                           unsigned block_x, unsigned block_y, unsigned block_z, void **arguments) {
  return launch(false, name, grid_x, grid_y, grid_z, block_x, block_y, block_z, arguments);
}

/* As cuLaunchCooperativeKernel: blocks may wait for each other. */
EXPORT int emulator_launch_cooperative(const char *name, unsigned grid_x, unsigned grid_y,
                                       unsigned grid_z, unsigned block_x, unsigned block_y,
                                       unsigned block_z, void **arguments) {
  return launch(true, name, grid_x, grid_y, grid_z, block_x, block_y, block_z, arguments);
}
