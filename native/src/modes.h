/*
 * The floating-point modes of the calling thread. Host programs may have switched denormals off or
 * changed the rounding; results would differ.
 */
#ifndef KIF_MODES_H
#define KIF_MODES_H

#include <stdint.h>

#if defined(__SSE2__)
#include <xmmintrin.h>

typedef unsigned int kif_modes;

static inline kif_modes kif_use_default_modes(void) {
  kif_modes before = _mm_getcsr();
  /* Round to nearest, keep denormals, trap nothing. Below are the flags of what has happened. */
  if ((before & ~0x3fu) != 0x1f80) {
    _mm_setcsr(0x1f80);
  }
  return before;
}

/* Where nothing was changed nothing is set: it takes longer than an operation on a cache line, for
 * the flags of what happened meanwhile have to be known first. They stay, as after any function. */
static inline void kif_restore_modes(kif_modes before) {
  if ((before & ~0x3fu) != 0x1f80) {
    _mm_setcsr(before);
  }
}

#elif defined(__aarch64__)

typedef uint64_t kif_modes;

static inline kif_modes kif_use_default_modes(void) {
  kif_modes before;
  kif_modes defaults = 0; /* round to nearest, keep denormals, trap nothing */
  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  __asm__ volatile("msr fpcr, %0" : : "r"(defaults) : "memory");
  return before;
}

static inline void kif_restore_modes(kif_modes before) {
  __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory");
}

#else

typedef int kif_modes;

static inline kif_modes kif_use_default_modes(void) { return 0; }

static inline void kif_restore_modes(kif_modes before) { (void)before; }

#endif

#endif
