/*
 * The adapter of a linear layer, LoRA, and its gradient. With the mask m of the dropout (mask.h; 1
 * without keys) and x' = m * x:
 *
 *   LowRankUpdate      t = x' A^T             z = y + scale * t B^T
 *   LowRankUpdateGrad  dt = scale * gz B      dA = dt^T x', dB = scale * gz^T t, dx = m * (dt A)
 *
 * y, z, gz [N, out]; x, dx [N, in]; A, dA [r, in]; B, dB [out, r]; t [N, r]; offsets [B + 1] and
 * keys [B, 3] for the dropout. dx is what the adapter adds to the gradient of x, and `sum` [N, in]
 * with it if there is one.
 */
#include <stdlib.h>

#include "mask.h"
#include "tile.h"

enum { ROW_BLOCK = 48, DEPTH = 256, COLUMN_BLOCK = 64 };

typedef struct {
  kif_node node;
  float scale;
  kif_dropout dropout;
} low_rank;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  low_rank *l = (low_rank *)node;
  l->scale = kif_float(node, info, "scale", 1);
  return dropout_of(node, info, &l->dropout);
}

typedef struct {
  const low_rank *l;
  int64_t rows, in, out, rank, sequences;
  const float *x, *y, *gz, *t, *sum;
  const int64_t *offsets, *keys; /* NULL without dropout */
  panels a, b;                   /* factors of the products over rows */
  panels packed_t;
  float *z, *t_out, *dt, *dx, *da, *db;
  int out_of_memory;
} operands;

/* Copies x, times the mask, of rows from `row` and columns from `column`. */
static void masked(const operands *o, const float *x, int64_t row, int64_t rows, int64_t column,
                   int64_t columns, float *target, int64_t stride) {
  for (int64_t i = 0; i < rows; i++) {
    const float *restrict source = x + (row + i) * o->in + column;
    float *restrict copy = target + i * stride;
    if (o->keys == NULL) {
      memcpy(copy, source, sizeof(float) * (size_t)columns);
      continue;
    }
    const int64_t sequence = kif_sequence(o->offsets, o->sequences, row + i);
    const kif_key key = key_of(o->keys, sequence);
    float mask[DEPTH];
    mask_row(&o->l->dropout, key.key, key.plane, key.first + row + i - o->offsets[sequence],
             column, columns, mask);
    for (int64_t j = 0; j < columns; j++) {
      copy[j] = mask[j] * source[j];
    }
  }
}

static void scaled(float *v, int64_t count, float scale) {
  for (int64_t j = 0; j < count; j++) {
    v[j] *= scale;
  }
}

/* The rows of t and z. */
static void forward(void *data, size_t number) {
  operands *o = data;
  const int64_t row = (int64_t)number * ROW_BLOCK, rows = kif_min(ROW_BLOCK, o->rows - row);
  const int64_t rank = o->rank;
  float *t = o->t_out + row * rank, *z = o->z + row * o->out;
  if (o->keys == NULL) {
    multiply(rows, rank, o->in, o->x + row * o->in, o->in, o->a, t, rank, 0);
  } else {
    float dropped[ROW_BLOCK * DEPTH];
    for (int64_t k = 0; k < o->in || k == 0; k += DEPTH) {
      const int64_t depth = kif_min(DEPTH, o->in - k);
      masked(o, o->x, row, rows, k, depth, dropped, DEPTH);
      multiply(rows, rank, depth, dropped, DEPTH, (panels){o->a.data + k * PANEL, o->in}, t, rank,
               k > 0);
    }
  }
  float *scaled_t = malloc(sizeof(float) * (size_t)(rows * rank + 1));
  if (scaled_t == NULL) {
    o->out_of_memory = 1;
    return;
  }
  memcpy(scaled_t, t, sizeof(float) * (size_t)(rows * rank));
  scaled(scaled_t, rows * rank, o->l->scale);
  memcpy(z, o->y + row * o->out, sizeof(float) * (size_t)(rows * o->out));
  multiply(rows, o->out, rank, scaled_t, rank, o->b, z, o->out, 1);
  free(scaled_t);
}

