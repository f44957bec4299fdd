/*
 * The operations of importance-guided knowledge fusion on flat float32 arrays, for the CPU.
 *
 * Arrays. Every array is n consecutive float32 values, aligned to 4 bytes at least (64 is fastest);
 * n is 64-bit. The arrays of one call must not overlap, except where a parameter is only read and
 * the documentation says that it may be null. An array of n = 0 may be null. What several tensors
 * share one array for lies behind each other; elements that belong to none ("padding") are zero in
 * every array, and every operation keeps them so.
 *
 * Exactness. Multiplications, additions, divisions and square roots are rounded to float32 one by
 * one, in the order in which the formulas below are written: no fused multiply-add, no
 * reassociation, no flush to zero (an operation sets the floating-point modes it needs and gives
 * the caller's back). Results do not depend on the number of threads or on the instruction set.
 *
 * Calls. A context owns a pool of threads. Calls on one context from several threads run one after
 * another; calls on several contexts run side by side. A context does not survive fork().
 * Every function returns KIF_OK or the reason why it did nothing.
 */
#ifndef KIF_H
#define KIF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a function or a structure below changes in a way that callers must know. */
#define KIF_ABI_VERSION 2

#if defined(__GNUC__)
#define KIF_API __attribute__((visibility("default")))
#else
#define KIF_API
#endif

typedef struct kif_context kif_context;

/* What a function returns; the values are stable. */
enum {
  KIF_OK = 0,
  KIF_INVALID_ARGUMENT = 1, /* null, negative, misaligned or out of range */
  KIF_OUT_OF_MEMORY = 2,
  KIF_NO_THREADS = 3,      /* the system refused a thread */
  KIF_BAD_ENVIRONMENT = 4, /* KIF_MAX_ISA is set to something that is no instruction set */
  KIF_UNSUPPORTED = 5      /* the processor or this build lacks the instruction set asked for */
};

/* Instruction sets, in the order of their power; the values are stable. */
enum {
  KIF_ISA_BEST = 0,     /* the best one that the processor has and KIF_MAX_ISA allows */
  KIF_ISA_BASELINE = 1, /* what every processor of the architecture has: SSE2 on x86-64 */
  KIF_ISA_AVX2 = 2,
  KIF_ISA_AVX512 = 3 /* F, VL, DQ and BW */
};

/* The formula of a sensitivity s, with p = w*g. */
enum {
  KIF_FIRST_ORDER = 0,  /* |p| */
  KIF_SECOND_ORDER = 1, /* |p*p| */
  KIF_MIXED = 2         /* |p - 0.5*(p*p)| */
};

/* What of an importance is compared with a threshold. */
enum {
  KIF_SENSITIVITY_TIMES_UNCERTAINTY = 0, /* I*U */
  KIF_SENSITIVITY = 1                    /* I; U is not read and may be null */
};

/*
 * The scalars of one AdamW step, each formed in double and then rounded: decay = 1 -
 * learning_rate*weight_decay, gain1 = 1 - beta1, decay2 = beta2, gain2 = 1 - beta2, step_size =
 * learning_rate / (1 - beta1^t), correction2 = sqrt(1 - beta2^t) in step t = 1, 2, ...; epsilon > 0.
 */
typedef struct {
  float decay, gain1, decay2, gain2, step_size, correction2, epsilon;
} kif_adamw_step;

/* How an update changes an importance; gain = 1 - decay, formed in double and then rounded. */
typedef struct {
  int32_t formula;
  float decay1, gain1, decay2, gain2;
} kif_importance_rule;

/* How two scores of an element choose the factors (a, b) of the inner and the outer task vector. */
enum {
  KIF_MASKS = 0, /* by whether each lies above its threshold */
  KIF_SOFT = 1   /* by how large each is among those of its side */
};

/*
 * KIF_MASKS: (a, b) by which of the scores lies above its low bound, the threshold (a score equal to
 * it does not; nothing lies above NaN). temperature is not read.
 * KIF_SOFT: in float32, each step rounded,
 *   x = (score - low)/(high - low), with 0 for what is not above 0: NaN, and 0/0 among equal scores
 *   z = (x of inner - x of outer)/temperature, limited to [-64, 64]
 *   a = 1/(1 + exp(-z)),  b = 1 - a
 * with low and high the least and the greatest score of the side, and temperature > 0. exp(y) is, with
 * k = y*1.442695 rounded to a whole number and r = (y - k*0.693359375) - k*-2.1219444e-4, the
 * Taylor polynomial of degree 7 at r by Horner's scheme, times 2^k.
 */
