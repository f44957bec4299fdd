/* The functions of kif.h: arguments are checked, work is dealt out in blocks, and the parts that
 * are not element-wise (selection by rank, the tree of a norm) are put together here. */
#include "kif.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "operations.h"
#include "pool.h"

enum {
  BLOCK = 1 << 16, /* elements that a thread takes at a time; a multiple of NORM_BLOCK */
  MAX_THREADS = 1024,
  INFINITY_BITS = 0x7f800000
};

struct kif_context {
  pthread_mutex_t call;
  int32_t isa;
  const kif_operations *operations;
  kif_pool *pool;
  kif_histogram *histograms; /* one per thread */
  double *sums;              /* of the blocks of a norm; grows as needed */
  int64_t sums_capacity;
  float *kept;               /* scores in the bracket of a threshold; grows as needed */
  int64_t kept_capacity;
};

/* ---- instruction sets ---- */

static const char *const isa_names[] = {"best", "baseline", "avx2", "avx512"};

static const kif_operations *operations_of(int32_t isa) {
  switch (isa) {
    case KIF_ISA_BASELINE:
      return &kif_operations_baseline;
#ifdef KIF_X86_TIERS
    case KIF_ISA_AVX2:
      return &kif_operations_avx2;
    case KIF_ISA_AVX512:
      return &kif_operations_avx512;
#endif
    default:
      return NULL;
  }
}

static pthread_once_t isa_once = PTHREAD_ONCE_INIT;
static int32_t supported_isa;
static int32_t allowed_isa; /* 0 where the environment makes no sense */

static void find_isa(void) {
  supported_isa = KIF_ISA_BASELINE;
#ifdef KIF_X86_TIERS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) {
    supported_isa = KIF_ISA_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
      supported_isa = KIF_ISA_AVX512;
    }
  }
#endif
  const char *cap = getenv("KIF_MAX_ISA");
  if (cap == NULL || *cap == '\0') {
    allowed_isa = KIF_ISA_AVX512;
  } else {
    for (int32_t isa = KIF_ISA_BASELINE; isa <= KIF_ISA_AVX512; isa++) {
      if (strcmp(cap, isa_names[isa]) == 0) {
        allowed_isa = isa;
      }
    }
  }
}

/* ---- contexts ---- */

int32_t kif_abi_version(void) { return KIF_ABI_VERSION; }

const char *kif_status_text(int32_t status) {
  switch (status) {
    case KIF_OK:
      return "no error";
    case KIF_INVALID_ARGUMENT:
      return "an argument is null, negative, misaligned or out of range";
    case KIF_OUT_OF_MEMORY:
      return "out of memory";
    case KIF_NO_THREADS:
      return "the system refused to start a thread";
    case KIF_BAD_ENVIRONMENT:
      return "KIF_MAX_ISA must be baseline, avx2 or avx512";
    case KIF_UNSUPPORTED:
      return "this processor, or this build, lacks the instruction set";
    default:
      return "unknown status";
  }
}

const char *kif_isa_name(int32_t isa) {
  return isa >= KIF_ISA_BEST && isa <= KIF_ISA_AVX512 ? isa_names[isa] : "unknown";
}

int32_t kif_allowed_isa(void) {
  pthread_once(&isa_once, find_isa);
  return supported_isa < allowed_isa ? supported_isa : allowed_isa;
}

int32_t kif_supported_isa(void) {
  pthread_once(&isa_once, find_isa);
  return supported_isa;
}

int32_t kif_context_create(int32_t threads, int32_t isa, kif_context **result) {
  if (result == NULL || threads < 1 || threads > MAX_THREADS || isa < KIF_ISA_BEST ||
      isa > KIF_ISA_AVX512) {
    return KIF_INVALID_ARGUMENT;
  }
  pthread_once(&isa_once, find_isa);
  if (isa == KIF_ISA_BEST) {
    if (allowed_isa == 0) {
      return KIF_BAD_ENVIRONMENT;
    }
    isa = supported_isa < allowed_isa ? supported_isa : allowed_isa;
  } else if (isa > supported_isa) {
    return KIF_UNSUPPORTED;
  }
  kif_context *context = calloc(1, sizeof *context);
  if (context == NULL) {
    return KIF_OUT_OF_MEMORY;
  }
  context->isa = isa;
  context->operations = operations_of(isa);
  context->histograms = calloc((size_t)threads, sizeof *context->histograms);
  int32_t status = context->histograms == NULL ? KIF_OUT_OF_MEMORY
                                               : kif_pool_create(threads, &context->pool);
  if (status != KIF_OK) {
    free(context->histograms);
    free(context);
    return status;
  }
  pthread_mutex_init(&context->call, NULL);
  *result = context;
  return KIF_OK;
}

