/*
 * Dropout of packed rows. No mask is stored; the gradient is the same operator on the gradient.
 *
 *   Drop      y = m * x
 *   DropAdd   y = residual + m * x
 *
 * with the mask m of mask.h: column j of row i of a sequence is element (plane, first + i, j). x, y,
 * residual [N, D]; offsets [B + 1]; keys [B, 3].
 */
#include "mask.h"
#include "vector.h"

enum { BLOCK = 16, CHUNK = 4 * COUNTERS };

typedef struct {
  kif_node node;
  kif_dropout dropout;
} drop;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  return dropout_of(node, info, &((drop *)node)->dropout);
}

typedef struct {
  const drop *d;
  int64_t rows, columns, sequences;
  const float *x, *residual;
  const int64_t *offsets, *keys;
  float *y;
} operands;

static void block(void *data, size_t number) {
  const operands *o = data;
  const int64_t begin = (int64_t)number * BLOCK, end = kif_min(begin + BLOCK, o->rows);
  float mask[CHUNK];
  for (int64_t i = begin; i < end; i++) {
    const int64_t sequence = kif_sequence(o->offsets, o->sequences, i);
    const kif_key key = key_of(o->keys, sequence);
    const int64_t row = key.first + i - o->offsets[sequence];
    for (int64_t column = 0; column < o->columns; column += CHUNK) {
      const int64_t count = kif_min(CHUNK, o->columns - column), corner = i * o->columns + column;
      mask_row(&o->d->dropout, key.key, key.plane, row, column, count, mask);
      const float *restrict x = o->x + corner;
      float *restrict y = o->y + corner;
      if (o->residual == NULL) {
        for (int64_t j = 0; j < count; j++) {
          y[j] = mask[j] * x[j];
        }
      } else {
        const float *restrict residual = o->residual + corner;
        for (int64_t j = 0; j < count; j++) {
          y[j] = residual[j] + mask[j] * x[j];
        }
      }
    }
  }
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  const int adds = node->op->inputs[3].name != NULL; /* DropAdd(x, residual, offsets, keys) */
  const int offsets = adds ? 2 : 1;
  TRY(kif_expect_matrix(call, 0, -1, -1));
  operands o = {.d = (const drop *)node,
                .rows = call->inputs[0].shape[0],
                .columns = call->inputs[0].shape[1],
                .x = kif_floats(call, 0),
                .offsets = kif_ints(call, offsets),
                .keys = kif_ints(call, offsets + 1)};
  if (adds) {
    TRY(kif_expect_matrix(call, 1, o.rows, o.columns));
    o.residual = kif_floats(call, 1);
  }
  TRY(kif_expect_offsets(call, offsets, o.rows, &o.sequences));
  TRY(kif_expect_matrix(call, offsets + 1, o.sequences, 3));
  TRY(kif_matrix_output(call, 0, o.rows, o.columns, &o.y));
  return kif_parallel(call, kif_parts(o.rows, BLOCK), block, &o);
}

const kif_operator KIF_OF_TIER(drop) = {
    .name = "Drop",
    .inputs = {{"x", ORT_FLOAT, 0}, {"offsets", ORT_INT64, 0}, {"keys", ORT_INT64, 0}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(drop),
    .create = create,
    .compute = compute};

const kif_operator KIF_OF_TIER(drop_add) = {
    .name = "DropAdd",
    .inputs = {{"x", ORT_FLOAT, 0},
               {"residual", ORT_FLOAT, 0},
               {"offsets", ORT_INT64, 0},
               {"keys", ORT_INT64, 0}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(drop),
    .create = create,
    .compute = compute};
