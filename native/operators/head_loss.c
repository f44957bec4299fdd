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
 * the loss itself: nothing comes after it. The head is a constant [V, D], packed twice when the
 * session opens; or it is already packed, as the weight of a transposed FrozenProduct with
 * columns = V, and head_rows then is the same weight packed for the product that is not transposed,
 * with D columns.
 */
#include <math.h>
#include <stdlib.h>

#include "bf16.h"
#include "tile.h"

enum { X, HEAD, LABELS, WEIGHTS, HEAD_ROWS };
enum { SLICE = 96, LOGITS_BLOCK = 512, GRADIENT_BLOCK = 64 };

typedef struct {
  kif_node node;
  float scale;
  int bf16;
  int64_t vocabulary, width; /* width: -1 where the packing does not tell */
  float *packed_head, *packed_rows;
} head_loss;

static OrtStatus *packed(head_loss *h, const kif_tensor *weight, int transposed, float **target) {
  const int64_t depth = transposed ? h->width : h->vocabulary,
                columns = transposed ? h->vocabulary : h->width;
  const int64_t size = h->bf16 ? bf16_panels_size(depth, columns) : panels_size(depth, columns);
  *target = aligned_alloc(64, (size_t)kif_max(size, PANEL) * sizeof(float));
  if (*target == NULL) {
    return kif_out_of_memory(&h->node);
  }
  kif_pack(weight->data, h->vocabulary, h->width, transposed, h->bf16, *target);
  return NULL;
}

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  static const char *const precisions[] = {"float32", "bf16", NULL};
  head_loss *h = (head_loss *)node;
  h->scale = kif_float(node, info, "scale", 1);
  TRY(kif_word(node, info, "precision", precisions, &h->bf16));
  kif_tensor head;
  TRY(kif_constant(node, info, HEAD, &head));
  if (!head.present) {
    return kif_refuse(node, "input 'head' must be a constant");
  }
  if (head.rank == 2) {
    h->vocabulary = head.shape[0];
    h->width = head.shape[1];
    TRY(packed(h, &head, 1, &h->packed_head));
    return packed(h, &head, 0, &h->packed_rows);
  }
  kif_tensor rows;
  TRY(kif_constant(node, info, HEAD_ROWS, &rows));
  TRY(kif_need_int(node, info, "columns", &h->vocabulary));
  const int64_t pairs = h->bf16 ? kif_parts(h->vocabulary, 2) : h->vocabulary;
  if (head.rank != 3 || head.shape[0] != panel_count(h->vocabulary) || head.shape[2] != PANEL ||
      !rows.present || rows.rank != 3 || rows.shape[1] != pairs || rows.shape[2] != PANEL) {
    return kif_refuse(node,
                      "inputs 'head' and 'head_rows' must be constants packed for %lld words, [%lld, "
                      "*, %d] and [*, %lld, %d]",
                      (long long)h->vocabulary, (long long)panel_count(h->vocabulary), PANEL,
                      (long long)pairs, PANEL);
  }
  h->width = -1;
  return NULL;
}

static void destroy(kif_node *node) {
  free(((head_loss *)node)->packed_head);
  free(((head_loss *)node)->packed_rows);
}

typedef struct {
  const head_loss *h;
  int64_t rows, width, stride, slice; /* slice: the first row; stride: of a row of logits */
  const float *x, *weights;
  const int64_t *labels;
  panels head, head_rows;
  float *logits, *dx, *row_loss;
} operands;

static int64_t slice_rows(const operands *o) { return kif_min(SLICE, o->rows - o->slice); }

static void product(const operands *o, int64_t columns, int64_t depth, const float *a,
                    int64_t a_row, panels b, float *c, int64_t c_row) {
  if (o->h->bf16) {
    multiply_bf16(slice_rows(o), columns, depth, a, a_row, b, c, c_row);
  } else {
    multiply(slice_rows(o), columns, depth, a, a_row, b, c, c_row, 0);
  }
}

static void logits(void *data, size_t number) {
  const operands *o = data;
  const int64_t column = (int64_t)number * LOGITS_BLOCK;
  product(o, kif_min(LOGITS_BLOCK, o->h->vocabulary - column), o->width,
          o->x + o->slice * o->width, o->width, panels_from(o->head, column), o->logits + column,
          o->stride);
}