void kif_context_destroy(kif_context *context) {
  if (context == NULL) {
    return;
  }
  kif_pool_destroy(context->pool);
  pthread_mutex_destroy(&context->call);
  free(context->histograms);
  free(context->sums);
  free(context->kept);
  free(context);
}

int32_t kif_context_threads(const kif_context *context) { return kif_pool_threads(context->pool); }

int32_t kif_context_isa(const kif_context *context) { return context->isa; }

/* ---- calls ---- */

static int is_array(const float *array, int64_t n) {
  return n == 0 || (array != NULL && (uintptr_t)array % sizeof(float) == 0);
}

static int is_score(int32_t score) {
  return score == KIF_SENSITIVITY_TIMES_UNCERTAINTY || score == KIF_SENSITIVITY;
}

static int is_weighting(const kif_merge_rule *rule) {
  return rule->weighting == KIF_MASKS ||
         (rule->weighting == KIF_SOFT && rule->temperature > 0 && rule->temperature < INFINITY);
}

/* Whether spans lie behind each other in n elements; null stands for all of them as one part. */
static int are_parts(const kif_span *tensors, int64_t count, int64_t n) {
  if (tensors == NULL) {
    return 1;
  }
  int64_t end = 0;
  for (int64_t t = 0; t < count; t++) {
    if (tensors[t].begin < end || tensors[t].end < tensors[t].begin) {
      return 0;
    }
    end = tensors[t].end;
  }
  return count >= 1 && end <= n;
}

static int is_formula(int32_t formula) { return formula >= KIF_FIRST_ORDER && formula <= KIF_MIXED; }

/* One call: the operands of whichever operation it is. */
typedef struct {
  kif_context *context;
  float *a, *b, *c, *d, *e, *f;
  const float *g, *h;
  float factor;
  const kif_adamw_step *step;
  const kif_importance_rule *rule;
} elements;

static int32_t run(kif_context *context, kif_task *task, void *argument, int64_t n) {
  pthread_mutex_lock(&context->call);
  kif_pool_run(context->pool, task, argument, n, BLOCK);
  pthread_mutex_unlock(&context->call);
  return KIF_OK;
}

/*
 * Compiled Java leaves the upper halves of vector registers marked as in use, and so may others. The
 * first SSE instruction after that, which a compiler uses to clear a few bytes, saves them, and the
 * next AVX instruction brings them back: more than an operation on a cache line takes.
 */
static inline void forget_upper_halves(void) {
#ifdef KIF_X86_TIERS
  if (supported_isa >= KIF_ISA_AVX2) {
    __asm__ volatile("vzeroupper" ::: "memory");
  }
#endif
}

#define REQUIRE(condition)         \
  do {                             \
    if (!(condition)) {            \
      return KIF_INVALID_ARGUMENT; \
    }                              \
  } while (0)

static void zero_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  memset((float *)argument + begin, 0, (size_t)(end - begin) * sizeof(float));
}

int32_t kif_zero(kif_context *context, float *v, int64_t n) {
  forget_upper_halves();
  REQUIRE(context != NULL && n >= 0 && is_array(v, n));
  return run(context, zero_task, v, n);
}

static void copy_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const elements *e = argument;
  memcpy(e->a + begin, e->g + begin, (size_t)(end - begin) * sizeof(float));
}

int32_t kif_copy(kif_context *context, const float *source, float *target, int64_t n) {
  forget_upper_halves();
  REQUIRE(context != NULL && n >= 0 && is_array(source, n) && is_array(target, n));
  elements e = {.a = target, .g = source};
  return run(context, copy_task, &e, n);
}

static void accumulate_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const elements *e = argument;
  e->context->operations->accumulate(e->a, e->g, e->factor, begin, end);
}

int32_t kif_accumulate(kif_context *context, float *sum, const float *term, float scale,
                       int64_t n) {
  forget_upper_halves();
  REQUIRE(context != NULL && n >= 0 && is_array(sum, n) && is_array(term, n));
  elements e = {.context = context, .a = sum, .g = term, .factor = scale};
  return run(context, accumulate_task, &e, n);
}

static void accumulate_product_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const elements *e = argument;
  e->context->operations->accumulate_product(e->a, e->g, e->h, e->factor, begin, end);
}

int32_t kif_accumulate_product(kif_context *context, float *sum, const float *a, const float *b,
                               float scale, int64_t n) {
  forget_upper_halves();
  REQUIRE(context != NULL && n >= 0 && is_array(sum, n) && is_array(a, n) && is_array(b, n));
  elements e = {.context = context, .a = sum, .g = a, .h = b, .factor = scale};
  return run(context, accumulate_product_task, &e, n);
}

