/*
 * The cross-entropy of a frozen head, and its gradient, over slices of rows so that the logits of
 * all rows never exist at once. For row i with label t and token weight w:
 *
 *   s_v        = scale * x_i . head_v
 *   row_loss_i = log sum_v exp(s_v) - s_t
 *   loss       = sum_i w_i row_loss_i
 *   dx_i       = scale * w_i * sum_v (exp(s_v) / sum exp(s) - [v = t]) head_v
 *
 * x, dx [L, D]; labels int64, token_weights and row_loss [L, 1]; loss [1]. The gradient is that of
 * the loss itself: nothing comes after it. The head [V, D] is read where it lies (weight.h).
 */
#include <math.h>

#include "weight.h"

enum { X, HEAD, LABELS, WEIGHTS };
enum { SLICE = 96 };

typedef struct {
  kif_node node;
  float scale;
  int bf16, bf16_gradient;
} head_loss;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  static const char *const precisions[] = {"float32", "bf16", NULL};
  head_loss *h = (head_loss *)node;
  h->scale = kif_float(node, info, "scale", 1);
  TRY(kif_word(node, info, "precision", precisions, &h->bf16));
  return kif_word(node, info, "gradient_precision", precisions, &h->bf16_gradient);
}

typedef struct {
  const head_loss *h;
  int64_t rows, width, vocabulary;
  int64_t stride, slice; /* stride: of a row of logits; slice: the first row */
  const float *x, *head, *weights;
  const int64_t *labels;
  float *logits, *dx, *row_loss;
  int32_t *x_words, *logit_words; /* of a slice, in bf16 */
} operands;

static int64_t slice_rows(const operands *o) { return kif_min(SLICE, o->rows - o->slice); }

static void logits(void *data, size_t number) {
  const operands *o = data;
  const int64_t column = (int64_t)number * WEIGHT_COLUMNS;
  const int64_t columns = kif_min(WEIGHT_COLUMNS, o->vocabulary - column);
  const left x = {o->x + o->slice * o->width, o->x_words,
                  o->x_words == NULL ? o->width : padded_pairs(o->width)};
  multiply_weight(slice_rows(o), columns, o->width, x, (weight){o->head, o->width, 1}, column,
                  o->logits + column, o->stride);
}

/* Makes the gradient of a row of logits, and its loss. */
static void loss(void *data, size_t number) {
  const operands *o = data;
  const int64_t row = o->slice + (int64_t)number, words = o->vocabulary;
  float *s = o->logits + (int64_t)number * o->stride;
  const int64_t label = o->labels[row];
  for (int64_t v = words; v < o->stride; v++) {
    s[v] = -INFINITY;
  }
  const vec scale = splat(o->h->scale);
  vec most = splat(-INFINITY);
  for (int64_t v = 0; v < o->stride; v += LANES) {
    vec scaled = scale * load(s + v);
    store(s + v, scaled);
    most = larger(scaled, most);
  }
  for (int64_t v = words; v < o->stride; v++) {
    s[v] = -INFINITY; /* also if the scale is negative or 0 */
  }
  const float largest = largest_of(most), score = s[label];
  vec total = splat(0);
  for (int64_t v = 0; v < o->stride; v += LANES) {
    vec e = exponential(load(s + v) - splat(largest));
    store(s + v, e);
    total += e;
  }
  const float sum = sum_of(total), weight = o->weights[row] * o->h->scale;
  o->row_loss[row] = largest - score + logf(sum);
  const vec factor = splat(weight / sum);
  for (int64_t v = 0; v < o->stride; v += LANES) {
    store(s + v, factor * load(s + v));
  }
  s[label] -= weight;
  if (o->logit_words != NULL) {
    to_words(s, words, o->logit_words + (int64_t)number * padded_pairs(words));
  }
}

static void words_of_x(void *data, size_t number) {
  const operands *o = data;
  to_words(o->x + (o->slice + (int64_t)number) * o->width, o->width,
           o->x_words + (int64_t)number * padded_pairs(o->width));
}