/* The rows of dt and dx. */
static void backward_rows(void *data, size_t number) {
  const operands *o = data;
  const int64_t row = (int64_t)number * ROW_BLOCK, rows = kif_min(ROW_BLOCK, o->rows - row);
  const int64_t rank = o->rank;
  float *dt = o->dt + row * rank;
  multiply(rows, rank, o->out, o->gz + row * o->out, o->out, o->b, dt, rank, 0);
  scaled(dt, rows * rank, o->l->scale);
  if (o->dx == NULL) {
    return;
  }
  float *dx = o->dx + row * o->in;
  const float *sum = o->sum == NULL ? NULL : o->sum + row * o->in;
  const int adds = sum != NULL && o->keys == NULL;
  if (adds) {
    memcpy(dx, sum, sizeof(float) * (size_t)(rows * o->in));
  }
  multiply(rows, o->in, rank, dt, rank, o->a, dx, o->in, adds);
  for (int64_t k = 0; k < o->in && o->keys != NULL; k += DEPTH) {
    float dropped[ROW_BLOCK * DEPTH];
    const int64_t columns = kif_min(DEPTH, o->in - k);
    masked(o, o->dx, row, rows, k, columns, dropped, DEPTH);
    for (int64_t i = 0; i < rows; i++) {
      const int64_t corner = i * o->in + k;
      for (int64_t j = 0; j < columns; j++) {
        dx[corner + j] = dropped[i * DEPTH + j] + (sum == NULL ? 0 : sum[corner + j]);
      }
    }
  }
}

/* A few columns of dA, or rows of dB. */
static void backward_weights(void *data, size_t number) {
  const operands *o = data;
  const int64_t blocks = kif_parts(o->in, COLUMN_BLOCK), rank = o->rank;
  if ((int64_t)number >= blocks) {
    const int64_t row = ((int64_t)number - blocks) * COLUMN_BLOCK;
    const int64_t rows = kif_min(COLUMN_BLOCK, o->out - row);
    float *db = o->db + row * rank;
    multiply_transposed(rows, rank, o->rows, o->gz + row, o->out, o->packed_t, db, rank, 0);
    scaled(db, rows * rank, o->l->scale);
    return;
  }
  const int64_t column = (int64_t)number * COLUMN_BLOCK;
  const int64_t columns = kif_min(COLUMN_BLOCK, o->in - column);
  float x[DEPTH * COLUMN_BLOCK], packed[DEPTH * COLUMN_BLOCK];
  for (int64_t k = 0; k < o->rows || k == 0; k += DEPTH) {
    const int64_t depth = kif_min(DEPTH, o->rows - k);
    masked(o, o->x, k, depth, column, columns, x, COLUMN_BLOCK);
    pack_rows(x, COLUMN_BLOCK, depth, columns, packed);
    multiply_transposed(rank, columns, depth, o->dt + k * rank, rank, (panels){packed, depth},
                        o->da + column, o->in, k > 0);
  }
}

/* Inputs `x` and `first`, first + 1, first + 2, first + 3: A, B, offsets, keys. */
static OrtStatus *read(const kif_node *node, const kif_call *call, int x, int first,
                       operands *o) {
  o->l = (const low_rank *)node;
  TRY(kif_expect_matrix(call, x, -1, -1));
  o->rows = call->inputs[x].shape[0];
  o->in = call->inputs[x].shape[1];
  TRY(kif_expect_matrix(call, first, -1, o->in));
  o->rank = call->inputs[first].shape[0];
  TRY(kif_expect_matrix(call, first + 1, -1, o->rank));
  o->out = call->inputs[first + 1].shape[0];
  o->x = kif_floats(call, x);
  if (call->inputs[first + 3].present && o->l->dropout.drop_below > 0) {
    TRY(kif_expect_offsets(call, first + 2, o->rows, &o->sequences));
    TRY(kif_expect_matrix(call, first + 3, o->sequences, 3));
    o->offsets = kif_ints(call, first + 2);
    o->keys = kif_ints(call, first + 3);
  }
  return NULL;
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  enum { Y, X, A, B };
  operands o = {0};
  TRY(read(node, call, X, A, &o));
  TRY(kif_expect_matrix(call, Y, o.rows, o.out));
  o.y = kif_floats(call, Y);
  TRY(kif_matrix_output(call, 0, o.rows, o.out, &o.z));
  TRY(kif_matrix_output(call, 1, o.rows, o.rank, &o.t_out));
  const int64_t a_size = panels_size(o.in, o.rank), b_size = panels_size(o.rank, o.out);
  float *scratch = kif_take((int64_t)sizeof(float) * (a_size + b_size));
  if (scratch == NULL) {
    return kif_out_of_memory(node);
  }
  pack_columns(kif_floats(call, A), o.in, o.in, o.rank, scratch);
  pack_columns(kif_floats(call, B), o.rank, o.rank, o.out, scratch + a_size);
  o.a = (panels){scratch, o.in};
  o.b = (panels){scratch + a_size, o.rank};
  OrtStatus *status = kif_parallel(call, kif_parts(o.rows, ROW_BLOCK), forward, &o);
  kif_give(scratch);
  TRY(status);
  return o.out_of_memory ? kif_out_of_memory(node) : NULL;
}