static void adamw_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const elements *e = argument;
  e->context->operations->adamw(e->a, e->g, e->b, e->c, e->factor, e->step, begin, end);
}

int32_t kif_adamw(kif_context *context, float *w, const float *g, float *m, float *v, float clip,
                  const kif_adamw_step *step, int64_t n) {
  forget_upper_halves();
  REQUIRE(context != NULL && step != NULL && n >= 0);
  REQUIRE(is_array(w, n) && is_array(g, n) && is_array(m, n) && is_array(v, n));
  elements e = {
      .context = context, .a = w, .g = g, .b = m, .c = v, .factor = clip, .step = step};
  return run(context, adamw_task, &e, n);
}

static void importance_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const elements *e = argument;
  e->context->operations->importance(e->a, e->g, e->d, e->e, e->factor, e->rule, begin, end);
}

int32_t kif_importance(kif_context *context, const float *w, const float *g, float *I, float *U,
                       float clip, const kif_importance_rule *rule, int64_t n) {
  forget_upper_halves();
  REQUIRE(context != NULL && rule != NULL && is_formula(rule->formula) && n >= 0);
  REQUIRE(is_array(w, n) && is_array(g, n) && is_array(I, n) && is_array(U, n));
  elements e = {.context = context,
                .a = (float *)w, /* only read */
                .g = g,
                .d = I,
                .e = U,
                .factor = clip,
                .rule = rule};
  return run(context, importance_task, &e, n);
}

static void adamw_importance_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const elements *e = argument;
  e->context->operations->adamw_importance(e->a, e->g, e->b, e->c, e->d, e->e, e->factor, e->step,
                                           e->rule, begin, end);
}

int32_t kif_adamw_importance(kif_context *context, float *w, const float *g, float *m, float *v,
                             float *I, float *U, float clip, const kif_adamw_step *step,
                             const kif_importance_rule *rule, int64_t n) {
  forget_upper_halves();
  REQUIRE(context != NULL && step != NULL && rule != NULL && is_formula(rule->formula) && n >= 0);
  REQUIRE(is_array(w, n) && is_array(g, n) && is_array(m, n) && is_array(v, n));
  REQUIRE(is_array(I, n) && is_array(U, n));
  elements e = {.context = context,
                .a = w,
                .g = g,
                .b = m,
                .c = v,
                .d = I,
                .e = U,
                .factor = clip,
                .step = step,
                .rule = rule};
  return run(context, adamw_importance_task, &e, n);
}

/*
 * Arithmetic that is not a kernel's is a task of one element, for only tasks are sure to run under
 * default floating-point modes.
 */
static void run_alone(kif_context *context, kif_task *task, void *argument) {
  kif_pool_run(context->pool, task, argument, 1, 1);
}

/* ---- norm ---- */

static void norm_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const elements *e = argument;
  for (int64_t i = begin; i < end; i += NORM_BLOCK) {
    e->context->sums[i / NORM_BLOCK] = e->context->operations->norm_block(
        e->g + i, end - i < NORM_BLOCK ? end - i : NORM_BLOCK);
  }
}

typedef struct {
  double *sums;
  int64_t count;
} folding;

static void fold_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker, (void)begin, (void)end;
  const folding *f = argument;
  for (int64_t stride = 1; stride < f->count; stride *= 2) {
    for (int64_t i = 0; i + stride < f->count; i += 2 * stride) {
      f->sums[i] += f->sums[i + stride];
    }
  }
}

int32_t kif_squared_norm(kif_context *context, const float *v, int64_t n, double *result) {
  forget_upper_halves();
  REQUIRE(context != NULL && n >= 0 && is_array(v, n) && result != NULL);
  int64_t blocks = n / NORM_BLOCK + (n % NORM_BLOCK != 0);
  pthread_mutex_lock(&context->call);
  if (blocks > context->sums_capacity) {
    double *sums = realloc(context->sums, (size_t)blocks * sizeof *sums);
    if (sums == NULL) {
      pthread_mutex_unlock(&context->call);
      return KIF_OUT_OF_MEMORY;
    }
    context->sums = sums;
    context->sums_capacity = blocks;
  }
  elements e = {.context = context, .g = v};
  kif_pool_run(context->pool, norm_task, &e, n, BLOCK);
  folding f = {context->sums, blocks};
  run_alone(context, fold_task, &f);
  *result = blocks == 0 ? 0 : context->sums[0];
  pthread_mutex_unlock(&context->call);
  return KIF_OK;
}

/* ---- threshold ---- */

