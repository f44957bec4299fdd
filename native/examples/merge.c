/*
 * Scores two arrays of importances and merges what was learned anew with what was learned before.
 *
 *   cc $(pkg-config --cflags kif) merge.c $(pkg-config --libs kif) -o merge && ./merge
 */
#include <kif.h>
#include <stdio.h>

enum { N = 8 };

static int failed(const char *what, int32_t status) {
  if (status != KIF_OK) {
    fprintf(stderr, "%s: %s\n", what, kif_status_text(status));
  }
  return status != KIF_OK;
}

int main(void) {
  if (kif_abi_version() != KIF_ABI_VERSION) {
    fprintf(stderr, "this program needs ABI %d of libkif, not %d\n", KIF_ABI_VERSION,
            (int)kif_abi_version());
    return 1;
  }
  /* The base, the weights after earlier tasks (snapshot), and the weights after the new one. */
  float base[N] = {0};
  const float snapshot[N] = {1, 1, 1, 1, 1, 1, 1, 1};
  float weights[N] = {3, 3, 3, 3, 3, 3, 3, 3};
  /* How much each weight matters to the new task (inner) and to the earlier ones (outer). */
  float inner[N] = {1, 2, 3, 4, 5, 6, 7, 8};
  float outer[N] = {8, 1, 7, 2, 6, 3, 5, 4};
  /* The factors of (snapshot - base) and of (weights - snapshot). */
  const kif_merge_rule rule = {
    .score = KIF_SENSITIVITY,
    .shared = {0.5f, 0.5f},
    .new_only = {0, 1},
    .old_only = {1, 0},
    .redundant = {0, 0},
  };

  kif_context *context = NULL;
  float inner_threshold = 0, outer_threshold = 0;
  int64_t counts[4] = {0};
  int bad = failed("kif_context_create", kif_context_create(2, KIF_ISA_BEST, &context));
  if (!bad) {
    bad = failed("kif_threshold", kif_threshold(context, inner, NULL, rule.score, 0.5, NULL, 0, N,
                                                0, &inner_threshold)) ||
          failed("kif_threshold", kif_threshold(context, outer, NULL, rule.score, 0.5, NULL, 0, N,
                                                0, &outer_threshold)) ||
          failed("kif_mask_counts",
                 kif_mask_counts(context, inner, NULL, outer, NULL, &inner_threshold,
                                 &outer_threshold, rule.score, NULL, 0, N, 0, counts)) ||
          failed("kif_merge",
                 kif_merge(context, weights, base, snapshot, inner, NULL, outer, NULL,
                           &inner_threshold, &outer_threshold, NULL, 0, &rule, N));
  }
  kif_context_destroy(context);
  if (bad) {
    return 1;
  }
  printf("thresholds %g %g\n", (double)inner_threshold, (double)outer_threshold);
  printf("shared %d, new %d, old %d, redundant %d\n", (int)counts[0], (int)counts[1],
         (int)counts[2], (int)counts[3]);
  for (int i = 0; i < N; i++) {
    printf("%g%c", (double)weights[i], i + 1 < N ? ' ' : '\n');
  }
  return 0;
}
