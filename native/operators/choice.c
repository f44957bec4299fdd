/*
 * The next token by greedy choice:
 *
 *   next_i = the first v with the largest x_i . head_v        x [M, D], head [V, D], next int64 [M]
 *
 * The head is the largest weight of a small model, and reading it takes most of the time. Where the
 * processor multiplies bf16, the node keeps a copy of the head rounded to it, half as large. With
 * u = 2^-8, what bf16 rounds off at most of a factor, the product of rounded factors is
 *
 *   within  (2 u + u^2) |x_i| |head_v|
 *
 * of the exact one, by Cauchy and Schwarz. So of a block of tokens it is known what their products are
 * at most, and what the largest is at least; only blocks that may hold the largest are multiplied in
 * float32, from the head itself. The choice is that of float32, to the bit.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "dots.h"

enum { BLOCK = 32, TASK = 8 * BLOCK, ROWS = 16 /* at a time */ };

/* The head rounded, filled up with zeros to whole tasks. */
typedef struct {
  const float *head;
  float *lengths; /* of its rows */
  int32_t words[];
} rounded;

typedef struct {
  kif_node node;
  _Atomic(rounded *) copy;
} choice;

typedef struct {
  float value;
  int64_t token;
} best;

/* A row and a block that may hold its largest product. */
typedef struct {
  int64_t row, block;
} place;

typedef struct {
  int64_t rows, depth, vocabulary, pairs, blocks;
  const float *x, *head;
  rounded *copy;
  int32_t *words; /* x rounded */
  float *bounds;  /* of errors: |x| times what is said above */
  float *most, *least; /* [blocks, rows]: the largest product is at most, and at least */
  const place *places;
  best *found;
  int out_of_memory;
} operands;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  (void)node, (void)info;
  return NULL;
}

static void destroy(kif_node *node) {
  rounded *copy = ((choice *)node)->copy;
  if (copy != NULL) {
    free(copy->lengths);
    free(copy);
  }
}

/* The largest of some products, which are those of tokens from `token` on. */
static void keep_larger(const float *y, int64_t count, int64_t token, best *b) {
  for (int64_t j = 0; j < count; j++) {
    if (y[j] > b->value) {
      *b = (best){y[j], token + j};
    }
  }
}

static const best NONE = {-INFINITY, 0};

/* All rows and some columns in float32. */
static void exact(void *data, size_t number) {
  operands *o = data;
  const int64_t token = (int64_t)number * WEIGHT_COLUMNS;
  const int64_t count = kif_min(WEIGHT_COLUMNS, o->vocabulary - token);
  float *y = malloc(sizeof(float) * (size_t)(o->rows * count));
  if (y == NULL) {
    o->out_of_memory = 1;
    return;
  }
  const left x = {o->x, NULL, o->depth};
  if (o->rows <= MOST_DOT_ROWS) {
    multiply_dots(o->rows, count, o->depth, x, o->head + token * o->depth, o->depth, y, count);
  } else {
    multiply_weight(o->rows, count, o->depth, x, (weight){o->head, o->depth, 1}, token, y, count);
  }
  for (int64_t i = 0; i < o->rows; i++) {
    best *b = o->found + (int64_t)number * o->rows + i;
    *b = NONE;
    keep_larger(y + i * count, count, token, b);
  }
  free(y);
}

/* One row and one block in float32. */
static void again(void *data, size_t number) {
  operands *o = data;
  const place p = o->places[number];
  const int64_t token = p.block * BLOCK, count = kif_min(BLOCK, o->vocabulary - token);
  float y[BLOCK];
  multiply_dots(1, count, o->depth, (left){o->x + p.row * o->depth, NULL, o->depth},
                o->head + token * o->depth, o->depth, y, count);
  o->found[number] = NONE;
  keep_larger(y, count, token, o->found + number);
}

static void round_head(void *data, size_t number) {
  operands *o = data;
  const int64_t begin = (int64_t)number * TASK;
  for (int64_t v = begin; v < begin + TASK; v++) {
    int32_t *words = o->copy->words + v * o->pairs;
    const float *row = o->head + v * o->depth;
    if (v < o->vocabulary) {
      to_words(row, o->depth, words);
      o->copy->lengths[v] = sqrtf(dot(row, row, o->depth));
    } else {
      memset(words, 0, sizeof(int32_t) * (size_t)o->pairs);
    }
  }
}