/*
 * A sample of the scores tells a bracket of magnitudes that almost surely holds the two elements
 * looked for. One pass counts what lies below it and keeps what lies in it, and radix selection
 * finds the two among those. Where the bracket turns out to miss them, or to hold too much because
 * many scores are equal, radix selection looks through all scores instead. Both ways are exact, so
 * which one is taken shows in the time only.
 */
enum {
  PIECE = 4096,           /* elements whose kept scores are handed over at once */
  KEPT_ALL = 1 << 15,     /* so few elements are all kept */
  FEW = 64,               /* so few elements in the bracket are sorted */
  KEPT_SHARE = 16,        /* of more, one in so many at most */
  FEWEST_SAMPLES = 1 << 12,
  MOST_SAMPLES = 1 << 16,
  ELEMENTS_PER_SAMPLE = 256,
  DEVIATIONS = 4 /* of the rank in the sample, to either side */
};

typedef struct {
  kif_context *context;
  const float *I, *U;
  int32_t score;
  uint32_t first; /* magnitudes from here on, up to 2^bits of them, in bins of 2^shift */
  int bits, shift;
} selection;

static void collect(kif_histogram *histogram) {
  for (int k = 0; k < HISTOGRAMS; k++) {
    for (int bin = 0; bin < BINS; bin++) {
      histogram->totals[bin] += histogram->counts[k][bin];
    }
  }
  memset(histogram->counts, 0, sizeof histogram->counts);
  histogram->uncollected = 0;
}

static void count_task(void *argument, int worker, int64_t begin, int64_t end) {
  const selection *s = argument;
  kif_histogram *histogram = &s->context->histograms[worker];
  if (histogram->uncollected > INT32_MAX) {
    collect(histogram);
  }
  histogram->uncollected += end - begin;
  s->context->operations->count(s->I, s->U, s->score, s->first, s->bits, s->shift, begin, end,
                                histogram);
}

/* Leaves the sums over all threads in the first histogram. */
static const kif_histogram *count(selection *s, int64_t n, int64_t block) {
  kif_histogram *all = s->context->histograms;
  int32_t threads = n <= block ? 1 : kif_pool_threads(s->context->pool);
  for (int32_t t = 0; t < threads; t++) {
    memset(&all[t], 0, sizeof all[t]);
    all[t].next = UINT32_MAX;
  }
  kif_pool_run(s->context->pool, count_task, s, n, block);
  for (int32_t t = 0; t < threads; t++) {
    collect(&all[t]);
    if (t > 0) {
      for (int bin = 0; bin < BINS; bin++) {
        all->totals[bin] += all[t].totals[bin];
      }
      all->next = all[t].next < all->next ? all[t].next : all->next;
    }
  }
  return all;
}

/*
 * The magnitudes of rank k and k + 1, counted from 0, of n > k; the latter is the former where there
 * is none. All n lie in the first 2^bits magnitudes from s->first on.
 */
static void select_neighbours(selection *s, int bits, int64_t n, int64_t k, int64_t block,
                              uint32_t neighbours[2]) {
  uint64_t below = (uint64_t)k; /* elements in the span before the one looked for */
  const kif_histogram *histogram;
  uint32_t bin;
  s->bits = bits;
  for (;;) {
    s->shift = s->bits > DIGIT ? s->bits - DIGIT : 0;
    histogram = count(s, n, block);
    for (bin = 0; below >= histogram->totals[bin]; bin++) {
      below -= histogram->totals[bin];
    }
    if (s->shift == 0) {
      break;
    }
    s->first += bin << s->shift;
    s->bits = s->shift;
  }
  neighbours[0] = neighbours[1] = s->first + bin;
  if (k + 1 < n && below + 1 >= histogram->totals[bin]) {
    const uint32_t end = 1u << s->bits;
    do {
      bin++;
    } while (bin < end && histogram->totals[bin] == 0);
    neighbours[1] = s->first + bin + (bin == end ? histogram->next : 0);
  }
}

typedef struct {
  kif_context *context;
  const float *I, *U;
  int32_t score;
  int64_t n;
  uint32_t low, high;
  int64_t samples;
  int64_t capacity;
  atomic_int_least64_t below, inside;
  atomic_int_least32_t largest;
} bracketing;

static void sample_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  enum { CHUNK = 256 };
  const bracketing *b = argument;
  int64_t places[CHUNK];
  const int64_t stride = b->n / b->samples;
  for (int64_t i = begin; i < end; i += CHUNK) {
    int64_t stop = end - i < CHUNK ? end : i + CHUNK;
    for (int64_t j = i; j < stop; j++) {
      /* Scattered in each stretch, so that no period of the data meets that of the sample. */
      uint64_t scattered = (uint64_t)(j + 1) * UINT64_C(0x9E3779B97F4A7C15) >> 40;
      places[j - i] = j * stride + (int64_t)(scattered % (uint64_t)stride);
    }
    b->context->operations->gather(b->I, b->U, b->score, places, stop - i, b->context->kept + i);
  }
}

