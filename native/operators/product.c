/*
 * Products with a frozen weight, which is read where it lies (weight.h).
 *
 *   FrozenProduct        y = act(scale * x W + addend)         addend optional, act none or relu
 *   FrozenProductMasked  y = scale * x W where kept > 0, else 0
 *
 * x [M, K], y, addend, kept [M, N]; W [K, N], or its transpose [N, K] with the attribute
 * transposed = 1. With few_rows = dots, up to 16 rows are multiplied with a transposed weight as dots.h
 * does.
 */
#include "dots.h"
#include "weight.h"

enum { X, WEIGHT, ADDEND, KEPT = ADDEND };
enum {
  FEW_ROWS = 192, /* each task packs for itself */
  ROW_BLOCK = 96,
  COLUMN_BLOCK = 512,
  ENOUGH_TASKS = 64, /* that threads end together */
  ENOUGH_TASKS_IN_PARTS = 16,
  WORD_ROWS = 32,
  PACKED_FLOATS = 3 << 19 /* of the weight, at a time; and at least WEIGHT_COLUMNS */
};

typedef struct {
  kif_node node;
  float scale;
  int relu, bf16, transposed, dots;
} product;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  static const char *const activations[] = {"none", "relu", NULL};
  static const char *const precisions[] = {"float32", "bf16", NULL};
  static const char *const few_rows[] = {"packed", "dots", NULL};
  product *p = (product *)node;
  p->scale = kif_float(node, info, "scale", 1);
  p->transposed = kif_int(node, info, "transposed", 0) != 0;
  TRY(kif_word(node, info, "activation", activations, &p->relu));
  TRY(kif_word(node, info, "few_rows", few_rows, &p->dots));
  return kif_word(node, info, "precision", precisions, &p->bf16);
}

typedef struct {
  const product *p;
  int64_t rows, depth, columns;
  weight w;
  const float *x, *addend, *kept;
  float *y;
  held how;
  left a;         /* x as it is multiplied */
  int32_t *words; /* x in bf16, or NULL */
  /* Many rows: columns [chunk, chunk + chunk_columns) of the weight, packed. */
  int64_t chunk, chunk_columns, column_block, column_blocks;
  float *packed;
  int out_of_memory;
} operands;

