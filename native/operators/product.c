/*
 * Products with a frozen weight, which is packed once.
 *
 *   FrozenProduct        y = act(scale * x W + addend)         addend optional, act none or relu
 *   FrozenProductMasked  y = scale * x W where kept > 0, else 0
 *
 * x [M, K], y, addend, kept [M, N]. The weight is a constant: [K, N], or its transpose [N, K] with
 * the attribute transposed = 1, packed when the session opens; or three-dimensional, then it is
 * already packed, W's N is the attribute columns, and it is read where it lies:
 *   float32: [ceil(N / 16), K, 16], see tile.h
 *   bf16:    [ceil(N / 16), ceil(K / 2), 16] words of two bf16, see bf16.h
 */
#include <stdlib.h>

#include "bf16.h"
#include "tile.h"

enum { X, WEIGHT, ADDEND, KEPT = ADDEND };
enum { ROW_BLOCK = 96, COLUMN_BLOCK = 512, LEAST_COLUMN_BLOCK = 64, ENOUGH_TASKS = 16 };

typedef struct {
  kif_node node;
  float scale;
  int relu, bf16;
  int64_t depth, columns;
  float *packed; /* packed here; NULL where the input is packed */
} product;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  static const char *const activations[] = {"none", "relu", NULL};
  static const char *const precisions[] = {"float32", "bf16", NULL};
  product *p = (product *)node;
  p->scale = kif_float(node, info, "scale", 1);
  TRY(kif_word(node, info, "activation", activations, &p->relu));
  TRY(kif_word(node, info, "precision", precisions, &p->bf16));
  kif_tensor weight;
  TRY(kif_constant(node, info, WEIGHT, &weight));
  if (!weight.present) {
    return kif_refuse(node, "input 'weight' must be a constant");
  }
  if (weight.rank == 3) {
    TRY(kif_need_int(node, info, "columns", &p->columns));
    if (p->columns < 0 || weight.shape[0] != panel_count(p->columns) || weight.shape[2] != PANEL) {
      return kif_refuse(node,
                        "input 'weight' must be packed as [%lld, *, %d] for %lld columns, but is "
                        "[%lld, %lld, %lld]",
                        (long long)panel_count(p->columns), PANEL, (long long)p->columns,
                        (long long)weight.shape[0], (long long)weight.shape[1],
                        (long long)weight.shape[2]);
    }
    p->depth = weight.shape[1]; /* with bf16 in pairs */
    return NULL;
  }
  if (weight.rank != 2) {
    return kif_refuse(node, "input 'weight' must have 2 dimensions, or 3 packed, but has %d",
                      weight.rank);
  }
  int transposed = kif_int(node, info, "transposed", 0) != 0;
  p->depth = weight.shape[transposed];
  p->columns = weight.shape[!transposed];
  int64_t size = p->bf16 ? bf16_panels_size(p->depth, p->columns) : panels_size(p->depth, p->columns);
  if (size > 0) {
    p->packed = aligned_alloc(64, (size_t)size * sizeof(float)); /* a multiple of 64 bytes */
    if (p->packed == NULL) {
      return kif_out_of_memory(node);
    }
    kif_pack(weight.data, weight.shape[0], weight.shape[1], transposed, p->bf16,
             p->packed);
  }
  if (p->bf16) {
    p->depth = kif_parts(p->depth, 2);
  }
  return NULL;
}

static void destroy(kif_node *node) { free(((product *)node)->packed); }

typedef struct {
  const product *p;
  int64_t rows, depth, column_block, column_blocks;
  panels weight;
  const float *x, *addend, *kept;
  float *y;
} operands;

