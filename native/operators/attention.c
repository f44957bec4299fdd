/*
 * Attention over sequences of any lengths, one behind the other. For the queries i and keys j of a
 * sequence, and each head h with the keys and values of its group g = h / (H / G):
 *
 *   s[i, j] = scale * q_i . k_j + bias[h, clamp(j - i + (R - 1) / 2, 0, R - 1)]
 *   p[i, j] = exp(s[i, j]) / sum_j exp(s[i, j])      over all keys; causal: over those j <= i
 *   o_i     = sum_j m[i, j] p[i, j] v_j              m the mask of the dropout, or 1
 *   lse_i   = log sum_j exp(s[i, j])
 *
 * and with the gradient go of o:
 *
 *   dv_j = sum_i m p go_i       dp = m * (go_i . v_j)
 *   ds   = scale * p * (dp - go_i . o_i)
 *   dq_i = sum_j ds k_j         dk_j = sum_i ds q_i
 *
 * Forward, o is divided by the sum in the end; the gradient takes p = exp(s - lse). With plain = 1
 * both compute p first, as the softmax operator does: exp(s - max s), divided by their sum; and
 * the gradient takes sum_j p*dp for go_i . o_i, and needs neither o nor lse. i and j count from the sequence's beginning; causal
 * queries are the last ones where there are more keys, as with a key-value cache. A query without
 * keys gives zero.
 *
 * q, o [query rows, H * W], k, v [key rows, G * W], lse [H, query rows]. A few rows of s at a time
 * are held, so that memory grows with the length, not with its square.
 *
 * A sequence may have more keys and values, which come before its own: cached_keys, cached_values
 * [C, G * W] hold them in any order, and cached_rows [cached_offsets of the last] says which rows they
 * are, sequence behind sequence; several sequences may share rows. The gradient knows no cache but k
 * and v themselves, whose rows are those of other sequences in the same call: what all give for a row
 * is added up, sequence after sequence. A sequence of a single query, as in decoding, goes over its
 * keys one by one: then packing them for the products of tiles would cost more than it wins.
 *
 * With precision = bf16 the factors of all products are rounded to bf16 where a sequence has 16 queries
 * or more, counted for each head if all heads share the keys: q, k, v, go, and of what is computed ds and
 * m p (forward without plain, m exp(s - max s)). Everything else stays float32.
 */
#include <math.h>
#include <stdlib.h>

#include "dots.h"
#include "mask.h"

/* Of functions without fused multiply-adds. */
#ifdef __clang__
#define PLAIN_ROUNDING
#else
#define PLAIN_ROUNDING __attribute__((noinline, optimize("fp-contract=off")))
#endif

typedef struct {
  kif_node node;
  int64_t heads, groups, width;
  float scale;
  int causal, plain, bf16;
  kif_dropout dropout;
} attention;

static OrtStatus *create(kif_node *node, const OrtKernelInfo *info) {
  static const char *const precisions[] = {"float32", "bf16", NULL};
  attention *a = (attention *)node;
  TRY(kif_need_int(node, info, "heads", &a->heads));
  TRY(kif_need_int(node, info, "width", &a->width));
  a->groups = kif_int(node, info, "key_heads", a->heads);
  a->scale = kif_float(node, info, "scale", 1);
  a->causal = kif_int(node, info, "causal", 0) != 0;
  a->plain = kif_int(node, info, "plain", 0) != 0;
  if (a->heads < 1 || a->groups < 1 || a->width < 1 || a->heads % a->groups != 0) {
    return kif_refuse(node,
                      "heads, key_heads and width must be positive, heads a multiple of key_heads, "
                      "but are %lld, %lld and %lld",
                      (long long)a->heads, (long long)a->groups, (long long)a->width);
  }
  TRY(kif_word(node, info, "precision", precisions, &a->bf16));
  return dropout_of(node, info, &a->dropout);
}

enum {
  BLOCK_ROWS = 96,          /* rows of queries at a time, a multiple of the rows of a tile */
  BLOCK_SCORES = 96 * 1024, /* and their scores */
  ENOUGH_ROWS = 16,         /* from which on products in parts or in bf16 pay */
  FETCHED = 16              /* floats of a cache line */
};

/* One call, forward or backward. */
typedef struct {
  const attention *a;
  int64_t query_rows, key_rows, sequences;
  const int64_t *query_offsets, *key_offsets, *keys;
  const float *q, *k, *v, *bias;
  const float *cached_keys, *cached_values; /* k and v where there are no others */
  const int64_t *cached_rows, *cached_offsets;
  int64_t references; /* length of cached_rows */
  int64_t distances;
  const int64_t *order; /* of the sequences */
  float *o, *lse;                        /* forward */
  const float *go, *saved_o, *saved_lse; /* backward */
  float *dq, *dk, *dv;
  float *shared_dk, *shared_dv; /* of each reference and group, [references, G * W] */
  int out_of_memory;
} operands;