/* Chooses the bracket for rank k. */
static void choose_bracket(bracketing *b, int64_t k) {
  b->low = 0;
  b->high = INT32_MAX;
  if (b->n <= KEPT_ALL) {
    return;
  }
  kif_pool_run(b->context->pool, sample_task, b, b->samples, b->samples);
  double share = (double)k / (double)b->n;
  double rank = share * (double)b->samples;
  double margin = DEVIATIONS * sqrt(rank * (1 - share)) + 2;
  uint32_t found[2];
  if (rank - margin >= 0) {
    selection s = {.context = b->context, .I = b->context->kept, .score = KIF_SENSITIVITY};
    select_neighbours(&s, MAGNITUDE, b->samples, (int64_t)(rank - margin), b->samples, found);
    b->low = found[0];
  }
  if (rank + margin < (double)b->samples) {
    selection s = {.context = b->context, .I = b->context->kept, .score = KIF_SENSITIVITY};
    select_neighbours(&s, MAGNITUDE, b->samples, (int64_t)(rank + margin), b->samples, found);
    b->high = found[0];
  }
}

static void bracket_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  bracketing *b = argument;
  float magnitudes[PIECE];
  kif_bracketed sum = {0, 0, 0};
  for (int64_t i = begin; i < end; i += PIECE) {
    kif_bracketed found = {0, 0, 0};
    b->context->operations->bracket(b->I, b->U, b->score, b->low, b->high, i,
                                    end - i < PIECE ? end : i + PIECE, magnitudes, &found);
    int64_t to = atomic_fetch_add_explicit(&b->inside, found.inside, memory_order_relaxed);
    if (to + found.inside <= b->capacity) {
      memcpy(b->context->kept + to, magnitudes, (size_t)found.inside * sizeof(float));
    }
    sum.below += found.below;
    sum.largest = found.largest > sum.largest ? found.largest : sum.largest;
  }
  atomic_fetch_add_explicit(&b->below, sum.below, memory_order_relaxed);
  int_least32_t largest = atomic_load_explicit(&b->largest, memory_order_relaxed);
  while (sum.largest > largest &&
         !atomic_compare_exchange_weak_explicit(&b->largest, &largest, sum.largest,
                                                memory_order_relaxed, memory_order_relaxed)) {
  }
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* By insertion: of so few elements, histograms take longer to clear. */
static void sort_few(float *x, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    const float inserted = x[i];
    int64_t j = i;
    for (; j > 0 && x[j - 1] > inserted; j--) {
      x[j] = x[j - 1];
    }
    x[j] = inserted;
  }
}

/*
 * The elements of rank k and k + 1, counted from 0, of b->n > k; the latter is the former where
 * there is none. Both are NaN if any element is.
 */
static void find_neighbours(bracketing *b, int64_t k, float neighbours[2]) {
  choose_bracket(b, k);
  kif_pool_run(b->context->pool, bracket_task, b, b->n, BLOCK);
  if (b->largest > INFINITY_BITS) {
    neighbours[0] = neighbours[1] = NAN;
    return;
  }
  const int64_t last = k + 1 < b->n ? k + 1 : k;
  const int bracketed = b->below <= k && last < b->below + b->inside && b->inside <= b->capacity;
  if (bracketed && b->inside <= FEW) {
    sort_few(b->context->kept, b->inside);
    neighbours[0] = b->context->kept[k - b->below];
    neighbours[1] = b->context->kept[last - b->below];
    return;
  }
  selection s = {.context = b->context};
  uint32_t found[2];
  if (bracketed) {
    s.I = b->context->kept;
    s.score = KIF_SENSITIVITY;
    s.first = b->low;
    int bits = 0;
    while (bits < MAGNITUDE && (b->high - b->low) >> bits != 0) {
      bits++;
    }
    select_neighbours(&s, bits, b->inside, k - b->below, b->inside, found);
  } else {
    s.I = b->I;
    s.U = b->U;
    s.score = b->score;
    select_neighbours(&s, MAGNITUDE, b->n, k, BLOCK, found);
  }
  neighbours[0] = float_of(found[0]);
  neighbours[1] = float_of(found[1]);
}

/* A quantile of count elements in order, before and after they are known. */
typedef struct {
  double quantile;
  int64_t count;
  int64_t below; /* rank of the element at or before it */
  int between;   /* whether it lies between that one and the next */
  float fraction;
  float neighbours[2];
  float value;
} interpolation;