typedef struct {
  int32_t score;
  int32_t weighting;
  float shared[2], new_only[2], old_only[2], redundant[2];
  float temperature;
  int32_t reset_inner, reset_outer; /* whether to set that importance to zero in the same pass */
} kif_merge_rule;

/* Where a tensor lies in an array: the elements begin to end - 1. */
typedef struct {
  int64_t begin, end;
} kif_span;

/* KIF_ABI_VERSION of the library, for callers that load it at run time. */
KIF_API int32_t kif_abi_version(void);

/* A sentence for a status, a word for an instruction set ("baseline", "avx2", "avx512"). */
KIF_API const char *kif_status_text(int32_t status);
KIF_API const char *kif_isa_name(int32_t isa);

/* The best instruction set of this processor that this build has code for. */
KIF_API int32_t kif_supported_isa(void);

/*
 * Opens a context that computes with that many threads, the calling one included. KIF_ISA_BEST
 * takes the best instruction set up to what the environment variable KIF_MAX_ISA allows (baseline,
 * avx2 or avx512; read once); any other value takes exactly that one or fails.
 */
KIF_API int32_t kif_context_create(int32_t threads, int32_t isa, kif_context **context);
KIF_API void kif_context_destroy(kif_context *context);
KIF_API int32_t kif_context_threads(const kif_context *context);
KIF_API int32_t kif_context_isa(const kif_context *context);

/* v = 0 */
KIF_API int32_t kif_zero(kif_context *context, float *v, int64_t n);

/* target = source */
KIF_API int32_t kif_copy(kif_context *context, const float *source, float *target, int64_t n);

/* sum = sum + scale*term */
KIF_API int32_t kif_accumulate(kif_context *context, float *sum, const float *term, float scale,
                               int64_t n);

/* sum = sum + scale*(a*b); a and b may be the same array */
KIF_API int32_t kif_accumulate_product(kif_context *context, float *sum, const float *a,
                                       const float *b, float scale, int64_t n);

/*
 * The sum of squares in double over a fixed tree. The array is cut into blocks of 4096 elements;
 * in a block, lane j of 256 adds up the squares of the elements j, j+256, j+512, ... in this order,
 * and lanes are folded in halves (j takes j+128, then j+64, ... , j+1). Block sums are folded in
 * pairs: block i takes i+1 for even i, then i+2 for i divisible by 4, and so on.
 */
KIF_API int32_t kif_squared_norm(kif_context *context, const float *v, int64_t n, double *result);

/*
 * One step of AdamW, with h = g*clip:
 *   m = m + gain1*(h - m)
 *   v = decay2*v + gain2*(h*h)
 *   w = decay*w - step_size*(m / (sqrt(v)/correction2 + epsilon))
 */
KIF_API int32_t kif_adamw(kif_context *context, float *w, const float *g, float *m, float *v,
                          float clip, const kif_adamw_step *step, int64_t n);

/*
 * Updates an importance, with s = formula(w, g*clip):
 *   I = decay1*I + gain1*s
 *   U = decay2*U + gain2*|s - I|      with the new I
 */
KIF_API int32_t kif_importance(kif_context *context, const float *w, const float *g, float *I,
                               float *U, float clip, const kif_importance_rule *rule, int64_t n);

/* kif_adamw, then kif_importance with the new w, in one pass. */
KIF_API int32_t kif_adamw_importance(kif_context *context, float *w, const float *g, float *m,
                                     float *v, float *I, float *U, float clip,
                                     const kif_adamw_step *step, const kif_importance_rule *rule,
                                     int64_t n);