static OrtStatus *compute_grad(const kif_node *node, kif_call *call) {
  enum { GZ, X, T, A, B, OFFSETS, KEYS, SUM };
  operands o = {0};
  TRY(read(node, call, X, A, &o));
  TRY(kif_expect_matrix(call, GZ, o.rows, o.out));
  TRY(kif_expect_matrix(call, T, o.rows, o.rank));
  o.gz = kif_floats(call, GZ);
  o.t = kif_floats(call, T);
  if (call->inputs[SUM].present) {
    TRY(kif_expect_matrix(call, SUM, o.rows, o.in));
    o.sum = kif_floats(call, SUM);
  }
  TRY(kif_matrix_output(call, 0, o.rank, o.in, &o.da));
  TRY(kif_matrix_output(call, 1, o.out, o.rank, &o.db));
  TRY(kif_matrix_output(call, 2, o.rows, o.in, &o.dx));
  const int64_t a_size = panels_size(o.rank, o.in), b_size = panels_size(o.out, o.rank),
                t_size = panels_size(o.rows, o.rank);
  float *scratch =
      kif_take((int64_t)sizeof(float) * (a_size + b_size + t_size + o.rows * o.rank));
  if (scratch == NULL) {
    return kif_out_of_memory(node);
  }
  float *packed_b = scratch + a_size, *packed_t = packed_b + b_size;
  pack_rows(kif_floats(call, A), o.in, o.rank, o.in, scratch);
  pack_rows(kif_floats(call, B), o.rank, o.out, o.rank, packed_b);
  pack_rows(o.t, o.rank, o.rows, o.rank, packed_t);
  o.a = (panels){scratch, o.rank};
  o.b = (panels){packed_b, o.out};
  o.packed_t = (panels){packed_t, o.rows};
  o.dt = packed_t + t_size;
  OrtStatus *status = kif_parallel(call, kif_parts(o.rows, ROW_BLOCK), backward_rows, &o);
  if (status == NULL) {
    status = kif_parallel(call, kif_parts(o.in, COLUMN_BLOCK) + kif_parts(o.out, COLUMN_BLOCK),
                          backward_weights, &o);
  }
  kif_give(scratch);
  return status;
}

const kif_operator KIF_OF_TIER(low_rank_update) = {
    .name = "LowRankUpdate",
    .inputs = {{"y", ORT_FLOAT, 0},
               {"x", ORT_FLOAT, 0},
               {"A", ORT_FLOAT, 0},
               {"B", ORT_FLOAT, 0},
               {"offsets", ORT_INT64, 1},
               {"keys", ORT_INT64, 1}},
    .outputs = {{"z", ORT_FLOAT, 0}, {"t", ORT_FLOAT, 0}},
    .node_size = sizeof(low_rank),
    .create = create,
    .compute = compute};

const kif_operator KIF_OF_TIER(low_rank_update_grad) = {
    .name = "LowRankUpdateGrad",
    .inputs = {{"gz", ORT_FLOAT, 0},
               {"x", ORT_FLOAT, 0},
               {"t", ORT_FLOAT, 0},
               {"A", ORT_FLOAT, 0},
               {"B", ORT_FLOAT, 0},
               {"offsets", ORT_INT64, 1},
               {"keys", ORT_INT64, 1},
               {"sum", ORT_FLOAT, 1}},
    .outputs = {{"dA", ORT_FLOAT, 0}, {"dB", ORT_FLOAT, 0}, {"dx", ORT_FLOAT, 1}},
    .node_size = sizeof(low_rank),
    .create = create,
    .compute = compute_grad};