static void place_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker, (void)begin, (void)end;
  interpolation *p = argument;
  const float q = (float)p->quantile;
  if (p->count <= 1 << 24) {
    float rank = q * (float)(p->count - 1);
    p->below = (int64_t)rank;
    p->fraction = rank - (float)p->below;
    p->between = rank > (float)p->below;
  } else {
    double rank = (double)q * (double)(p->count - 1);
    p->below = (int64_t)rank;
    p->fraction = (float)(rank - (double)p->below);
    p->between = rank > (double)p->below;
  }
}

static void interpolate_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker, (void)begin, (void)end;
  interpolation *p = argument;
  float a = p->neighbours[0];
  float b = p->between ? p->neighbours[1] : a;
  float f = p->fraction;
  p->value = f < 0.5f ? a + f * (b - a) : b - (b - a) * (1 - f);
}

/* Of one part; the context is locked. */
static int32_t threshold_of(kif_context *context, const float *I, const float *U, int32_t score,
                            double quantile, int64_t n, int64_t padding, float *result) {
  if (n == padding) {
    *result = NAN;
    return KIF_OK;
  }
  interpolation p = {.quantile = quantile, .count = n - padding};
  int64_t samples = n / ELEMENTS_PER_SAMPLE;
  samples = samples < FEWEST_SAMPLES ? FEWEST_SAMPLES : samples;
  samples = samples > MOST_SAMPLES ? MOST_SAMPLES : samples;
  bracketing b = {.context = context,
                  .I = I,
                  .U = U,
                  .score = score,
                  .n = n,
                  .samples = samples,
                  .capacity = KEPT_ALL + n / KEPT_SHARE};
  if (b.capacity > context->kept_capacity) {
    float *kept = realloc(context->kept, (size_t)b.capacity * sizeof *kept);
    if (kept == NULL) {
      return KIF_OUT_OF_MEMORY;
    }
    context->kept = kept;
    context->kept_capacity = b.capacity;
  }
  run_alone(context, place_task, &p);
  /* Padding scores zero, and no score is smaller: it fills the first ranks. */
  find_neighbours(&b, p.below + padding, p.neighbours);
  run_alone(context, interpolate_task, &p);
  *result = p.value;
  return KIF_OK;
}

int32_t kif_threshold(kif_context *context, const float *I, const float *U, int32_t score,
                      double quantile, const kif_span *tensors, int64_t count, int64_t n,
                      int64_t padding, float *result) {
  REQUIRE(context != NULL && n >= 0 && is_score(score) && are_parts(tensors, count, n));
  REQUIRE(tensors != NULL || (padding >= 0 && padding <= n));
  REQUIRE(is_array(I, n) && (score == KIF_SENSITIVITY || is_array(U, n)));
  REQUIRE(quantile >= 0 && quantile <= 1 && is_array(result, 1));
  pthread_mutex_lock(&context->call);
  int32_t status = KIF_OK;
  if (tensors == NULL) {
    status = threshold_of(context, I, U, score, quantile, n, padding, result);
  } else {
    for (int64_t t = 0; t < count && status == KIF_OK; t++) {
      const int64_t begin = tensors[t].begin;
      status = threshold_of(context, I + begin, U == NULL ? NULL : U + begin, score, quantile,
                            tensors[t].end - begin, 0, &result[t]);
    }
  }
  pthread_mutex_unlock(&context->call);
  return status;
}

/* ---- range ---- */

typedef struct {
  kif_context *context;
  const float *I, *U;
  int32_t score;
  pthread_mutex_t lock;
  kif_extent found;
} ranging;

static void range_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  ranging *r = argument;
  kif_extent found = {0, UINT32_MAX, 0};
  r->context->operations->range(r->I, r->U, r->score, begin, end, &found);
  pthread_mutex_lock(&r->lock);
  r->found.largest = found.largest > r->found.largest ? found.largest : r->found.largest;
  if (found.least_less_one < r->found.least_less_one) {
    r->found.least_less_one = found.least_less_one;
  }
  r->found.zeros += found.zeros;
  pthread_mutex_unlock(&r->lock);
}

/* Of one part; the context is locked. */
static void range_of(kif_context *context, const float *I, const float *U, int32_t score, int64_t n,
                     int64_t padding, float *least, float *greatest) {
  ranging r = {.context = context, .I = I, .U = U, .score = score, .found = {0, UINT32_MAX, 0}};
  pthread_mutex_init(&r.lock, NULL);
  kif_pool_run(context->pool, range_task, &r, n, BLOCK);
  pthread_mutex_destroy(&r.lock);
  if (n == padding || r.found.largest > INFINITY_BITS) {
    *least = *greatest = NAN;
    return;
  }
  *greatest = float_of(r.found.largest);
  /* Padding scores zero. */
  *least = r.found.zeros > padding ? 0 : float_of(r.found.least_less_one + 1);
}