/*
 * The exact quantile of the scores of the n - padding elements that are not padding, interpolated
 * as torch.quantile does up to its version 2.13 (and above 2^24 elements, which it then refused,
 * as it does since): with quantile rounded to float32, the rank r = quantile*(n-padding-1) is
 * formed in float32 up to 2^24 elements and in double above; with a and b the elements of rank
 * floor(r) and ceil(r) and f = r - floor(r) in float32, the result is a + f*(b-a) where f < 0.5 and
 * b - (b-a)*(1-f) otherwise.
 * Scores are taken to be non-negative (a sign bit is ignored). The result is NaN if a score is NaN
 * or if there is no element.
 *
 * Parts. Where tensors is not null, each of its count spans is a part with a result of its own, and
 * what lies in none of them is padding; n is the length of the arrays, padding is not read. The spans
 * lie behind each other in the arrays, in ascending order. Where tensors is null, all elements are one
 * part, and count is not read.
 */
KIF_API int32_t kif_threshold(kif_context *context, const float *I, const float *U, int32_t score,
                              double quantile, const kif_span *tensors, int64_t count, int64_t n,
                              int64_t padding, float *result);

/*
 * The least and the greatest score of each part (see kif_threshold): first the least ones of all
 * parts, then the greatest. Both are NaN if a score is NaN or if there is no element. A sign bit is
 * ignored.
 */
KIF_API int32_t kif_range(kif_context *context, const float *I, const float *U, int32_t score,
                          const kif_span *tensors, int64_t count, int64_t n, int64_t padding,
                          float *result);

/*
 * Merges two task vectors, in one pass:
 *   w = base + (a*(snapshot - base) + b*(w - snapshot));  base = w
 * with (a, b) chosen by the scores and the bounds of their part (see kif_threshold), as the rule
 * says. Bounds are what kif_threshold wrote for KIF_MASKS, and kif_range for KIF_SOFT.
 */
KIF_API int32_t kif_merge(kif_context *context, float *w, float *base, const float *snapshot,
                          float *inner_I, float *inner_U, float *outer_I, float *outer_U,
                          const float *inner_bounds, const float *outer_bounds,
                          const kif_span *tensors, int64_t count, const kif_merge_rule *rule,
                          int64_t n);

/* How many elements, padding left out, are important to both, to the inner only, to the outer only,
 * and to neither: counts[0] to counts[3]; with one threshold for each part (see kif_threshold). */
KIF_API int32_t kif_mask_counts(kif_context *context, const float *inner_I, const float *inner_U,
                                const float *outer_I, const float *outer_U,
                                const float *inner_threshold, const float *outer_threshold,
                                int32_t score, const kif_span *tensors, int64_t count, int64_t n,
                                int64_t padding, int64_t counts[4]);

/*
 * Fills a dense array [planes, rows, columns]. Element (plane, row, column) takes word column % 4
 * of Philox 4x32-10 (Salmon et al. 2011) at counter (column/4, row, plane, place) under the key
 * (lower half of key, upper half of key); it is 0 if the upper 24 bits of the word are below
 * drop_below and kept_value otherwise. planes, rows and columns/4 are below 2^32.
 */
KIF_API int32_t kif_dropout_mask(kif_context *context, float *mask, int64_t planes, int64_t rows,
                                 int64_t columns, uint64_t key, uint32_t place,
                                 uint32_t drop_below, float kept_value);

/*
 * Fusing weights as files store them, a run of elements at a time. These functions need no context
 * and use no threads of their own; calls may run side by side. Arrays may lie at any address and
 * may not overlap. Types are widened to float32 exactly and results rounded to the nearest even;
 * a type is one of the values below.
 */
enum { KIF_F32 = 0, KIF_F16 = 1, KIF_BF16 = 2 };

typedef struct {
  const void *data;
  int32_t type;
} kif_stored;

/* A score: |a - b|, |a|, or |a*b|. */
enum { KIF_DIFFERENCE = 0, KIF_VALUE = 1, KIF_PRODUCT = 2 };

/* What of a task vector takes part. */
enum {
  KIF_EVERY = 0,
  KIF_LARGE = 1, /* |t| at or above a threshold */
  KIF_RANDOM = 2 /* drawn; what takes part is multiplied by kept_value */
};