/* Inputs [first...]: q, k, v; [offsets...]: query_offsets, key_offsets, bias, keys. */
static OrtStatus *read(const kif_node *node, const kif_call *call, int first, int offsets,
                       operands *r) {
  const attention *a = (const attention *)node;
  r->a = a;
  TRY(kif_expect_matrix(call, first, -1, a->heads * a->width));
  TRY(kif_expect_matrix(call, first + 1, -1, a->groups * a->width));
  r->query_rows = call->inputs[first].shape[0];
  r->key_rows = call->inputs[first + 1].shape[0];
  TRY(kif_expect_matrix(call, first + 2, r->key_rows, a->groups * a->width));
  r->q = kif_floats(call, first);
  r->k = kif_floats(call, first + 1);
  r->v = kif_floats(call, first + 2);
  r->cached_keys = r->k;
  r->cached_values = r->v;
  int64_t key_sequences;
  TRY(kif_expect_offsets(call, offsets, r->query_rows, &r->sequences));
  TRY(kif_expect_offsets(call, offsets + 1, r->key_rows, &key_sequences));
  if (r->sequences != key_sequences) {
    return kif_refuse(node, "inputs 'query_offsets' and 'key_offsets' must have one length, but have %lld and %lld",
                      (long long)(r->sequences + 1), (long long)(key_sequences + 1));
  }
  r->query_offsets = kif_ints(call, offsets);
  r->key_offsets = kif_ints(call, offsets + 1);
  if (call->inputs[offsets + 2].present) {
    TRY(kif_expect_matrix(call, offsets + 2, a->heads, -1));
    r->bias = kif_floats(call, offsets + 2);
    r->distances = call->inputs[offsets + 2].shape[1];
    if (r->distances < 1) {
      return kif_refuse(node, "input 'bias' must have a distance, but is [%lld, 0]",
                        (long long)a->heads);
    }
  }
  if (call->inputs[offsets + 3].present && a->dropout.drop_below > 0) {
    TRY(kif_expect_matrix(call, offsets + 3, r->sequences, 3));
    r->keys = kif_ints(call, offsets + 3);
  }
  return NULL;
}

/* The inputs from rows on: cached_rows, cached_offsets; rows of a cache with so many of them. */
static OrtStatus *read_references(const kif_node *node, const kif_call *call, int rows,
                                  int64_t cached, operands *r) {
  TRY(kif_expect_vector(call, rows, -1));
  r->references = call->inputs[rows].shape[0];
  int64_t sequences;
  TRY(kif_expect_offsets(call, rows + 1, r->references, &sequences));
  if (sequences != r->sequences) {
    return kif_refuse(node, "inputs 'query_offsets' and 'cached_offsets' must have one length, but have %lld and %lld",
                      (long long)(r->sequences + 1), (long long)(sequences + 1));
  }
  r->cached_rows = kif_ints(call, rows);
  for (int64_t i = 0; i < r->references; i++) {
    if (r->cached_rows[i] < 0 || r->cached_rows[i] >= cached) {
      return kif_refuse(node, "input 'cached_rows' must be below %lld, the rows of the cache, but has %lld",
                        (long long)cached, (long long)r->cached_rows[i]);
    }
  }
  r->cached_offsets = kif_ints(call, rows + 1);
  return NULL;
}

/* The inputs from CACHED on: cached_keys, cached_values, cached_rows, cached_offsets. */
static OrtStatus *read_cache(const kif_node *node, const kif_call *call, operands *r) {
  enum { CACHED = 7 };
  const int64_t row = r->a->groups * r->a->width;
  for (int i = 1; i < 4; i++) {
    if (call->inputs[CACHED + i].present != call->inputs[CACHED].present) {
      return kif_refuse(node, "inputs 'cached_keys', 'cached_values', 'cached_rows' and "
                              "'cached_offsets' come together");
    }
  }
  if (!call->inputs[CACHED].present) {
    return NULL;
  }
  TRY(kif_expect_matrix(call, CACHED, -1, row));
  const int64_t cached = call->inputs[CACHED].shape[0];
  TRY(kif_expect_matrix(call, CACHED + 1, cached, row));
  r->cached_keys = kif_floats(call, CACHED);
  r->cached_values = kif_floats(call, CACHED + 1);
  return read_references(node, call, CACHED + 2, cached, r);
}

/* What one head of one sequence is about. */
typedef struct {
  int64_t head, queries, keys, stride; /* stride: of a row of scores */
  int64_t first_key;                   /* of its own keys, the row */
  int64_t cached;                      /* keys before those, in these rows of the cache */
  const int64_t *cached_rows;
  int64_t ahead;                       /* of key positions to query positions */
  int64_t together;                    /* heads whose rows of queries are multiplied as one matrix */
  int64_t rows, row;                   /* of that matrix, and from one to the next */
  held how;                            /* the factors of its products */
  kif_key key;
} part;

