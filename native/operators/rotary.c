/*
 * The rotary position embedding in the order of Hugging Face: element p of a head turns together
 * with element p + P, P = width / 2, by the angle that its row and p have:
 *
 *   y_p = x_p cos - x_(p+P) sin        y_(p+P) = x_(p+P) cos + x_p sin
 *
 * With backward = 1 the sine is negated: the turn back, which is the gradient. x, y [N, H * width];
 * cosine, sine [N, P].
 */
#include "vector.h"

enum { BLOCK = 32 };

typedef struct {
  kif_node node;
  int64_t heads, width;
  int backward;
} rotary;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  rotary *r = (rotary *)node;
  TRY(kif_need_int(node, info, "heads", &r->heads));
  TRY(kif_need_int(node, info, "width", &r->width));
  r->backward = kif_int(node, info, "backward", 0) != 0;
  if (r->heads < 1 || r->width < 2 || r->width % 2 != 0) {
    return kif_refuse(node, "heads must be positive and width even, but are %lld and %lld",
                      (long long)r->heads, (long long)r->width);
  }
  return NULL;
}

typedef struct {
  const rotary *r;
  int64_t rows;
  const float *x, *cosine, *sine;
  float *y;
} operands;

static void block(void *data, size_t number) {
  const operands *o = data;
  const int64_t half = o->r->width / 2, begin = (int64_t)number * BLOCK;
  const float sign = o->r->backward ? -1 : 1;
  for (int64_t i = begin; i < kif_min(begin + BLOCK, o->rows); i++) {
    const float *restrict cosine = o->cosine + i * half, *restrict sine = o->sine + i * half;
    for (int64_t h = 0; h < o->r->heads; h++) {
      const int64_t corner = (i * o->r->heads + h) * o->r->width;
      const float *restrict x = o->x + corner;
      float *restrict y = o->y + corner;
      for (int64_t p = 0; p < half; p++) {
        y[p] = x[p] * cosine[p] - x[p + half] * (sign * sine[p]);
        y[p + half] = x[p + half] * cosine[p] + x[p] * (sign * sine[p]);
      }
    }
  }
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  const rotary *r = (const rotary *)node;
  TRY(kif_expect_matrix(call, 0, -1, r->heads * r->width));
  operands o = {.r = r,
                .rows = call->inputs[0].shape[0],
                .x = kif_floats(call, 0),
                .cosine = kif_floats(call, 1),
                .sine = kif_floats(call, 2)};
  TRY(kif_expect_matrix(call, 1, o.rows, r->width / 2));
  TRY(kif_expect_matrix(call, 2, o.rows, r->width / 2));
  TRY(kif_matrix_output(call, 0, o.rows, r->heads * r->width, &o.y));
  return kif_parallel(call, kif_parts(o.rows, BLOCK), block, &o);
}

const kif_operator KIF_OF_TIER(rotary) = {
    .name = "Rotary",
    .inputs = {{"x", ORT_FLOAT, 0}, {"cosine", ORT_FLOAT, 0}, {"sine", ORT_FLOAT, 0}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(rotary),
    .create = create,
    .compute = compute};
