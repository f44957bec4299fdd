/*
 * The gradient of an RMS norm y = x * inverse * weight, inverse = 1 / sqrt(mean(x^2) + epsilon),
 * with respect to x, added to a residual if there is one:
 *
 *   dx = inverse * g * weight - x * inverse^3 / D * sum(g * weight * x) + residual
 *
 * g, x, residual, dx [N, D]; weight [D]; inverse [N, 1], as the forward operator gives it.
 */
#include "vector.h"

enum { G, X, WEIGHT, INVERSE, RESIDUAL };
enum { BLOCK = 32 };

typedef struct {
  int64_t rows, columns;
  const float *g, *x, *weight, *inverse, *residual;
  float *dx;
} operands;

static void block(void *data, size_t number) {
  const operands *o = data;
  const int64_t d = o->columns, begin = (int64_t)number * BLOCK;
  const float *weight = o->weight;
  for (int64_t i = begin; i < kif_min(begin + BLOCK, o->rows); i++) {
    const float *g = o->g + i * d, *x = o->x + i * d;
    vec sums = splat(0);
    int64_t at = 0;
    for (; at + LANES <= d; at += LANES) {
      sums = load(g + at) * load(weight + at) * load(x + at) + sums;
    }
    if (at < d) {
      const int64_t rest = d - at;
      sums = load_some(g + at, rest) * load_some(weight + at, rest) * load_some(x + at, rest) +
             sums;
    }
    const float inverse = o->inverse[i];
    const float along = -sum_of(sums) / (float)d * inverse * inverse * inverse;
    float *restrict dx = o->dx + i * d;
    if (o->residual == NULL) {
      for (int64_t j = 0; j < d; j++) {
        dx[j] = inverse * (g[j] * weight[j]) + along * x[j];
      }
    } else {
      const float *restrict residual = o->residual + i * d;
      for (int64_t j = 0; j < d; j++) {
        dx[j] = inverse * (g[j] * weight[j]) + along * x[j] + residual[j];
      }
    }
  }
}

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  (void)node, (void)info;
  return NULL;
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  (void)node;
  TRY(kif_expect_matrix(call, X, -1, -1));
  operands o = {.rows = call->inputs[X].shape[0],
                .columns = call->inputs[X].shape[1],
                .g = kif_floats(call, G),
                .x = kif_floats(call, X),
                .weight = kif_floats(call, WEIGHT),
                .inverse = kif_floats(call, INVERSE)};
  TRY(kif_expect_matrix(call, G, o.rows, o.columns));
  TRY(kif_expect_vector(call, WEIGHT, o.columns));
  TRY(kif_expect_matrix(call, INVERSE, o.rows, 1));
  if (call->inputs[RESIDUAL].present) {
    TRY(kif_expect_matrix(call, RESIDUAL, o.rows, o.columns));
    o.residual = kif_floats(call, RESIDUAL);
  }
  TRY(kif_matrix_output(call, 0, o.rows, o.columns, &o.dx));
  return kif_parallel(call, kif_parts(o.rows, BLOCK), block, &o);
}

const kif_operator KIF_OF_TIER(rms_norm_grad) = {
    .name = "RmsNormGrad",
    .inputs = {{"g", ORT_FLOAT, 0},
               {"x", ORT_FLOAT, 0},
               {"weight", ORT_FLOAT, 0},
               {"inverse", ORT_FLOAT, 0},
               {"residual", ORT_FLOAT, 1}},
    .outputs = {{"dx", ORT_FLOAT, 0}},
    .node_size = sizeof(kif_node),
    .create = create,
    .compute = compute};