/* How many keys query i sees. */
INLINE int64_t visible(const operands *r, const part *p, int64_t i) {
  return r->a->causal ? kif_max(0, kif_min(p->keys, i + p->ahead + 1)) : p->keys;
}

/* The biases of LANES keys, the first of them at that place of the table, which may lie outside. */
INLINE vec biases(const float *table, int64_t last, int64_t place) {
  if (place >= 0 && place + LANES - 1 <= last) {
    return load(table + place);
  }
  if (place >= last || place + LANES - 1 <= 0) {
    return splat(table[place < 0 ? 0 : last]);
  }
  float lanes[LANES];
  for (int i = 0; i < LANES; i++) {
    lanes[i] = table[kif_max(0, kif_min(place + i, last))];
  }
  return load(lanes);
}

/* s[j] = scale * s[j] + bias for the visible keys, and minus infinity up to the end of the row. */
static void scores(const operands *r, const part *p, int64_t i, int64_t keys, float *s) {
  const vec scale = splat(r->a->scale);
  if (r->bias == NULL) {
    for (int64_t j = 0; j < keys; j += LANES) {
      store(s + j, scale * load(s + j));
    }
  } else {
    const float *bias = r->bias + p->head * r->distances;
    const int64_t last = r->distances - 1, shift = last / 2 - i - p->ahead;
    for (int64_t j = 0; j < keys; j += LANES) {
      store(s + j, scale * load(s + j) + biases(bias, last, j + shift));
    }
  }
  for (int64_t j = keys; j < p->stride; j++) {
    s[j] = -INFINITY;
  }
}

/*
 * Makes exp(s - largest) of scores, which are probabilities times *sum, and returns the largest; all
 * zero, with sum 1, where there are no keys.
 */
static float exponentials(float *s, int64_t stride, float *sum) {
  vec most = splat(-INFINITY);
  for (int64_t j = 0; j < stride; j += LANES) {
    most = larger(load(s + j), most);
  }
  const float largest = largest_of(most);
  if (largest == -INFINITY) { /* no keys */
    memset(s, 0, sizeof(float) * (size_t)stride);
    *sum = 1;
    return -INFINITY;
  }
  vec total = splat(0);
  for (int64_t j = 0; j < stride; j += LANES) {
    vec e = exponential(load(s + j) - splat(largest));
    total += e;
    store(s + j, e);
  }
  *sum = sum_of(total);
  return largest;
}

/* By one division, as the softmax operator does it. */
static void divide(float *v, int64_t count, float divisor) {
  const float factor = 1 / divisor;
  for (int64_t j = 0; j < count; j++) {
    v[j] *= factor;
  }
}

static part part_of(const operands *r, int64_t sequence) {
  part p = {.queries = r->query_offsets[sequence + 1] - r->query_offsets[sequence],
            .keys = r->key_offsets[sequence + 1] - r->key_offsets[sequence],
            .first_key = r->key_offsets[sequence]};
  if (r->cached_offsets != NULL) {
    p.cached = r->cached_offsets[sequence + 1] - r->cached_offsets[sequence];
    p.cached_rows = r->cached_rows + r->cached_offsets[sequence];
    p.keys += p.cached;
  }
  p.stride = kif_parts(p.keys, PANEL) * PANEL;
  /* Where all heads share keys, query behind query has the rows of its heads one behind the other. */
  p.together = r->a->groups == 1 ? r->a->heads : 1;
  p.rows = p.queries * p.together;
  p.row = r->a->heads / p.together * r->a->width;
  p.how = p.rows < ENOUGH_ROWS ? FLOAT32 : r->a->bf16 ? BF16 : HELD_BY_MANY_ROWS;
  p.ahead = r->a->causal ? p.keys - p.queries : 0;
  if (r->keys != NULL) {
    p.key = key_of(r->keys, sequence);
  }
  return p;
}

/* Rows of queries whose scores are held at a time. */
static int64_t block_rows(const part *p) {
  int64_t rows = p->stride == 0 ? BLOCK_ROWS : BLOCK_SCORES / p->stride / TILE_ROWS * TILE_ROWS;
  return kif_max(TILE_ROWS, kif_min(BLOCK_ROWS, rows));
}

static void mask_scores(const operands *r, const part *p, int64_t i, int64_t keys, float *mask) {
  mask_row(&r->a->dropout, p->key.key, p->key.plane * r->a->heads + p->head, p->key.first + i,
           p->key.first, keys, mask);
}

/* Where the elements of key or value j are; cache and rows from the group's first column on. */
INLINE const float *row_of(const part *p, const float *cache, const float *rows, int64_t row_size,
                           int64_t j) {
  return j < p->cached ? cache + p->cached_rows[j] * row_size
                       : rows + (p->first_key + j - p->cached) * row_size;
}