int32_t kif_range(kif_context *context, const float *I, const float *U, int32_t score,
                  const kif_span *tensors, int64_t count, int64_t n, int64_t padding,
                  float *result) {
  REQUIRE(context != NULL && n >= 0 && is_score(score) && are_parts(tensors, count, n));
  REQUIRE(tensors != NULL || (padding >= 0 && padding <= n));
  REQUIRE(is_array(I, n) && (score == KIF_SENSITIVITY || is_array(U, n)) && is_array(result, 1));
  pthread_mutex_lock(&context->call);
  if (tensors == NULL) {
    range_of(context, I, U, score, n, padding, &result[0], &result[1]);
  } else {
    for (int64_t t = 0; t < count; t++) {
      const int64_t begin = tensors[t].begin;
      range_of(context, I + begin, U == NULL ? NULL : U + begin, score, tensors[t].end - begin, 0,
               &result[t], &result[count + t]);
    }
  }
  pthread_mutex_unlock(&context->call);
  return KIF_OK;
}

/* ---- merge ---- */

/* What the scores of each part are held against. */
typedef struct {
  const kif_span *tensors; /* null: one part */
  int64_t count;
  const float *inner, *outer;
  int has_high;
} parting;

static kif_bounds bounds_of(const parting *p, int64_t part) {
  const int64_t count = p->tensors == NULL ? 1 : p->count;
  kif_bounds b = {.inner_low = p->inner[part], .outer_low = p->outer[part]};
  if (p->has_high) {
    b.inner_high = p->inner[count + part];
    b.outer_high = p->outer[count + part];
  }
  return b;
}

/* The first part that ends behind i. */
static int64_t part_at(const parting *p, int64_t i) {
  int64_t low = 0;
  int64_t high = p->tensors == NULL ? 0 : p->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (p->tensors[middle].end <= i) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/*
 * Cuts the elements from *begin on, before end, at the borders of parts: sets [*begin, *to) to what
 * lies in the next part and returns which one that is, or -1 where there is none left.
 */
static int64_t next_part(const parting *p, int64_t *begin, int64_t *to, int64_t end) {
  if (p->tensors == NULL) {
    *to = end;
    return *begin < end ? 0 : -1;
  }
  int64_t part = part_at(p, *begin);
  while (part < p->count && p->tensors[part].begin == p->tensors[part].end) {
    part++;
  }
  if (part == p->count || p->tensors[part].begin >= end || *begin >= end) {
    return -1;
  }
  *begin = *begin < p->tensors[part].begin ? p->tensors[part].begin : *begin;
  *to = p->tensors[part].end < end ? p->tensors[part].end : end;
  return part;
}

typedef struct {
  kif_context *context;
  float *w, *base;
  const float *snapshot;
  float *inner_I, *inner_U, *outer_I, *outer_U;
  parting parts;
  const kif_merge_rule *rule;
} merging;

static void merge_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const merging *m = argument;
  int64_t part, to;
  for (; (part = next_part(&m->parts, &begin, &to, end)) >= 0; begin = to) {
    m->context->operations->merge(m->w, m->base, m->snapshot, m->inner_I, m->inner_U, m->outer_I,
                                  m->outer_U, bounds_of(&m->parts, part), m->rule, begin, to);
  }
}

int32_t kif_merge(kif_context *context, float *w, float *base, const float *snapshot,
                  float *inner_I, float *inner_U, float *outer_I, float *outer_U,
                  const float *inner_bounds, const float *outer_bounds, const kif_span *tensors,
                  int64_t count, const kif_merge_rule *rule, int64_t n) {
  forget_upper_halves();
  REQUIRE(context != NULL && rule != NULL && is_score(rule->score) && is_weighting(rule));
  REQUIRE(n >= 0 && are_parts(tensors, count, n));
  REQUIRE(is_array(w, n) && is_array(base, n) && is_array(snapshot, n));
  REQUIRE(is_array(inner_I, n) && is_array(outer_I, n));
  int only_I = rule->score == KIF_SENSITIVITY;
  REQUIRE((only_I && !rule->reset_inner) || is_array(inner_U, n));
  REQUIRE((only_I && !rule->reset_outer) || is_array(outer_U, n));
  REQUIRE(is_array(inner_bounds, 1) && is_array(outer_bounds, 1));
  merging m = {context,
               w,
               base,
               snapshot,
               inner_I,
               inner_U,
               outer_I,
               outer_U,
               {tensors, count, inner_bounds, outer_bounds, rule->weighting == KIF_SOFT},
               rule};
  return run(context, merge_task, &m, n);
}

