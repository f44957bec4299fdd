/*
 * Products of the heads of an attention with a weight of which each head has rows of its own, W [H * W,
 * D], and with the adapter of that weight, if it has one, A [r, D] and B [H * W, r]. For each head h:
 *
 *   into = width   y_h = x_h W_h^T + scale * (x_h A^T) B_h^T     x [M, H * D], y [M, H * W]
 *   into = depth   y_h = x_h W_h + scale * (x_h B_h) A           x [M, H * W], y [M, H * D]
 *
 * With them an attention needs no keys and values of its own. Since q . (W x) = (q W) . x, its queries
 * can ask the rows x themselves, and what it mixes of these becomes what it would have mixed of values.
 */
#include <stdlib.h>

#include "dots.h"

typedef struct {
  kif_node node;
  int64_t heads;
  int into_depth;
  float scale;
} head_product;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  static const char *const into[] = {"width", "depth", NULL};
  head_product *p = (head_product *)node;
  TRY(kif_need_int(node, info, "heads", &p->heads));
  p->scale = kif_float(node, info, "scale", 1);
  if (p->heads < 1) {
    return kif_refuse(node, "heads must be positive, but is %lld", (long long)p->heads);
  }
  return kif_word(node, info, "into", into, &p->into_depth);
}

typedef struct {
  const head_product *p;
  int64_t rows, width, depth, rank; /* rank 0: no adapter */
  int64_t x_row, y_row, y_columns, column_blocks;
  const float *x, *weight, *a, *b;
  float *y;
  int out_of_memory;
} operands;

enum { COLUMN_BLOCK = 512 };

/* Y [rows, columns] = X B with columns of B from `column` on. */
static void multiply_columns(int64_t rows, int64_t columns, int64_t depth, left x, weight b,
                             int64_t column, float *y, int64_t y_row) {
  const float *corner = weight_at(b, 0, column);
  if (rows > MOST_DOT_ROWS) {
    for (int64_t n = 0; n < columns; n += WEIGHT_COLUMNS) {
      multiply_weight(rows, kif_min(WEIGHT_COLUMNS, columns - n), depth, x, b, column + n, y + n,
                      y_row);
    }
  } else if (b.transposed) {
    multiply_dots(rows, columns, depth, x, corner, b.stride, y, y_row);
  } else {
    multiply_mixtures(rows, columns, depth, x.data, x.stride, corner, b.stride, y, y_row);
  }
}

/* Some columns of one head. */
static void block(void *data, size_t number) {
  operands *o = data;
  const int64_t head = (int64_t)number / o->column_blocks,
                column = (int64_t)number % o->column_blocks * COLUMN_BLOCK,
                columns = kif_min(COLUMN_BLOCK, o->y_columns - column), rank = o->rank;
  const int into_depth = o->p->into_depth;
  const int64_t depth = into_depth ? o->width : o->depth;
  const left x = {o->x + head * depth, NULL, o->x_row};
  const weight w = {o->weight + head * o->width * o->depth, o->depth, !into_depth};
  float *y = o->y + head * o->y_columns + column;
  multiply_columns(o->rows, columns, depth, x, w, column, y, o->y_row);
  if (rank == 0) {
    return;
  }
  float *t = malloc(sizeof(float) * (size_t)(o->rows * (rank + columns)));
  if (t == NULL) {
    o->out_of_memory = 1;
    return;
  }
  float *update = t + o->rows * rank;
  const weight a = {o->a, o->depth, !into_depth},
               b = {o->b + head * o->width * rank, rank, !into_depth};
  multiply_columns(o->rows, rank, depth, x, into_depth ? b : a, 0, t, rank);
  multiply_columns(o->rows, columns, rank, (left){t, NULL, rank}, into_depth ? a : b, column,
                   update, columns);
  for (int64_t i = 0; i < o->rows; i++) {
    for (int64_t j = 0; j < columns; j++) {
      y[i * o->y_row + j] += o->p->scale * update[i * columns + j];
    }
  }
  free(t);
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  enum { X, WEIGHT, A, B };
  const head_product *p = (const head_product *)node;
  TRY(kif_expect_matrix(call, WEIGHT, -1, -1));
  const int64_t all = call->inputs[WEIGHT].shape[0], heads = p->heads;
  if (all % heads != 0) {
    return kif_refuse(node, "input 'weight' must have a multiple of %lld rows, but has %lld",
                      (long long)heads, (long long)all);
  }
  operands o = {.p = p,
                .width = all / heads,
                .depth = call->inputs[WEIGHT].shape[1],
                .x = kif_floats(call, X),
                .weight = kif_floats(call, WEIGHT)};
  o.x_row = p->into_depth ? all : heads * o.depth;
  o.y_row = p->into_depth ? heads * o.depth : all;
  TRY(kif_expect_matrix(call, X, -1, o.x_row));
  o.rows = call->inputs[X].shape[0];
  if (call->inputs[A].present) {
    TRY(kif_expect_matrix(call, A, -1, o.depth));
    o.rank = call->inputs[A].shape[0];
    TRY(kif_expect_matrix(call, B, all, o.rank));
    o.a = kif_floats(call, A);
    o.b = kif_floats(call, B);
  }
  TRY(kif_matrix_output(call, 0, o.rows, o.y_row, &o.y));
  if (o.y == NULL || o.rows == 0) {
    return NULL;
  }
  o.y_columns = o.y_row / heads;
  o.column_blocks = kif_parts(o.y_columns, COLUMN_BLOCK);
  TRY(kif_parallel(call, heads * o.column_blocks, block, &o));
  return o.out_of_memory ? kif_out_of_memory(node) : NULL;
}

const kif_operator KIF_OF_TIER(head_product) = {
    .name = "HeadProduct",
    .inputs = {{"x", ORT_FLOAT, 0},
               {"weight", ORT_FLOAT, 0},
               {"A", ORT_FLOAT, 1},
               {"B", ORT_FLOAT, 1}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(head_product),
    .create = create,
    .compute = compute};