/* What comes after the sum, on one block. */
static void finish(const operands *o, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  const int64_t n = o->columns;
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

static void words(void *data, size_t number) {
  const operands *o = data;
  const int64_t begin = (int64_t)number * WORD_ROWS;
  for (int64_t i = begin; i < kif_min(begin + WORD_ROWS, o->rows); i++) {
    to_words(o->x + i * o->depth, o->depth, o->words + i * o->a.stride);
  }
}

static void few_rows(void *data, size_t number) {
  const operands *o = data;
  const int64_t column = (int64_t)number * WEIGHT_COLUMNS;
  const int64_t columns = kif_min(WEIGHT_COLUMNS, o->columns - column);
  float *y = o->y + column;
  if (o->p->dots && o->rows <= MOST_DOT_ROWS && o->w.transposed &&
      (o->words == NULL || columns >= DOTS)) {
    multiply_dots(o->rows, columns, o->depth, o->a, weight_at(o->w, 0, column), o->w.stride, y,
                  o->columns);
  } else {
    multiply_weight(o->rows, columns, o->depth, o->a, o->w, column, y, o->columns);
  }
  finish(o, 0, o->rows, column, columns);
}

static void pack(void *data, size_t number) {
  const operands *o = data;
  const int64_t column = (int64_t)number * WEIGHT_COLUMNS;
  pack_weight(o->w, o->how, 0, o->depth, o->chunk + column,
              kif_min(WEIGHT_COLUMNS, o->chunk_columns - column),
              o->packed + column * packed_depth(o->depth, o->how));
}

static void block(void *data, size_t number) {
  operands *o = data;
  const int64_t row = (int64_t)number / o->column_blocks * ROW_BLOCK;
  const int64_t column = (int64_t)number % o->column_blocks * o->column_block;
  const int64_t rows = kif_min(ROW_BLOCK, o->rows - row);
  const int64_t columns = kif_min(o->column_block, o->chunk_columns - column);
  const panels packed = panels_from((panels){o->packed, packed_depth(o->depth, o->how)}, column);
  float *y = o->y + row * o->columns + o->chunk + column;
  if (o->how == BF16) {
    multiply_packed(rows, columns, 0, o->depth, left_from(o->a, row), packed, y, o->columns, 0);
  } else {
    float *aside = kif_take((int64_t)sizeof(float) * aside_size(o->how));
    if (aside == NULL) {
      o->out_of_memory = 1;
      return;
    }
    multiply_held(o->how, 0, rows, columns, o->depth, o->x + row * o->depth, o->depth, packed, y,
                  o->columns, 0, aside);
    kif_give(aside);
  }
  finish(o, row, rows, o->chunk + column, columns);
}

/* Packs some columns of the weight and multiplies with them, until none is left. */
static OrtStatus *many_rows(const kif_call *call, operands *o) {
  const int64_t depth = packed_depth(o->depth, o->how);
  const int64_t most =
      kif_max(1, PACKED_FLOATS / kif_max(1, depth) / WEIGHT_COLUMNS) * WEIGHT_COLUMNS;
  o->packed = kif_take((int64_t)sizeof(float) * kif_min(most, panel_count(o->columns) * PANEL) * depth);
  if (o->packed == NULL) {
    return kif_out_of_memory(call->node);
  }
  OrtStatus *status = NULL;
  for (; status == NULL && o->chunk < o->columns; o->chunk += most) {
    o->chunk_columns = kif_min(most, o->columns - o->chunk);
    status = kif_parallel(call, kif_parts(o->chunk_columns, WEIGHT_COLUMNS), pack, o);
    const int64_t row_blocks = kif_parts(o->rows, ROW_BLOCK);
    /* Each task cuts its rows into parts for itself. */
    const int in_parts = o->how == IN_PARTS;
    const int64_t least = in_parts ? COLUMN_BLOCK : WEIGHT_COLUMNS,
                  enough = in_parts ? ENOUGH_TASKS_IN_PARTS : ENOUGH_TASKS;
    o->column_block = in_parts ? 4 * COLUMN_BLOCK : COLUMN_BLOCK;
    while (o->column_block > least &&
           row_blocks * kif_parts(o->chunk_columns, o->column_block) < enough) {
      o->column_block /= 2;
    }
    o->column_blocks = kif_parts(o->chunk_columns, o->column_block);
    if (status == NULL) {
      status = kif_parallel(call, row_blocks * o->column_blocks, block, o);
    }
  }
  kif_give(o->packed);
  TRY(status);
  return o->out_of_memory ? kif_out_of_memory(call->node) : NULL;
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  const product *p = (const product *)node;
  TRY(kif_expect_matrix(call, WEIGHT, -1, -1));
  const int64_t *shape = call->inputs[WEIGHT].shape;
  operands o = {.p = p,
                .depth = shape[p->transposed],
                .columns = shape[!p->transposed],
                .w = {kif_floats(call, WEIGHT), shape[1], p->transposed},
                .x = kif_floats(call, X)};
  TRY(kif_expect_matrix(call, X, -1, o.depth));
  o.rows = call->inputs[X].shape[0];
  const int masked = !node->op->inputs[KEPT].optional;
  if (masked || call->inputs[ADDEND].present) {
    TRY(kif_expect_matrix(call, ADDEND, o.rows, o.columns));
    *(masked ? &o.kept : &o.addend) = kif_floats(call, ADDEND);
  }
  TRY(kif_matrix_output(call, 0, o.rows, o.columns, &o.y));
  if (o.y == NULL || o.rows == 0 || o.columns == 0) {
    return NULL;
  }
  o.a = (left){o.x, NULL, o.depth};
  o.how = p->bf16 ? BF16 : o.rows <= FEW_ROWS ? FLOAT32 : HELD_BY_MANY_ROWS;
  OrtStatus *status = NULL;
  if (p->bf16) {
    o.a.stride = padded_pairs(o.depth);
    o.words = kif_take((int64_t)sizeof(int32_t) * (o.rows + BF16_SPARE_ROWS) * o.a.stride);
    if (o.words == NULL) {
      return kif_out_of_memory(node);
    }
    o.a.words = o.words;
    status = kif_parallel(call, kif_parts(o.rows, WORD_ROWS), words, &o);
  }
  if (status == NULL && o.rows <= FEW_ROWS) {
    status = kif_parallel(call, kif_parts(o.columns, WEIGHT_COLUMNS), few_rows, &o);
  } else if (status == NULL) {
    status = many_rows(call, &o);
  }
  kif_give(o.words);
  return status;
}

const kif_operator KIF_OF_TIER(frozen_product) = {
    .name = "FrozenProduct",
    .inputs = {{"x", ORT_FLOAT, 0}, {"weight", ORT_FLOAT, 0}, {"addend", ORT_FLOAT, 1}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(product),
    .create = create,
    .compute = compute};

const kif_operator KIF_OF_TIER(frozen_product_masked) = {
    .name = "FrozenProductMasked",
    .inputs = {{"x", ORT_FLOAT, 0}, {"weight", ORT_FLOAT, 0}, {"kept", ORT_FLOAT, 0}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(product),
    .create = create,
    .compute = compute};