/*
 * How models become one. With x_i the models and c_i their weights:
 *   t_i = x_i - base, or x_i where task_vectors is 0 (base is then not read and may be null)
 *   t_i = 0 where t_i does not take part (sparsity)
 *   t_i = 0 where consensus is set and t_i has not the sign of the sum of all c_i*t_i
 *   t   = sum of c_i*t_i, in the order of the models,
 *         divided, where normalize is set, by the sum of the c_i of all t_i that took part up to
 *         here (by 1 where none did, or they add up to 0)
 *   out = base + scale*t, or scale*t where task_vectors is 0
 * Element e of the tensor draws word e%4 of Philox 4x32-10 at counter (e/4 low, e/4 high, model, 0)
 * and takes part where its upper 24 bits are not below drop_below.
 */
typedef struct {
  int32_t task_vectors, sparsity, consensus, normalize;
  float scale, kept_value;
  uint64_t key;
  uint32_t drop_below;
} kif_combination;

enum { KIF_MAX_MODELS = 64, KIF_HISTOGRAM_SIZE = 65536 };

/*
 * Counts scores by their bits: with k the bits of the score without its sign, level 0 counts k >>
 * 15, and level 1 counts k & 0x7fff of those whose k >> 15 is the prefix. Adds to counts.
 */
KIF_API int32_t kif_stored_histogram(const kif_stored *a, const kif_stored *b, int32_t kind,
                                     int64_t n, int32_t level, uint32_t prefix,
                                     uint32_t counts[KIF_HISTOGRAM_SIZE]);

/* Widens range[0] and range[1] to the least and the greatest score; NaN if a score is NaN. */
KIF_API int32_t kif_stored_range(const kif_stored *a, const kif_stored *b, int32_t kind, int64_t n,
                                 float range[2]);

/*
 * Combines count models; first is the number of the first element in its tensor. thresholds (one
 * for each model) are read where sparsity is KIF_LARGE. Adds to *not_finite how many results are
 * infinite or no number.
 */
KIF_API int32_t kif_stored_combine(void *out, int32_t type, const kif_stored *base,
                                   const kif_stored *models, const float *weights,
                                   const float *thresholds, int32_t count,
                                   const kif_combination *rule, int64_t first, int64_t n,
                                   int64_t *not_finite);

/*
 * Merges what was learned anew and what was learned before over one base:
 *   out = base + (a*(new - base) + b*(old - base))
 * with (a, b) of the rule chosen as kif_merge does; bounds are low and high of each side. A score is
 * of that kind over a pair of arrays: {new, base} for KIF_DIFFERENCE. The rule's score and resets are
 * not read.
 */
KIF_API int32_t kif_stored_merge(void *out, int32_t type, const kif_stored *base,
                                 const kif_stored *new_model, const kif_stored *old_model,
                                 const kif_stored new_score[2], const kif_stored old_score[2],
                                 int32_t score_kind, const float new_bounds[2],
                                 const float old_bounds[2], const kif_merge_rule *rule, int64_t n,
                                 int64_t *not_finite);

/*
 * Functions that `kif bench kernels --library FILE --symbol NAME --op ...` takes in place of ours.
 * They do what the function of the same name above does, on n elements without padding, with the
 * same bits, and return when it is done. n may be any number from 0 on; arrays are aligned to 64
 * bytes. They are called on one thread and may use threads of their own.
 */
typedef void kif_raw_importance(const float *w, const float *g, float *I, float *U, float clip,
                                const kif_importance_rule *rule, int64_t n);
typedef void kif_raw_adamw(float *w, const float *g, float *m, float *v, float clip,
                           const kif_adamw_step *step, int64_t n);
typedef void kif_raw_adamw_importance(float *w, const float *g, float *m, float *v, float *I,
                                      float *U, float clip, const kif_adamw_step *step,
                                      const kif_importance_rule *rule, int64_t n);
typedef void kif_raw_threshold(const float *I, const float *U, int32_t score, double quantile,
                               int64_t n, float *result);
typedef void kif_raw_merge(float *w, float *base, const float *snapshot, float *inner_I,
                           float *inner_U, float *outer_I, float *outer_U,
                           const float *inner_bounds, const float *outer_bounds,
                           const kif_merge_rule *rule, int64_t n);
typedef void kif_raw_squared_norm(const float *v, int64_t n, double *result);

#ifdef __cplusplus
}
#endif

#endif