/* Scores of the only query: s[j] = q . k_j, LANES keys at a time, the next ones on their way. */
static void single_scores(const part *p, const float *cache, const float *rows, int64_t row_size,
                          const float *q, int64_t width, float *s) {
  int64_t j = 0;
  for (; j + LANES <= p->keys; j += LANES) {
    const float *key[LANES];
    vec sums[LANES];
    for (int i = 0; i < LANES; i++) {
      key[i] = row_of(p, cache, rows, row_size, j + i);
      const float *next = row_of(p, cache, rows, row_size, kif_min(j + i + LANES, p->keys - 1));
      for (int64_t k = 0; k < width; k += FETCHED) {
        __builtin_prefetch(next + k, 0, 2);
      }
      sums[i] = splat(0);
    }
    int64_t k = 0;
    for (; k + LANES <= width; k += LANES) {
      const vec factor = load(q + k);
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++) {
        sums[i] = factor * load(key[i] + k) + sums[i];
      }
    }
    for (int i = 0; k < width && i < LANES; i++) {
      sums[i] = load_some(q + k, width - k) * load_some(key[i] + k, width - k) + sums[i];
    }
    store(s + j, sums_of(sums));
  }
  for (; j < p->keys; j++) {
    s[j] = dot(q, row_of(p, cache, rows, row_size, j), width);
  }
}

