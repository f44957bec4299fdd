/*
 * What all operators share: how one is described, how it asks for attributes and inputs, and how
 * it refuses them. Every function that returns a status returns NULL if all is well.
 */
#ifndef KIF_OPERATORS_H
#define KIF_OPERATORS_H

#include <stdint.h>

#include "ort_abi.h"

#define KIF_JOIN_(a, b) a##_##b
#define KIF_JOIN(a, b) KIF_JOIN_(a, b)
/* The name of what exists once for each instruction set. */
#define KIF_OF_TIER(name) KIF_JOIN(name, KIF_TIER)

#define INLINE static inline __attribute__((always_inline))

enum { KIF_MAX_INPUTS = 12, KIF_MAX_OUTPUTS = 3, KIF_MAX_RANK = 4 };

/* An input or output of an operator. */
typedef struct {
  const char *name; /* NULL ends a list */
  int type;         /* ORT_FLOAT or ORT_INT64 */
  int optional;
} kif_port;

typedef struct kif_call kif_call;
typedef struct kif_node kif_node;

/* An operator. Of each, ONNX Runtime makes one node per place in a graph. */
typedef struct {
  const char *name;
  kif_port inputs[KIF_MAX_INPUTS + 1];
  kif_port outputs[KIF_MAX_OUTPUTS + 1];
  size_t node_size; /* of the operator's own structure, which begins with a kif_node */
  OrtStatus *(*create)(kif_node *node, const OrtKernelInfo *info);
  OrtStatus *(*compute)(const kif_node *node, kif_call *call);
  void (*destroy)(kif_node *node); /* or NULL */
} kif_operator;

struct kif_node {
  const OrtApi *api;
  const kif_operator *op;
  char name[96];
};

/* An input or output of one call. data is NULL where it is absent or has no elements. */
typedef struct {
  void *data;
  int present;
  int rank;
  int64_t shape[KIF_MAX_RANK];
} kif_tensor;

/* One call of a node, with its inputs. */
struct kif_call {
  const kif_node *node;
  OrtKernelContext *context;
  kif_tensor inputs[KIF_MAX_INPUTS];
};

#define TRY(call)                   \
  do {                              \
    OrtStatus *try_failure_ = call; \
    if (try_failure_ != NULL) {     \
      return try_failure_;          \
    }                               \
  } while (0)

/* ---- refusing ---- */

/* An error that begins with the operator's and the node's name. */
OrtStatus *kif_refuse(const kif_node *node, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
OrtStatus *kif_out_of_memory(const kif_node *node);

/* Input `index` must have that shape, -1 for any extent. */
OrtStatus *kif_expect_vector(const kif_call *call, int index, int64_t extent);
OrtStatus *kif_expect_matrix(const kif_call *call, int index, int64_t rows, int64_t columns);

/* Input `index` must be [B+1], begin with 0, never descend and end with rows; see *sequences. */
OrtStatus *kif_expect_offsets(const kif_call *call, int index, int64_t rows, int64_t *sequences);

/* ---- attributes ---- */

OrtStatus *kif_need_int(const kif_node *node, const OrtKernelInfo *info, const char *name,
                        int64_t *value);
int64_t kif_int(const kif_node *node, const OrtKernelInfo *info, const char *name,
                int64_t otherwise);
float kif_float(const kif_node *node, const OrtKernelInfo *info, const char *name, float otherwise);

/* One of the words, which NULL ends; the first one if the attribute is not there. */
OrtStatus *kif_word(const kif_node *node, const OrtKernelInfo *info, const char *name,
                    const char *const *words, int *index);

/* ---- a call ---- */

static inline const float *kif_floats(const kif_call *call, int index) {
  return call->inputs[index].data;
}

static inline const int64_t *kif_ints(const kif_call *call, int index) {
  return call->inputs[index].data;
}

/* Allocates output `index`; *data stays NULL if nobody wants it or it has no elements. */
OrtStatus *kif_vector_output(const kif_call *call, int index, int64_t extent, float **data);
OrtStatus *kif_matrix_output(const kif_call *call, int index, int64_t rows, int64_t columns,
                             float **data);

/*
 * Runs task(data, 0) to task(data, tasks - 1) on the session's threads, each as soon as one is free,
 * and waits for them. What a task computes may depend on its number only: then results do not depend
 * on the threads.
 */
OrtStatus *kif_parallel(const kif_call *call, int64_t tasks, void (*task)(void *, size_t),
                        void *data);

/*
 * Memory for what one call or task computes on the way, at a multiple of 64; NULL if there is none. What
 * is given back is kept for the next one: of malloc, blocks of this size come as new pages each time,
 * which the system must clear, and that takes as long as a tenth of a product.
 */
void *kif_take(int64_t bytes);
void kif_give(void *memory);

/* The sequence that holds a row: the largest b with offsets[b] <= row. */
static inline int64_t kif_sequence(const int64_t *offsets, int64_t sequences, int64_t row) {
  int64_t low = 0, high = sequences;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (offsets[middle] <= row) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

static inline int64_t kif_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t kif_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t kif_parts(int64_t n, int64_t part) { return (n + part - 1) / part; }

#endif