/* A tile of products of words; rows * columns = DOTS. */
INLINE void words_tile(const int rows, const int columns, int64_t pairs, const int32_t *x,
                       const int32_t *w, float *y, int64_t y_row) {
  vec sums[DOTS];
#pragma GCC unroll 16
  for (int n = 0; n < DOTS; n++) {
    sums[n] = splat(0);
  }
  for (int64_t k = 0; k < pairs; k += LANES) {
    ivec factors[DOTS];
#pragma GCC unroll 16
    for (int j = 0; j < columns; j++) {
      factors[j] = load_bits(w + j * pairs + k);
      __builtin_prefetch(w + (columns + j) * pairs + k, 0, 2);
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
      const ivec row = load_bits(x + i * pairs + k);
#pragma GCC unroll 16
      for (int j = 0; j < columns; j++) {
        sums[i * columns + j] = dot_pairs(sums[i * columns + j], row, factors[j]);
      }
    }
  }
  float dots[DOTS];
  for (int n = 0; n < DOTS; n += LANES) {
    store(dots + n, sums_of(sums + n));
  }
  for (int i = 0; i < rows; i++) {
    memcpy(y + i * y_row, dots + i * columns, sizeof(float) * (size_t)columns);
  }
}

/* Rows of x with BLOCK rows of the copy. */
static void multiply_words(int64_t rows, int64_t pairs, const int32_t *x, const int32_t *w,
                           float *y) {
  int64_t m = 0;
  for (; m + DOT_ROWS <= rows; m += DOT_ROWS) {
    for (int64_t n = 0; n < BLOCK; n += DOTS / DOT_ROWS) {
      words_tile(DOT_ROWS, DOTS / DOT_ROWS, pairs, x + m * pairs, w + n * pairs, y + m * BLOCK + n,
                 BLOCK);
    }
  }
  for (; m < rows; m++) {
    for (int64_t n = 0; n < BLOCK; n += DOTS) {
      words_tile(1, DOTS, pairs, x + m * pairs, w + n * pairs, y + m * BLOCK + n, BLOCK);
    }
  }
}

static void bound(void *data, size_t number) {
  const operands *o = data;
  const int64_t first = (int64_t)number * (TASK / BLOCK);
  for (int64_t block = first; block < kif_min(first + TASK / BLOCK, o->blocks); block++) {
    const int64_t token = block * BLOCK, count = kif_min(BLOCK, o->vocabulary - token);
    const float *lengths = o->copy->lengths + token;
    for (int64_t m = 0; m < o->rows; m += ROWS) {
      const int64_t rows = kif_min(ROWS, o->rows - m);
      float y[ROWS * BLOCK];
      multiply_words(rows, o->pairs, o->words + m * o->pairs, o->copy->words + token * o->pairs, y);
      for (int64_t i = 0; i < rows; i++) {
        const float error = o->bounds[m + i];
        float most = -INFINITY, least = -INFINITY;
        for (int64_t j = 0; j < count; j++) {
          const float off = error * lengths[j] + 1e-30f;
          const float upper = y[i * BLOCK + j] + off, lower = y[i * BLOCK + j] - off;
          most = upper > most ? upper : most;
          most = upper == upper ? most : INFINITY; /* what is not a number may be anything */
          least = lower > least ? lower : least;
        }
        o->most[block * o->rows + m + i] = most;
        o->least[block * o->rows + m + i] = least;
      }
    }
  }
}

/* The copy, made at the first call; NULL where there is none for this head. */
static OrtStatus *copy_of(const kif_call *call, operands *o) {
  choice *c = (choice *)call->node;
  o->copy = atomic_load(&c->copy);
  if (o->copy != NULL) {
    o->copy = o->copy->head == o->head ? o->copy : NULL;
    return NULL;
  }
  const int64_t tasks = kif_parts(o->vocabulary, TASK);
  rounded *made = malloc(sizeof(rounded) + sizeof(int32_t) * (size_t)(tasks * TASK * o->pairs));
  float *lengths = malloc(sizeof(float) * (size_t)o->vocabulary);
  if (made == NULL || lengths == NULL) {
    free(made);
    free(lengths);
    return kif_out_of_memory(call->node);
  }
  *made = (rounded){o->head, lengths};
  o->copy = made;
  TRY(kif_parallel(call, tasks, round_head, o));
  rounded *before = NULL;
  if (!atomic_compare_exchange_strong(&c->copy, &before, made)) {
    free(made);
    free(lengths);
    o->copy = before;
  }
  return NULL;
}