/* o = sum_j p[j] v_j over some vectors of columns, which stay in registers. */
INLINE void mix(const int vectors, const part *p, const float *cache, const float *rows,
                int64_t row_size, const float *probabilities, float *o) {
  vec sums[4];
#pragma GCC unroll 4
  for (int n = 0; n < vectors; n++) {
    sums[n] = splat(0);
  }
  for (int64_t j = 0; j < p->keys; j++) {
    const float *value = row_of(p, cache, rows, row_size, j);
    const float *next = row_of(p, cache, rows, row_size, kif_min(j + LANES, p->keys - 1));
    const vec factor = splat(probabilities[j]);
#pragma GCC unroll 4
    for (int n = 0; n < vectors; n++) {
      __builtin_prefetch(next + n * LANES, 0, 2);
      sums[n] = factor * load(value + n * LANES) + sums[n];
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < vectors; n++) {
    store(o + n * LANES, sums[n]);
  }
}

/*
 * The same as forward_single where several heads share keys that are not cached, without dropout: all
 * heads at once, so that keys and values are read once and not once for each head.
 */
static void forward_sharing(operands *r, part *p, int64_t first, int64_t group) {
  const attention *a = r->a;
  const int64_t width = a->width, sharing = a->heads / a->groups, row_size = a->groups * width,
                corner = p->first_key * row_size + group * width,
                begin = (first * a->heads + group * sharing) * width;
  float *s = malloc(sizeof(float) * (size_t)(sharing * p->stride + 1));
  if (s == NULL) {
    r->out_of_memory = 1;
    return;
  }
  multiply_dots(sharing, p->keys, width, (left){r->q + begin, NULL, width}, r->k + corner, row_size,
                s, p->stride);
  for (int64_t h = 0; h < sharing; h++) {
    float *row = s + h * p->stride, sum;
    p->head = group * sharing + h;
    scores(r, p, 0, p->keys, row);
    const float largest = exponentials(row, p->stride, &sum);
    if (r->lse != NULL) {
      r->lse[p->head * r->query_rows + first] = largest + logf(sum);
    }
    divide(row, p->stride, sum);
  }
  multiply_mixtures(sharing, width, p->keys, s, p->stride, r->v + corner, row_size, r->o + begin,
                    width);
  free(s);
}

/* The one query of a sequence, which sees all keys, of the heads of one group. */
static void forward_single(operands *r, part *p, int64_t first, int64_t group) {
  const attention *a = r->a;
  const int64_t width = a->width, sharing = a->heads / a->groups, k_row = a->groups * width,
                column = group * width;
  const float *cached_keys = r->cached_keys + column, *cached_values = r->cached_values + column,
              *k = r->k + column, *v = r->v + column;
  float *s = malloc(sizeof(float) * (size_t)(2 * p->stride + 1));
  if (s == NULL) {
    r->out_of_memory = 1;
    return;
  }
  for (p->head = group * sharing; p->head < (group + 1) * sharing; p->head++) {
    const int64_t corner = (first * a->heads + p->head) * width;
    const float *q = r->q + corner;
    single_scores(p, cached_keys, k, k_row, q, width, s);
    scores(r, p, 0, p->keys, s);
    float sum;
    const float largest = exponentials(s, p->stride, &sum);
    if (r->lse != NULL) {
      r->lse[p->head * r->query_rows + first] = largest + logf(sum);
    }
    divide(s, p->stride, sum);
    if (r->keys != NULL) {
      float *mask = s + p->stride;
      mask_scores(r, p, 0, p->keys, mask);
      for (int64_t j = 0; j < p->keys; j++) {
        s[j] *= mask[j];
      }
    }
    float *o = r->o + corner;
    int64_t n = 0;
    for (; n + 4 * LANES <= width; n += 4 * LANES) {
      mix(4, p, cached_values + n, v + n, k_row, s, o + n);
    }
    for (; n + LANES <= width; n += LANES) {
      mix(1, p, cached_values + n, v + n, k_row, s, o + n);
    }
    for (; n < width; n++) {
      float sum_of_column = 0;
      for (int64_t j = 0; j < p->keys; j++) {
        sum_of_column += s[j] * *row_of(p, cached_values + n, v + n, k_row, j);
      }
      o[n] = sum_of_column;
    }
  }
  free(s);
}

/* The keys or values of a part as rows one behind the other, gathered where some are cached. */
static const float *gathered(const part *p, int64_t width, const float *cache, const float *rows,
                             int64_t row_size, float *target, int64_t *stride) {
  if (p->cached == 0) {
    *stride = row_size;
    return rows + p->first_key * row_size;
  }
  for (int64_t j = 0; j < p->keys; j++) {
    memcpy(target + j * width, row_of(p, cache, rows, row_size, j), sizeof(float) * (size_t)width);
  }
  *stride = width;
  return target;
}

static void forward(void *data, size_t number) {
  operands *r = data;
  const attention *a = r->a;
  const int64_t width = a->width, sequence = r->order[(int64_t)number / a->groups],
                group = (int64_t)number % a->groups, sharing = a->heads / a->groups,
                k_row = a->groups * width;
  part p = part_of(r, sequence);
  const int64_t first = r->query_offsets[sequence], most = block_rows(&p);
  if (p.queries == 0) {
    return;
  }
  if (p.queries == 1) {
    (sharing > 1 && p.cached == 0 && r->keys == NULL ? forward_sharing : forward_single)(
        r, &p, first, group);
    return;
  }
  const int64_t key_size = right_size(p.how, width, p.keys),
                value_size = right_size(p.how, p.keys, width),
                gathered_size = p.cached == 0 ? 0 : p.keys * width;
  float *scratch = kif_take((int64_t)sizeof(float) * (key_size + value_size + aside_size(p.how) +
                                                      gathered_size + (most + 1) * p.stride));
  if (scratch == NULL) {
    r->out_of_memory = 1;
    return;
  }
  float *packed_keys = scratch, *packed_values = packed_keys + key_size,
        *aside = packed_values + value_size, *s = aside + aside_size(p.how),
        *mask = s + most * p.stride, *together = mask + p.stride;
  const int64_t column = group * width;
  int64_t stride;
  const float *rows = gathered(&p, width, r->cached_keys + column, r->k + column, k_row, together, &stride);
  right_of_columns(p.how, rows, stride, width, p.keys, packed_keys);
  rows = gathered(&p, width, r->cached_values + column, r->v + column, k_row, together, &stride);
  right_of_rows(p.how, rows, stride, p.keys, width, packed_values);
  const panels keys = {packed_keys, packed_depth(width, p.how)},
               values = {packed_values, packed_depth(p.keys, p.how)};
  float sums[BLOCK_ROWS];
  for (int64_t head = group * sharing; head < (group + 1) * sharing; head += p.together) {
    const int64_t corner = (first * a->heads + head) * width;
    for (int64_t begin = 0; begin < p.rows; begin += most) {
      const int64_t rows = kif_min(most, p.rows - begin);
      const int64_t seen = visible(r, &p, (begin + rows - 1) / p.together);
      multiply_held(p.how, 0, rows, seen, width, r->q + corner + begin * p.row, p.row, keys, s,
                    p.stride, 0, aside);
      for (int64_t n = 0; n < rows; n++) {
        float *row = s + n * p.stride, *sum = sums + n;
        const int64_t i = (begin + n) / p.together, mine = visible(r, &p, i);
        p.head = head + (begin + n) % p.together;
        scores(r, &p, i, mine, row);
        const float largest = exponentials(row, p.stride, sum);
        if (r->lse != NULL) {
          r->lse[p.head * r->query_rows + first + i] = largest + logf(*sum);
        }
        if (a->plain) {
          divide(row, p.stride, *sum);
        }
        if (r->keys != NULL) {
          mask_scores(r, &p, i, mine, mask);
          for (int64_t j = 0; j < mine; j++) {
            row[j] *= mask[j];
          }
        }
      }
      float *o = r->o + corner + begin * p.row;
      multiply_held(p.how, 0, rows, width, seen, s, p.stride, values, o, p.row, 0, aside);
      for (int64_t n = 0; n < rows && !a->plain; n++) {
        divide(o + n * p.row, width, sums[n]);
      }
    }
  }
  kif_give(scratch);
}

/*
 * Turns dp into ds, rounding as the operators of the plain graph do, one after the other: where the
 * sum cancels, what is left is that rounding, which Adam turns into steps as large as any.
 */
PLAIN_ROUNDING static void softmax_gradient(const float *restrict p, int64_t keys, float scale,
                                            float *restrict dp) {
#ifdef __clang__
#pragma clang fp contract(off)
#endif
  vec sums = splat(0);
  int64_t j = 0;
  for (; j + LANES <= keys; j += LANES) {
    const vec product = load(p + j) * load(dp + j);
    store(dp + j, product);
    sums += product;
  }
  float sum = sum_of(sums);
  for (; j < keys; j++) {
    dp[j] = p[j] * dp[j];
    sum += dp[j];
  }
  for (j = 0; j < keys; j++) {
    dp[j] = scale * (dp[j] - p[j] * sum);
  }
}

/* Turns a row of scores and its dp into what dv is made of and into ds; mask may be NULL. */
static void differentiate(const operands *r, const part *p, int64_t i, int64_t keys,
                          int64_t first, float *restrict s, float *restrict dp,
                          float *restrict mask) {
  const attention *a = r->a;
  scores(r, p, i, keys, s);
  if (a->plain) {
    float sum;
    exponentials(s, p->stride, &sum);
    divide(s, p->stride, sum);
  } else {
    const vec lse = splat(r->saved_lse[p->head * r->query_rows + first + i]);
    for (int64_t j = 0; j < keys; j += LANES) {
      store(s + j, exponential(load(s + j) - lse));
    }
  }
  const float scale = a->scale;
  if (r->keys != NULL) {
    mask_scores(r, p, i, keys, mask);
    for (int64_t j = 0; j < keys; j++) {
      dp[j] *= mask[j];
    }
  }
  if (a->plain) {
    softmax_gradient(s, keys, scale, dp);
  } else { /* go . o is the sum of all p*dp */
    const int64_t corner = (first + i) * a->heads * a->width + p->head * a->width;
    const float delta = dot(r->go + corner, r->saved_o + corner, a->width);
    for (int64_t j = 0; j < keys; j++) {
      dp[j] = scale * (s[j] * (dp[j] - delta));
    }
  }
  if (r->keys != NULL) {
    for (int64_t j = 0; j < keys; j++) {
      s[j] *= mask[j];
    }
  }
  for (int64_t j = keys; j < p->stride; j++) {
    s[j] = 0;
    dp[j] = 0;
  }
}

/* Where the gradients of a part's keys and values are added up: in their rows, or aside where some
 * rows are shared. */
typedef struct {
  float *dk, *dv;
  int64_t stride;
} key_gradients;

/* From aside to the sequence's own rows, and to those of its references; dk or dv. */
static void spread(const operands *r, const part *p, int64_t group, const float *aside, float *own,
                   float *references) {
  const int64_t width = r->a->width, row = r->a->groups * width, column = group * width,
                reference = p->cached_rows - r->cached_rows;
  for (int64_t j = 0; j < p->keys && own != NULL; j++) {
    const int shared = j < p->cached;
    const int64_t to = (shared ? reference + j : p->first_key + j - p->cached) * row + column;
    memcpy((shared ? references : own) + to, aside + j * width, sizeof(float) * (size_t)width);
  }
}

/* Adds what the sequences gave for the rows that they share, of one group. */
static void add_shared(void *data, size_t group) {
  const operands *r = data;
  const int64_t width = r->a->width, row = r->a->groups * width;
  for (int64_t i = 0; i < r->references; i++) {
    const int64_t from = i * row + (int64_t)group * width,
                  to = r->cached_rows[i] * row + (int64_t)group * width;
    for (int64_t n = 0; n < width && r->dk != NULL; n++) {
      r->dk[to + n] += r->shared_dk[from + n];
    }
    for (int64_t n = 0; n < width && r->dv != NULL; n++) {
      r->dv[to + n] += r->shared_dv[from + n];
    }
  }
}

static void clear_rows(float *rows, int64_t stride, int64_t count, int64_t width) {
  for (int64_t j = 0; j < count && rows != NULL; j++) {
    memset(rows + j * stride, 0, sizeof(float) * (size_t)width);
  }
}

static void backward(void *data, size_t number) {
  operands *r = data;
  const attention *a = r->a;
  const int64_t width = a->width, sequence = r->order[(int64_t)number / a->groups],
                group = (int64_t)number % a->groups, sharing = a->heads / a->groups,
                k_row = a->groups * width, column = group * width;
  part p = part_of(r, sequence);
  const int64_t first = r->query_offsets[sequence], most = block_rows(&p);
  const int64_t column_size = right_size(p.how, width, p.keys),
                row_size = right_size(p.how, p.keys, width),
                block_size = right_size(p.how, most, width),
                gathered_size = p.cached == 0 ? 0 : p.keys * width;
  float *scratch = kif_take((int64_t)sizeof(float) *
                            (2 * column_size + row_size + block_size + aside_size(p.how) +
                             (2 * most + 1) * p.stride + 3 * gathered_size));
  if (scratch == NULL) {
    r->out_of_memory = 1;
    return;
  }
  float *packed_keys = scratch, *packed_values = packed_keys + column_size,
        *packed_key_rows = packed_values + column_size, *packed_block = packed_key_rows + row_size,
        *aside = packed_block + block_size, *s = aside + aside_size(p.how),
        *dp = s + most * p.stride, *mask = dp + most * p.stride, *together = mask + p.stride;
  key_gradients to = {r->dk, r->dv, k_row};
  if (p.cached > 0) {
    to = (key_gradients){together + gathered_size, together + 2 * gathered_size, width};
  } else {
    const int64_t corner = p.first_key * k_row + column;
    to.dk = r->dk == NULL ? NULL : r->dk + corner;
    to.dv = r->dv == NULL ? NULL : r->dv + corner;
  }
  clear_rows(to.dk, to.stride, p.keys, width);
  clear_rows(to.dv, to.stride, p.keys, width);
  int64_t stride;
  const float *rows =
      gathered(&p, width, r->cached_keys + column, r->k + column, k_row, together, &stride);
  right_of_columns(p.how, rows, stride, width, p.keys, packed_keys);
  right_of_rows(p.how, rows, stride, p.keys, width, packed_key_rows);
  rows = gathered(&p, width, r->cached_values + column, r->v + column, k_row, together, &stride);
  right_of_columns(p.how, rows, stride, width, p.keys, packed_values);
  const int64_t depth = packed_depth(width, p.how);
  const panels keys = {packed_keys, depth}, values = {packed_values, depth},
               key_rows = {packed_key_rows, packed_depth(p.keys, p.how)};
  for (int64_t head = group * sharing; head < (group + 1) * sharing; head += p.together) {
    const int64_t corner = (first * a->heads + head) * width;
    for (int64_t begin = 0; begin < p.rows; begin += most) {
      const int64_t rows = kif_min(most, p.rows - begin), block = corner + begin * p.row;
      const int64_t seen = visible(r, &p, (begin + rows - 1) / p.together);
      const panels packed = {packed_block, packed_depth(rows, p.how)};
      multiply_held(p.how, 0, rows, seen, width, r->q + block, p.row, keys, s, p.stride, 0, aside);
      multiply_held(p.how, 0, rows, seen, width, r->go + block, p.row, values, dp, p.stride, 0,
                    aside);
      for (int64_t n = 0; n < rows; n++) {
        const int64_t row = n * p.stride, i = (begin + n) / p.together;
        p.head = head + (begin + n) % p.together;
        differentiate(r, &p, i, visible(r, &p, i), first, s + row, dp + row, mask);
      }
      if (r->dq != NULL) {
        multiply_held(p.how, 0, rows, width, seen, dp, p.stride, key_rows, r->dq + block, p.row, 0,
                      aside);
      }
      if (r->dv != NULL) {
        right_of_rows(p.how, r->go + block, p.row, rows, width, packed_block);
        multiply_held(p.how, 1, seen, width, rows, s, p.stride, packed, to.dv, to.stride, 1, aside);
      }
      if (r->dk != NULL) {
        right_of_rows(p.how, r->q + block, p.row, rows, width, packed_block);
        multiply_held(p.how, 1, seen, width, rows, dp, p.stride, packed, to.dk, to.stride, 1,
                      aside);
      }
    }
  }
  if (p.cached > 0) {
    spread(r, &p, group, to.dk, r->dk, r->shared_dk);
    spread(r, &p, group, to.dv, r->dv, r->shared_dv);
  }
  kif_give(scratch);
}

/* Scores of a sequence, but for a cache. */
static int64_t size_of(const operands *r, int64_t sequence) {
  return (r->query_offsets[sequence + 1] - r->query_offsets[sequence]) *
         (r->key_offsets[sequence + 1] - r->key_offsets[sequence]);
}

/* The longest sequences come first, so that threads end together. */
static OrtStatus *run(const kif_call *call, operands *r, void (*task)(void *, size_t)) {
  int64_t *order = malloc(sizeof(int64_t) * (size_t)(r->sequences + 1));
  if (order == NULL) {
    return kif_out_of_memory(call->node);
  }
  for (int64_t b = 0; b < r->sequences; b++) {
    int64_t at = b;
    for (; at > 0 && size_of(r, b) > size_of(r, order[at - 1]); at--) {
      order[at] = order[at - 1];
    }
    order[at] = b;
  }
  r->order = order;
  OrtStatus *status = kif_parallel(call, r->sequences * r->a->groups, task, r);
  free(order);
  TRY(status);
  return r->out_of_memory ? kif_out_of_memory(call->node) : NULL;
}

static OrtStatus *compute(const kif_node *node, kif_call *call) {
  operands r = {0};
  TRY(read(node, call, 0, 3, &r));
  TRY(read_cache(node, call, &r));
  TRY(kif_matrix_output(call, 0, r.query_rows, r.a->heads * r.a->width, &r.o));
  TRY(kif_matrix_output(call, 1, r.a->heads, r.query_rows, &r.lse));
  return r.o == NULL || r.query_rows == 0 ? NULL : run(call, &r, forward);
}

static OrtStatus *compute_grad(const kif_node *node, kif_call *call) {
  enum { GO, Q, K, V, O, LSE, OFFSETS, ROWS = OFFSETS + 4 };
  operands r = {0};
  TRY(read(node, call, Q, OFFSETS, &r));
  const int64_t heads = r.a->heads, width = r.a->width, groups = r.a->groups;
  TRY(kif_expect_matrix(call, GO, r.query_rows, heads * width));
  r.go = kif_floats(call, GO);
  if (!r.a->plain) {
    if (!call->inputs[O].present || !call->inputs[LSE].present) {
      return kif_refuse(node, "with plain = 0 it needs the inputs 'o' and 'lse'");
    }
    TRY(kif_expect_matrix(call, O, r.query_rows, heads * width));
    TRY(kif_expect_matrix(call, LSE, heads, r.query_rows));
    r.saved_o = kif_floats(call, O);
    r.saved_lse = kif_floats(call, LSE);
  }
  if (call->inputs[ROWS].present != call->inputs[ROWS + 1].present) {
    return kif_refuse(node, "inputs 'cached_rows' and 'cached_offsets' come together");
  }
  if (call->inputs[ROWS].present) {
    TRY(read_references(node, call, ROWS, r.key_rows, &r));
  }
  TRY(kif_matrix_output(call, 0, r.query_rows, heads * width, &r.dq));
  TRY(kif_matrix_output(call, 1, r.key_rows, groups * width, &r.dk));
  TRY(kif_matrix_output(call, 2, r.key_rows, groups * width, &r.dv));
  if (r.references == 0 || (r.dk == NULL && r.dv == NULL)) {
    return run(call, &r, backward);
  }
  const int64_t shared = r.references * groups * width;
  r.shared_dk = kif_take((int64_t)sizeof(float) * 2 * shared);
  r.shared_dv = r.shared_dk + shared;
  if (r.shared_dk == NULL) {
    return kif_out_of_memory(node);
  }
  OrtStatus *status = run(call, &r, backward);
  if (status == NULL) {
    status = kif_parallel(call, groups, add_shared, &r);
  }
  kif_give(r.shared_dk);
  return status;
}

const kif_operator KIF_OF_TIER(packed_attention) = {
    .name = "PackedAttention",
    .inputs = {{"q", ORT_FLOAT, 0},
               {"k", ORT_FLOAT, 0},
               {"v", ORT_FLOAT, 0},
               {"query_offsets", ORT_INT64, 0},
               {"key_offsets", ORT_INT64, 0},
               {"bias", ORT_FLOAT, 1},
               {"keys", ORT_INT64, 1},
               {"cached_keys", ORT_FLOAT, 1},
               {"cached_values", ORT_FLOAT, 1},
               {"cached_rows", ORT_INT64, 1},
               {"cached_offsets", ORT_INT64, 1}},
    .outputs = {{"o", ORT_FLOAT, 0}, {"lse", ORT_FLOAT, 1}},
    .node_size = sizeof(attention),
    .create = create,
    .compute = compute};

const kif_operator KIF_OF_TIER(packed_attention_grad) = {
    .name = "PackedAttentionGrad",
    .inputs = {{"go", ORT_FLOAT, 0},
               {"q", ORT_FLOAT, 0},
               {"k", ORT_FLOAT, 0},
               {"v", ORT_FLOAT, 0},
               {"o", ORT_FLOAT, 1},
               {"lse", ORT_FLOAT, 1},
               {"query_offsets", ORT_INT64, 0},
               {"key_offsets", ORT_INT64, 0},
               {"bias", ORT_FLOAT, 1},
               {"keys", ORT_INT64, 1},
               {"cached_rows", ORT_INT64, 1},
               {"cached_offsets", ORT_INT64, 1}},
    .outputs = {{"dq", ORT_FLOAT, 1}, {"dk", ORT_FLOAT, 1}, {"dv", ORT_FLOAT, 1}},
    .node_size = sizeof(attention),
    .create = create,
    .compute = compute_grad};