static void gradient(void *data, size_t number) {
  const operands *o = data;
  const int64_t column = (int64_t)number * WEIGHT_COLUMNS;
  const left logits = {o->logits, o->logit_words,
                       o->logit_words == NULL ? o->stride : padded_pairs(o->vocabulary)};
  multiply_weight(slice_rows(o), kif_min(WEIGHT_COLUMNS, o->width - column), o->vocabulary, logits,
                  (weight){o->head, o->width, 0}, column, o->dx + o->slice * o->width + column,
                  o->width);
}

/* Scratch for a slice; NULL where it is not asked for, and *missing set where there is no memory. */
static void *scratch(int wanted, int64_t count, int *missing) {
  if (!wanted) {
    return NULL;
  }
  void *memory = kif_take((int64_t)sizeof(float) * count);
  *missing |= memory == NULL;
  return memory;
}

static OrtStatus *slices(const kif_call *call, operands *o) {
  OrtStatus *status = NULL;
  for (o->slice = 0; status == NULL && o->slice < o->rows; o->slice += SLICE) {
    if (o->x_words != NULL) {
      status = kif_parallel(call, slice_rows(o), words_of_x, o);
    }
    if (status == NULL) {
      status = kif_parallel(call, kif_parts(o->vocabulary, WEIGHT_COLUMNS), logits, o);
    }
    if (status == NULL) {
      status = kif_parallel(call, slice_rows(o), loss, o);
    }
    if (status == NULL && o->dx != NULL) {
      status = kif_parallel(call, kif_parts(o->width, WEIGHT_COLUMNS), gradient, o);
    }
  }
  return status;
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  const head_loss *h = (const head_loss *)node;
  operands o = {.h = h};
  TRY(kif_expect_matrix(call, X, -1, -1));
  o.rows = call->inputs[X].shape[0];
  o.width = call->inputs[X].shape[1];
  TRY(kif_expect_matrix(call, HEAD, -1, o.width));
  o.vocabulary = call->inputs[HEAD].shape[0];
  TRY(kif_expect_matrix(call, LABELS, o.rows, 1));
  TRY(kif_expect_matrix(call, WEIGHTS, o.rows, 1));
  o.x = kif_floats(call, X);
  o.head = kif_floats(call, HEAD);
  o.labels = kif_ints(call, LABELS);
  o.weights = kif_floats(call, WEIGHTS);
  for (int64_t i = 0; i < o.rows; i++) {
    if (o.labels[i] < 0 || o.labels[i] >= o.vocabulary) {
      return kif_refuse(node, "labels must lie in [0, %lld), but row %lld has %lld",
                        (long long)o.vocabulary, (long long)i, (long long)o.labels[i]);
    }
  }
  float *total;
  TRY(kif_vector_output(call, 0, 1, &total));
  TRY(kif_matrix_output(call, 1, o.rows, o.width, &o.dx));
  TRY(kif_matrix_output(call, 2, o.rows, 1, &o.row_loss));
  OrtStatus *status = NULL;
  if (o.rows > 0) {
    const int64_t rows = kif_min(SLICE, o.rows), word_rows = rows + BF16_SPARE_ROWS;
    int missing = 0;
    o.stride = panel_count(o.vocabulary) * PANEL;
    o.logits = scratch(1, rows * o.stride, &missing);
    o.x_words = scratch(h->bf16, word_rows * padded_pairs(o.width), &missing);
    o.logit_words =
        scratch(h->bf16_gradient, word_rows * padded_pairs(o.vocabulary), &missing);
    status = missing ? kif_out_of_memory(node) : slices(call, &o);
    kif_give(o.logits);
    kif_give(o.x_words);
    kif_give(o.logit_words);
    TRY(status);
  }
  double sum = 0;
  for (int64_t i = 0; i < o.rows; i++) {
    sum += (double)o.weights[i] * (double)o.row_loss[i];
  }
  if (total != NULL) {
    *total = (float)sum;
  }
  return NULL;
}

const kif_operator KIF_OF_TIER(head_loss) = {
    .name = "HeadLoss",
    .inputs = {{"x", ORT_FLOAT, 0},
               {"head", ORT_FLOAT, 0},
               {"labels", ORT_INT64, 0},
               {"token_weights", ORT_FLOAT, 0}},
    .outputs = {{"loss", ORT_FLOAT, 0}, {"dx", ORT_FLOAT, 0}, {"row_loss", ORT_FLOAT, 0}},
    .node_size = sizeof(head_loss),
    .create = create,
    .compute = compute};