/* The blocks that may hold the largest product of a row, row after row. */
static int64_t find_places(const operands *o, place *places) {
  int64_t count = 0;
  for (int64_t i = 0; i < o->rows; i++) {
    float least = -INFINITY;
    for (int64_t b = 0; b < o->blocks; b++) {
      const float l = o->least[b * o->rows + i];
      least = l > least ? l : least;
    }
    for (int64_t b = 0; b < o->blocks; b++) {
      if (!(o->most[b * o->rows + i] < least)) {
        places[count++] = (place){i, b};
      }
    }
  }
  return count;
}

static OrtStatus *choose_by_bounds(const kif_call *call, operands *o, int64_t *next) {
  const size_t bounds = (size_t)(o->blocks * o->rows), rows = (size_t)o->rows;
  float *floats = malloc(sizeof(float) * (2 * bounds + rows));
  int32_t *words = malloc(sizeof(int32_t) * rows * (size_t)o->pairs);
  place *places = malloc(sizeof(place) * bounds);
  best *found = malloc(sizeof(best) * bounds);
  OrtStatus *status = NULL;
  if (floats == NULL || words == NULL || places == NULL || found == NULL) {
    status = kif_out_of_memory(call->node);
  } else {
    o->most = floats;
    o->least = floats + bounds;
    o->bounds = floats + 2 * bounds;
    o->words = words;
    /* Sums in float32 round too, and so do lengths. */
    const float off = (0x1p-7f + 0x1p-16f) * 1.01f + (float)o->depth * 0x1p-22f;
    for (int64_t i = 0; i < o->rows; i++) {
      const float *row = o->x + i * o->depth;
      to_words(row, o->depth, words + i * o->pairs);
      o->bounds[i] = off * sqrtf(dot(row, row, o->depth));
    }
    status = kif_parallel(call, kif_parts(o->vocabulary, TASK), bound, o);
    if (status == NULL) {
      const int64_t count = find_places(o, places);
      o->places = places;
      o->found = found;
      status = kif_parallel(call, count, again, o);
      for (int64_t i = 0, n = 0; i < o->rows; i++) {
        best b = NONE;
        for (; n < count && places[n].row == i; n++) {
          keep_larger(&found[n].value, 1, found[n].token, &b);
        }
        next[i] = b.token;
      }
    }
  }
  free(floats);
  free(words);
  free(places);
  free(found);
  return status;
}

static OrtStatus *choose_by_products(const kif_call *call, operands *o, int64_t *next) {
  const int64_t tasks = kif_parts(o->vocabulary, WEIGHT_COLUMNS);
  o->found = malloc(sizeof(best) * (size_t)(tasks * o->rows));
  if (o->found == NULL) {
    return kif_out_of_memory(call->node);
  }
  OrtStatus *status = kif_parallel(call, tasks, exact, o);
  for (int64_t i = 0; i < o->rows && status == NULL && !o->out_of_memory; i++) {
    best b = NONE;
    for (int64_t t = 0; t < tasks; t++) {
      const best *of_task = o->found + t * o->rows + i;
      keep_larger(&of_task->value, 1, of_task->token, &b);
    }
    next[i] = b.token;
  }
  free(o->found);
  TRY(status);
  return o->out_of_memory ? kif_out_of_memory(call->node) : NULL;
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  enum { X, HEAD };
  TRY(kif_expect_matrix(call, HEAD, -1, -1));
  operands o = {.vocabulary = call->inputs[HEAD].shape[0],
                .depth = call->inputs[HEAD].shape[1],
                .x = kif_floats(call, X),
                .head = kif_floats(call, HEAD)};
  TRY(kif_expect_matrix(call, X, -1, o.depth));
  if (o.vocabulary == 0) {
    return kif_refuse(node, "input 'head' must have a token, but has none");
  }
  o.rows = call->inputs[X].shape[0];
  o.pairs = padded_pairs(o.depth);
  o.blocks = kif_parts(o.vocabulary, BLOCK);
  float *output;
  TRY(kif_vector_output(call, 0, o.rows, &output));
  int64_t *next = (int64_t *)(void *)output;
  if (next == NULL || o.rows == 0) {
    return NULL;
  }
#ifdef __AVX512BF16__
  TRY(copy_of(call, &o));
  if (o.copy != NULL) {
    return choose_by_bounds(call, &o, next);
  }
#else
  (void)copy_of, (void)choose_by_bounds;
#endif
  return choose_by_products(call, &o, next);
}

const kif_operator KIF_OF_TIER(next_token) = {
    .name = "NextToken",
    .inputs = {{"x", ORT_FLOAT, 0}, {"head", ORT_FLOAT, 0}},
    .outputs = {{"next", ORT_INT64, 0}},
    .node_size = sizeof(choice),
    .create = create,
    .compute = compute,
    .destroy = destroy};