typedef struct {
  kif_context *context;
  kif_scores scores;
  parting parts;
  int32_t score;
  atomic_int_least64_t counts[3];
} counting;

static void mask_counts_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  counting *c = argument;
  int64_t counts[3] = {0, 0, 0};
  int64_t part, to;
  for (; (part = next_part(&c->parts, &begin, &to, end)) >= 0; begin = to) {
    c->context->operations->mask_counts(&c->scores, bounds_of(&c->parts, part), c->score, begin, to,
                                        counts);
  }
  for (int i = 0; i < 3; i++) {
    atomic_fetch_add_explicit(&c->counts[i], counts[i], memory_order_relaxed);
  }
}

int32_t kif_mask_counts(kif_context *context, const float *inner_I, const float *inner_U,
                        const float *outer_I, const float *outer_U, const float *inner_threshold,
                        const float *outer_threshold, int32_t score, const kif_span *tensors,
                        int64_t count, int64_t n, int64_t padding, int64_t counts[4]) {
  REQUIRE(context != NULL && is_score(score) && n >= 0 && are_parts(tensors, count, n));
  REQUIRE(tensors != NULL || (padding >= 0 && padding <= n));
  REQUIRE(is_array(inner_I, n) && is_array(outer_I, n) && counts != NULL);
  REQUIRE(score == KIF_SENSITIVITY || (is_array(inner_U, n) && is_array(outer_U, n)));
  REQUIRE(is_array(inner_threshold, 1) && is_array(outer_threshold, 1));
  counting c = {.context = context,
                .scores = {inner_I, inner_U, outer_I, outer_U},
                .parts = {tensors, count, inner_threshold, outer_threshold, 0},
                .score = score};
  run(context, mask_counts_task, &c, n);
  counts[0] = c.counts[0];
  counts[1] = c.counts[1];
  counts[2] = c.counts[2];
  int64_t elements = n;
  if (tensors == NULL) {
    elements = n - padding;
    if (padding > 0) {
      /* Padding was counted where a score of zero belongs. */
      static const float zero = 0;
      counting of_zero = {.context = context,
                          .scores = {&zero, &zero, &zero, &zero},
                          .parts = c.parts,
                          .score = score};
      run(context, mask_counts_task, &of_zero, 1);
      for (int i = 0; i < 3; i++) {
        counts[i] -= padding * of_zero.counts[i];
      }
    }
  } else {
    for (int64_t t = 0; t < count; t++) {
      elements -= t == 0 ? tensors[t].begin : tensors[t].begin - tensors[t - 1].end;
    }
    elements -= n - tensors[count - 1].end;
  }
  counts[3] = elements - counts[0] - counts[1] - counts[2];
  return KIF_OK;
}

/* ---- dropout ---- */

typedef struct {
  kif_context *context;
  float *mask;
  int64_t rows, columns;
  uint64_t key;
  uint32_t place, drop_below;
  float kept_value;
} dropout;

static void dropout_task(void *argument, int worker, int64_t begin, int64_t end) {
  (void)worker;
  const dropout *d = argument;
  for (int64_t i = begin; i < end; i++) {
    d->context->operations->dropout_row(d->mask + i * d->columns, d->columns,
                                        (uint32_t)(i % d->rows), (uint32_t)(i / d->rows), d->place,
                                        d->key, d->drop_below, d->kept_value);
  }
}

int32_t kif_dropout_mask(kif_context *context, float *mask, int64_t planes, int64_t rows,
                         int64_t columns, uint64_t key, uint32_t place, uint32_t drop_below,
                         float kept_value) {
  const int64_t words = INT64_C(1) << 32;
  REQUIRE(context != NULL && planes >= 0 && rows >= 0 && columns >= 0);
  REQUIRE(planes <= words && rows <= words && columns <= 4 * words);
  if (planes == 0 || rows == 0 || columns == 0) {
    return KIF_OK;
  }
  REQUIRE(planes <= INT64_MAX / rows && planes * rows <= INT64_MAX / 4 / columns);
  REQUIRE(is_array(mask, 1));
  dropout d = {context, mask, rows, columns, key, place, drop_below, kept_value};
  int64_t rows_at_a_time = columns >= BLOCK ? 1 : BLOCK / columns;
  pthread_mutex_lock(&context->call);
  kif_pool_run(context->pool, dropout_task, &d, planes * rows, rows_at_a_time);
  pthread_mutex_unlock(&context->call);
  return KIF_OK;
}