/* What comes after the sum, on one block. */
static void finish(const operands *o, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  const int64_t n = o->p->columns;
  const float scale = o->p->scale;
  const int relu = o->p->relu;
  if (scale == 1 && !relu && o->addend == NULL && o->kept == NULL) {
    return;
  }
  for (int64_t i = row; i < row + rows; i++) {
    float *restrict y = o->y + i * n + column;
    if (o->addend != NULL) {
      const float *restrict addend = o->addend + i * n + column;
      for (int64_t j = 0; j < columns; j++) {
        y[j] = scale * y[j] + addend[j];
      }
    } else if (scale != 1) {
      for (int64_t j = 0; j < columns; j++) {
        y[j] = scale * y[j];
      }
    }
    if (relu) {
      for (int64_t j = 0; j < columns; j++) {
        y[j] = y[j] < 0 ? 0 : y[j]; /* keeps NaN */
      }
    }
    if (o->kept != NULL) {
      const float *restrict kept = o->kept + i * n + column;
      for (int64_t j = 0; j < columns; j++) {
        y[j] = kept[j] > 0 ? y[j] : 0;
      }
    }
  }
}

static void block(void *data, size_t number) {
  const operands *o = data;
  const int64_t n = o->p->columns;
  int64_t row = (int64_t)number / o->column_blocks * ROW_BLOCK;
  int64_t column = (int64_t)number % o->column_blocks * o->column_block;
  int64_t rows = kif_min(ROW_BLOCK, o->rows - row);
  int64_t columns = kif_min(o->column_block, n - column);
  const float *x = o->x + row * o->depth;
  float *y = o->y + row * n + column;
  const panels weight = panels_from(o->weight, column);
  if (o->p->bf16) {
    multiply_bf16(rows, columns, o->depth, x, o->depth, weight, y, n);
  } else {
    multiply(rows, columns, o->depth, x, o->depth, weight, y, n, 0);
  }
  finish(o, row, rows, column, columns);
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  const product *p = (const product *)node;
  TRY(kif_expect_matrix(call, X, -1, p->bf16 ? -1 : p->depth));
  operands o = {.p = p,
                .rows = call->inputs[X].shape[0],
                .depth = call->inputs[X].shape[1],
                .x = kif_floats(call, X),
                .weight = {p->packed != NULL ? p->packed : kif_floats(call, WEIGHT), p->depth}};
  if (p->bf16 && kif_parts(o.depth, 2) != p->depth) {
    return kif_refuse(node, "input 'x' must have %lld columns, or one less, but has %lld",
                      (long long)(2 * p->depth), (long long)o.depth);
  }
  const int masked = !node->op->inputs[KEPT].optional;
  if (masked || call->inputs[ADDEND].present) {
    TRY(kif_expect_matrix(call, ADDEND, o.rows, p->columns));
    *(masked ? &o.kept : &o.addend) = kif_floats(call, ADDEND);
  }
  TRY(kif_matrix_output(call, 0, o.rows, p->columns, &o.y));
  if (o.y == NULL || o.rows == 0 || p->columns == 0) {
    return NULL;
  }
  int64_t row_blocks = kif_parts(o.rows, ROW_BLOCK);
  o.column_block = COLUMN_BLOCK;
  while (o.column_block > LEAST_COLUMN_BLOCK &&
         row_blocks * kif_parts(p->columns, o.column_block) < ENOUGH_TASKS) {
    o.column_block /= 2;
  }
  o.column_blocks = kif_parts(p->columns, o.column_block);
  return kif_parallel(call, row_blocks * o.column_blocks, block, &o);
}

const kif_operator KIF_OF_TIER(frozen_product) = {
    .name = "FrozenProduct",
    .inputs = {{"x", ORT_FLOAT, 0}, {"weight", ORT_FLOAT, 0}, {"addend", ORT_FLOAT, 1}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(product),
    .create = create,
    .compute = compute,
    .destroy = destroy};

const kif_operator KIF_OF_TIER(frozen_product_masked) = {
    .name = "FrozenProductMasked",
    .inputs = {{"x", ORT_FLOAT, 0}, {"weight", ORT_FLOAT, 0}, {"kept", ORT_FLOAT, 0}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(product),
    .create = create,
    .compute = compute,
    .destroy = destroy};