/* Makes the gradient of a row of logits, and its loss. */
static void loss(void *data, size_t number) {
  const operands *o = data;
  const int64_t row = o->slice + (int64_t)number, words = o->h->vocabulary;
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
}

static void gradient(void *data, size_t number) {
  const operands *o = data;
  const int64_t column = (int64_t)number * GRADIENT_BLOCK;
  product(o, kif_min(GRADIENT_BLOCK, o->width - column), o->h->vocabulary, o->logits, o->stride,
          panels_from(o->head_rows, column), o->dx + o->slice * o->width + column, o->width);
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  const head_loss *h = (const head_loss *)node;
  operands o = {.h = h};
  TRY(kif_expect_matrix(call, X, -1, h->width));
  o.rows = call->inputs[X].shape[0];
  o.width = call->inputs[X].shape[1];
  TRY(kif_expect_matrix(call, LABELS, o.rows, 1));
  TRY(kif_expect_matrix(call, WEIGHTS, o.rows, 1));
  o.x = kif_floats(call, X);
  o.labels = kif_ints(call, LABELS);
  o.weights = kif_floats(call, WEIGHTS);
  for (int64_t i = 0; i < o.rows; i++) {
    if (o.labels[i] < 0 || o.labels[i] >= h->vocabulary) {
      return kif_refuse(node, "labels must lie in [0, %lld), but row %lld has %lld",
                        (long long)h->vocabulary, (long long)i, (long long)o.labels[i]);
    }
  }
  const int64_t depth = h->bf16 ? kif_parts(o.width, 2) : o.width;
  const int64_t rows_depth = h->bf16 ? kif_parts(h->vocabulary, 2) : h->vocabulary;
  if (h->packed_head == NULL && (call->inputs[HEAD].shape[1] != depth ||
                                 call->inputs[HEAD_ROWS].shape[0] != panel_count(o.width))) {
    return kif_refuse(node, "the packed head is not for rows of width %lld", (long long)o.width);
  }
  o.head = (panels){h->packed_head != NULL ? h->packed_head : kif_floats(call, HEAD), depth};
  o.head_rows =
      (panels){h->packed_rows != NULL ? h->packed_rows : kif_floats(call, HEAD_ROWS), rows_depth};
  float *total;
  TRY(kif_vector_output(call, 0, 1, &total));
  TRY(kif_matrix_output(call, 1, o.rows, o.width, &o.dx));
  TRY(kif_matrix_output(call, 2, o.rows, 1, &o.row_loss));
  OrtStatus *status = NULL;
  if (o.rows > 0) {
    o.stride = panel_count(h->vocabulary) * PANEL;
    o.logits = malloc(sizeof(float) * (size_t)(kif_min(SLICE, o.rows) * o.stride));
    if (o.logits == NULL) {
      return kif_out_of_memory(node);
    }
    for (o.slice = 0; status == NULL && o.slice < o.rows; o.slice += SLICE) {
      status = kif_parallel(call, kif_parts(h->vocabulary, LOGITS_BLOCK), logits, &o);
      if (status == NULL) {
        status = kif_parallel(call, slice_rows(&o), loss, &o);
      }
      if (status == NULL && o.dx != NULL) {
        status = kif_parallel(call, kif_parts(o.width, GRADIENT_BLOCK), gradient, &o);
      }
    }
    free(o.logits);
  }
  double sum = 0;
  for (int64_t i = 0; i < o.rows; i++) {
    sum += (double)o.weights[i] * (double)o.row_loss[i];
  }
  if (total != NULL) {
    *total = (float)sum;
  }
  return status;
}

const kif_operator KIF_OF_TIER(head_loss) = {
    .name = "HeadLoss",
    .inputs = {{"x", ORT_FLOAT, 0},
               {"head", ORT_FLOAT, 0},
               {"labels", ORT_INT64, 0},
               {"token_weights", ORT_FLOAT, 0},
               {"head_rows", ORT_FLOAT, 1}},
    .outputs = {{"loss", ORT_FLOAT, 0}, {"dx", ORT_FLOAT, 0}, {"row_loss", ORT_FLOAT, 0}},
    .node_size = sizeof(head_loss),
    .create = create,
    .compute = compute,
    .destroy = destroy};
