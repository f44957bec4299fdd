/*
 * The gated feed-forward's middle and its gradient, element by element:
 *
 *   Gate      y = f(a) * b
 *   GateGrad  da = g * b * f'(a), db = g * f(a)
 *
 * f by the attribute activation:
 *   silu      f(a) = a s, s = 1 / (1 + exp(-a));  f'(a) = s (1 + a (1 - s))
 *   gelu_new  f(a) = a s, s = 1 / (1 + exp(-2 u)), u = sqrt(2 / pi) (a + 0.044715 a^3), which is
 *             a / 2 (1 + tanh u);  f'(a) = s + 2 a s (1 - s) sqrt(2 / pi) (1 + 0.134145 a^2)
 *   relu      f(a) = max(a, 0);  f'(0) = 0
 *
 * All tensors [N, F].
 */
#include "vector.h"

enum { BLOCK = 1 << 13 };

enum { SILU, GELU_NEW, RELU };

typedef struct {
  kif_node node;
  int activation;
} gate;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  static const char *const activations[] = {"silu", "gelu_new", "relu", NULL};
  return kif_word(node, info, "activation", activations, &((gate *)node)->activation);
}

INLINE vec sigmoid(vec x) {
  const vec most = splat(88); /* of the exponential; the sigmoid of -88 is 6e-39 */
  return splat(1) / (splat(1) + exponential(choose(-x > most, most, -x)));
}

/* f(a), and f'(a). */
INLINE vec activated(const int activation, vec a, vec *derivative) {
  if (activation == RELU) {
    const ivec positive = a > splat(0);
    *derivative = choose(positive, splat(1), splat(0));
    return choose(positive, a, splat(0));
  }
  if (activation == SILU) {
    const vec s = sigmoid(a);
    *derivative = s * (splat(1) + a * (splat(1) - s));
    return a * s;
  }
  const vec twice = splat(1.5957691216057308f); /* 2 sqrt(2 / pi) */
  const vec s = sigmoid(twice * (a + splat(0.044715f) * a * a * a));
  *derivative = s + a * s * (splat(1) - s) * twice * (splat(1) + splat(0.134145f) * a * a);
  return a * s;
}

typedef struct {
  int activation;
  int64_t count;
  const float *g, *a, *b;
  float *y, *da, *db;
} operands;

INLINE void elements(const operands *o, const int activation, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += LANES) {
    const int64_t count = kif_min(LANES, end - i);
    vec derivative;
    const vec b = count == LANES ? load(o->b + i) : load_some(o->b + i, count);
    const vec f = activated(
        activation, count == LANES ? load(o->a + i) : load_some(o->a + i, count), &derivative);
    if (o->g == NULL) {
      store_some(o->y + i, f * b, count);
      continue;
    }
    const vec g = load_some(o->g + i, count);
    store_some(o->da + i, g * b * derivative, count);
    store_some(o->db + i, g * f, count);
  }
}

static void block(void *data, size_t number) {
  const operands *o = data;
  const int64_t begin = (int64_t)number * BLOCK, end = kif_min(begin + BLOCK, o->count);
  switch (o->activation) {
    case SILU:
      elements(o, SILU, begin, end);
      break;
    case GELU_NEW:
      elements(o, GELU_NEW, begin, end);
      break;
    default:
      elements(o, RELU, begin, end);
  }
}

static OrtStatus *run(const kif_node *node, kif_call *call, int first, operands *o) {
  TRY(kif_expect_matrix(call, 0, -1, -1));
  const int64_t rows = call->inputs[0].shape[0], columns = call->inputs[0].shape[1];
  for (int i = 1; i < first + 2; i++) {
    TRY(kif_expect_matrix(call, i, rows, columns));
  }
  o->activation = ((const gate *)node)->activation;
  o->count = rows * columns;
  o->a = kif_floats(call, first);
  o->b = kif_floats(call, first + 1);
  if (first == 0) {
    TRY(kif_matrix_output(call, 0, rows, columns, &o->y));
  } else {
    o->g = kif_floats(call, 0);
    TRY(kif_matrix_output(call, 0, rows, columns, &o->da));
    TRY(kif_matrix_output(call, 1, rows, columns, &o->db));
  }
  return kif_parallel(call, kif_parts(o->count, BLOCK), block, o);
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  operands o = {0};
  return run(node, call, 0, &o);
}

static OrtStatus *compute_grad(const kif_node *node, kif_call *call) {
  operands o = {0};
  return run(node, call, 1, &o);
}

const kif_operator KIF_OF_TIER(gate) = {
    .name = "Gate",
    .inputs = {{"a", ORT_FLOAT, 0}, {"b", ORT_FLOAT, 0}},
    .outputs = {{"y", ORT_FLOAT, 0}},
    .node_size = sizeof(gate),
    .create = create,
    .compute = compute};

const kif_operator KIF_OF_TIER(gate_grad) = {
    .name = "GateGrad",
    .inputs = {{"g", ORT_FLOAT, 0}, {"a", ORT_FLOAT, 0}, {"b", ORT_FLOAT, 0}},
    .outputs = {{"da", ORT_FLOAT, 0}, {"db", ORT_FLOAT, 0}},
    .node_size = sizeof(gate),
    .create = create,
    .compute = compute_grad};
