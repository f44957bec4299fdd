/*
 * Runs one kernel of faults.cu, or all kernels of the product over some sizes, under whatever
 * sanitizer this was compiled with:
 *
 *   check fault NAME [SEED]      status 0 if the kernel ran and gave what it should
 *   check kernels [SEED]         status 0 if nothing was noticed and all variants agree
 *
 * That the kernels give the right bits is tested from Java; here sanitizers watch them.
 */
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

extern "C" {
const char *emulator_error();
void emulator_order(uint64_t seed);
char *emulator_allocate(size_t bytes);
int emulator_free(char *device);
int emulator_copy(int kind, char *to, const char *from, size_t bytes);
int emulator_launch(const char *name, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                    void **arguments);
int emulator_launch_cooperative(const char *name, unsigned, unsigned, unsigned, unsigned, unsigned,
                                unsigned, void **arguments);
}

namespace {

constexpr unsigned THREADS = 256;
int failures;

struct Device {
  char *address;
  size_t bytes;
  explicit Device(size_t size) : address(emulator_allocate(size)), bytes(size) {}
  Device(const Device &) = delete;
  ~Device() { emulator_free(address); }
  void clear() { emulator_copy(3, address, nullptr, bytes); }
  template <class T>
  std::vector<T> get() const {
    std::vector<T> values(bytes / sizeof(T));
    emulator_copy(1, reinterpret_cast<char *>(values.data()), address, bytes);
    return values;
  }
  void set(const std::vector<float> &values) {
    emulator_copy(0, address, reinterpret_cast<const char *>(values.data()), bytes);
  }
};

template <class... A>
bool launch(const std::string &name, unsigned blocks, A &...arguments) {
  void *addresses[] = {static_cast<void *>(&arguments)...};
  if (emulator_launch(name.c_str(), blocks, 1, 1, THREADS, 1, 1, addresses) != 0) {
    std::printf("%s: %s\n", name.c_str(), emulator_error());
    failures++;
    return false;
  }
  return true;
}

template <class... A>
bool launch_together(const std::string &name, unsigned blocks, A &...arguments) {
  void *addresses[] = {static_cast<void *>(&arguments)...};
  if (emulator_launch_cooperative(name.c_str(), blocks, 1, 1, THREADS, 1, 1, addresses) != 0) {
    std::printf("%s: %s\n", name.c_str(), emulator_error());
    failures++;
    return false;
  }
  return true;
}

/* What kernel must leave at i, for a[i] = i + 1; 0: anything. */
float wanted(const std::string &kernel, int i) {
  if (kernel == "reverse" || kernel == "missing_barrier") return 256.0f - i;
  if (kernel == "hidden_race") return i == 0 ? 256.0f : i;
  if (kernel == "scan") return (i + 1) * (i + 2) / 2.0f;
  if (kernel == "load_of_four") return 16.0f * (i / 4) + 10;
  if (kernel == "sum_of_warp") return 32.0f * (i / 32 * 32) + 528;
  return 0;
}

int fault(const std::string &kernel) {
  Device a(THREADS * sizeof(float)), b(THREADS * sizeof(float));
  std::vector<float> values(THREADS);
  for (unsigned i = 0; i < THREADS; i++) {
    values[i] = i + 1;
  }
  a.set(values);
  b.clear();
  bool over_blocks = kernel == "count_blocks" || kernel == "race_between_blocks";
  launch(kernel, over_blocks ? 2 : 1, a.address, b.address);
  std::vector<float> result = b.get<float>();
  for (unsigned i = 0; i < THREADS; i++) {
    float right = wanted(kernel, i);
    if (right != 0 && result[i] != right) {
      std::printf("%s: element %u is %g, not %g\n", kernel.c_str(), i, result[i], right);
      return 1;
    }
  }
  std::vector<uint32_t> counts = b.get<uint32_t>();
  if ((over_blocks && counts[0] != 2) ||
      ((kernel == "count_lanes" || kernel == "uninitialised_shared") && counts[5] != 8)) {
    std::printf("%s: counted %u and %u\n", kernel.c_str(), counts[0], counts[5]);
    return 1;
  }
  return failures > 0;
}

struct ImportanceRule {
  int formula;
  float values[4];
};
struct AdamWStep {
  float values[7];
};
struct MergeRule {
  int score;
  int weighting;
  float values[8];
  float temperature;
  int resets[2];
};
struct Span {
  long long begin, end;
};

std::vector<float> random_floats(size_t n, uint32_t seed, bool positive) {
  std::vector<float> values(n);
  uint32_t state = seed * 2654435761u + 1;
  for (float &value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 1e-12f;
    value = positive ? std::fabs(value) : value;
    if (state >> 28 == 0) {
      value = 0;
    }
  }
  return values;
}

/* Runs every operation in one variant, each on the same input, and returns everything written. */
std::vector<float> run_all(int variant, long long n, unsigned blocks) {
  std::string suffix = "_" + std::to_string(variant);
  size_t bytes = n * sizeof(float);
  std::vector<float> written;
  Device w(bytes), g(bytes), m(bytes), v(bytes), base(bytes), snapshot(bytes);
  Device is(bytes), iu(bytes), os(bytes), ou(bytes), inner(4), outer(4);
  Device *all[] = {&w, &g, &m, &v, &base, &snapshot, &is, &iu, &os, &ou};
  auto reset = [&] {
    for (uint32_t i = 0; i < 10; i++) {
      all[i]->set(random_floats(n, i + 1, i == 3 || i >= 6));
    }
    inner.set({1e-7f});
    outer.set({2e-7f});
  };
  auto keep = [&](const Device &device) {
    std::vector<float> values = device.get<float>();
    written.insert(written.end(), values.begin(), values.end());
  };
  auto keep_all = [&] {
    for (Device *device : all) {
      keep(*device);
    }
  };
  float scale = 0.3f, clip = 0.5f;
  AdamWStep step = {{0.99f, 0.1f, 0.999f, 0.001f, 1e-3f, 0.05f, 1e-8f}};
  for (int formula = 0; formula < 3; formula++) {
    ImportanceRule rule = {formula, {0.85f, 0.15f, 0.75f, 0.25f}};
    reset();
    launch("kif_importance" + suffix, blocks, w.address, g.address, is.address, iu.address, clip,
           rule, n);
    launch("kif_adamw_importance" + suffix, blocks, w.address, g.address, m.address, v.address,
           is.address, iu.address, clip, step, rule, n);
    keep_all();
  }
  reset();
  launch("kif_adamw" + suffix, blocks, w.address, g.address, m.address, v.address, clip, step, n);
  launch("kif_accumulate" + suffix, blocks, w.address, g.address, scale, n);
  launch("kif_accumulate_product" + suffix, blocks, m.address, w.address, g.address, scale, n);
  keep_all();

  long long count = (n + 4095) / 4096;
  Device leaves(count * sizeof(double)), folded(sizeof(double));
  launch("kif_squared_norm" + suffix, blocks, w.address, n, leaves.address);
  launch("kif_fold", 1, leaves.address, count, folded.address);
  keep(folded);

  Device selection(2048 * 8 + 16 + 8);
  selection.clear();
  for (int score = 0; score < 2; score++) {
    for (long long rank : {0LL, n / 2, n - 2}) {
      int next = 1;
      rank = rank < 0 ? 0 : rank;
      next = rank + 1 < n;
      float fraction = 0.25f;
      for (int pass = 0; pass < 3; pass++) {
        if (variant == 1) {
          launch("kif_threshold_1_count", blocks, is.address, iu.address, score, n,
                 selection.address, pass);
          launch("kif_threshold_1_pick", 1, selection.address, pass, rank, next, fraction, n,
                 inner.address);
        } else {
          launch("kif_threshold_2", blocks, is.address, iu.address, score, n, selection.address,
                 pass, rank, next, fraction, n, inner.address);
        }
      }
      keep(inner);
    }
  }

  /* An update of the importance and the threshold after it: one after the other, or counted in the
   * update. */
  for (int score = 0; score < 2; score++) {
    ImportanceRule rule = {0, {0.85f, 0.15f, 0.75f, 0.25f}};
    long long rank = n / 3;
    int next = rank + 1 < n;
    float fraction = 0.25f;
    if (variant == 1) {
      launch("kif_importance_1", blocks, w.address, g.address, is.address, iu.address, clip, rule,
             n);
    } else {
      launch("kif_importance_3", blocks, w.address, g.address, is.address, iu.address, clip, rule,
             n, score, selection.address, rank);
    }
    for (int pass = variant == 1 ? 0 : 1; pass < 3; pass++) {
      launch("kif_threshold_2", blocks, is.address, iu.address, score, n, selection.address, pass,
             rank, next, fraction, n, inner.address);
    }
    keep(is);
    keep(iu);
    keep(inner);
  }

  /* Two tensors, with padding between them. */
  std::vector<Span> two = {{0, n / 2}, {(n / 2 + 15) / 16 * 16, n}};
  int parts = two[1].begin < n ? 2 : 1;
  Device spans(2 * sizeof(Span));
  emulator_copy(0, spans.address, reinterpret_cast<const char *>(two.data()), 2 * sizeof(Span));
  char *nowhere = nullptr;
  int all_together = 1;
  Device bounds(2 * 2 * sizeof(float)), both(2 * sizeof(float)), extent(24);
  Device selections(3 * (2048 * 8 + 16 + 8));
  bounds.clear();
  extent.clear();
  selections.clear();
  for (int score = 0; score < 2; score++) {
    float quantile = 0.8f;
    long long none = 0;
    launch("kif_threshold_each", blocks, is.address, iu.address, score, quantile, spans.address,
           parts, selections.address, bounds.address);
    keep(bounds);
    launch("kif_range_1", blocks, is.address, iu.address, score, spans.address, parts, n, none,
           bounds.address);
    keep(bounds);
    if (variant == 1) {
      launch("kif_range_1", 1, is.address, iu.address, score, nowhere, all_together, n, none,
             both.address);
    } else {
      launch("kif_range_2", blocks, is.address, iu.address, score, n, none, extent.address,
             both.address);
    }
    keep(both);
  }

  Device counts(3 * sizeof(long long));
  counts.clear();
  int score = 0;
  long long padding = 0;
  launch("kif_mask_counts" + suffix, blocks, is.address, iu.address, os.address, ou.address,
         inner.address, outer.address, nowhere, all_together, score, n, padding, counts.address);
  keep(counts);
  launch("kif_mask_counts" + suffix, blocks, is.address, iu.address, os.address, ou.address,
         bounds.address, bounds.address, spans.address, parts, score, n, padding, counts.address);
  keep(counts);
  for (int resets = 0; resets < 4; resets++) {
    reset();
    for (int soft = 0; soft < 2; soft++) {
      MergeRule rule = {resets & 1, soft, {0.4f, 0.6f, 1, 0, 0, 1, 0.5f, 0.5f}, 0.3f,
                        {resets & 1, resets & 2}};
      launch("kif_merge" + suffix, blocks, w.address, base.address, snapshot.address, is.address,
             iu.address, os.address, ou.address, both.address, both.address, nowhere, all_together,
             rule, n);
      keep_all();
      launch("kif_merge" + suffix, blocks, w.address, base.address, snapshot.address, is.address,
             iu.address, os.address, ou.address, bounds.address, bounds.address, spans.address,
             parts, rule, n);
      keep_all();
    }
  }

  /* A fusion: in one launch, or its parts. */
  Device two_selections(2 * (2048 * 8 + 16 + 8)), barrier(8);
  two_selections.clear();
  barrier.clear();
  reset();
  {
    MergeRule rule = {0, 0, {0.4f, 0.6f, 1, 0, 0, 1, 0.5f, 0.5f}, 0, {1, 0}};
    long long rank = n / 2;
    int next = rank + 1 < n;
    float fraction = 0.75f;
    if (variant == 2) {
      launch_together("kif_fusion_2", blocks, w.address, base.address, snapshot.address, is.address,
                      iu.address, os.address, ou.address, rule, n, rank, next, fraction, n,
                      two_selections.address, barrier.address, inner.address, outer.address);
    } else {
      for (int side = 0; side < 2; side++) {
        Device &I = side == 0 ? is : os, &U = side == 0 ? iu : ou;
        for (int pass = 0; pass < 3; pass++) {
          launch("kif_threshold_2", blocks, I.address, U.address, rule.score, n, selection.address,
                 pass, rank, next, fraction, n, side == 0 ? inner.address : outer.address);
        }
      }
      launch("kif_merge_1", blocks, w.address, base.address, snapshot.address, is.address,
             iu.address, os.address, ou.address, inner.address, outer.address, nowhere,
             all_together, rule, n);
    }
    keep_all();
    keep(inner);
    keep(outer);
  }

  long long planes = 1, rows = 1, columns = n;
  unsigned long long key = 42;
  unsigned place = 3, drop_below = 1 << 22;
  float kept = 1.25f;
  launch("kif_dropout_mask" + suffix, blocks, w.address, planes, rows, columns, key, place,
         drop_below, kept);
  keep(w);
  return written;
}

int all_kernels() {
  for (long long n : {1LL, 3LL, 17LL, 1023LL, 4096LL, 40001LL}) {
    std::vector<float> one = run_all(1, n, 3);
    std::vector<float> two = run_all(2, n, 2);
    if (one.size() != two.size() ||
        std::memcmp(one.data(), two.data(), one.size() * sizeof(float)) != 0) {
      std::printf("the variants differ at n = %lld\n", n);
      failures++;
    }
  }
  return failures > 0;
}

}  // namespace

int main(int count, char **arguments) {
  std::string what = count > 1 ? arguments[1] : "";
  bool faults = what == "fault" && count > 2;
  int seed = faults ? 3 : 2;
  emulator_order(count > seed ? std::strtoull(arguments[seed], nullptr, 10) : 0);
  if (faults) {
    return fault(arguments[2]);
  }
  if (what == "kernels") {
    return all_kernels();
  }
  std::fprintf(stderr, "usage: check fault NAME [SEED] | check kernels [SEED]\n");
  return 2;
}
