/* The library as ONNX Runtime and Java see it, and what all operators share. */
#include "operators.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiers.h"

#ifdef KIF_AMX_TIER
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define EXPORTED __attribute__((visibility("default")))

/* ---- instruction sets ---- */

static const kif_tier *const tiers[] = {
    &kif_tier_baseline,
#ifdef KIF_X86_TIERS
    &kif_tier_avx2,
    &kif_tier_avx512,
#endif
#ifdef KIF_BF16_TIER
    &kif_tier_avx512bf16,
#endif
#ifdef KIF_AMX_TIER
    &kif_tier_amx,
#endif
};

enum { TIERS = sizeof tiers / sizeof *tiers };

#ifdef KIF_AMX_TIER
/* Whether the processor has AMX with bf16, and the system lets this process use it: its tiles make
 * every thread's saved state larger by 8 KiB, so Linux wants to be asked. */
static int has_amx(void) {
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  unsigned a, b, c, d;
  const unsigned tile = 1u << 24, bf16 = 1u << 22;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & tile) && (d & bf16) &&
         syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#endif

static int processor_has(const char *tier) {
#ifdef KIF_X86_TIERS
  __builtin_cpu_init();
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (strcmp(tier, "avx2") == 0) {
    return avx2;
  }
  if (strcmp(tier, "avx512") == 0) {
    return avx512;
  }
#ifdef KIF_BF16_TIER
  if (strcmp(tier, "avx512bf16") == 0) {
    return avx512 && __builtin_cpu_supports("avx512bf16");
  }
#endif
#ifdef KIF_AMX_TIER
  if (strcmp(tier, "amx") == 0) {
    return avx512 && __builtin_cpu_supports("avx512bf16") && has_amx();
  }
#endif
#endif
  return strcmp(tier, "baseline") == 0;
}

/* The best tier that the processor has and KIF_MAX_ISA allows; its avx512 allows all that build on
 * that. */
static const kif_tier *chosen;

static void choose_tier(void) {
  const char *cap = getenv("KIF_MAX_ISA");
  for (int i = 0; i < TIERS && processor_has(tiers[i]->name); i++) {
    chosen = tiers[i];
    if (cap != NULL && strcmp(cap, tiers[i]->name) == 0 && strcmp(cap, "avx512") != 0) {
      break;
    }
  }
}

static const kif_tier *tier(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, choose_tier);
  return chosen;
}

/* ---- for Java ---- */

/* baseline, avx2, avx512, avx512bf16 or amx. */
EXPORTED const char *kif_operators_tier(void) { return tier()->name; }

/* Whether products in bf16 are faster than in float32 here. Intel's processors take as long for
 * VDPBF16PS as for the four float32 instructions in its place; theirs is AMX. */
EXPORTED int32_t kif_operators_fast_bf16(void) {
#ifdef KIF_BF16_TIER
  return strcmp(tier()->name, "amx") == 0 ||
         (strcmp(tier()->name, "avx512bf16") == 0 && __builtin_cpu_is("amd"));
#else
  return 0;
#endif
}

/* ---- refusing ---- */

OrtStatus *kif_refuse(const kif_node *node, const char *format, ...) {
  char text[512];
  int length = snprintf(text, sizeof text, "%s '%s': ", node->op->name, node->name);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text + length, sizeof text - (size_t)length, format, arguments);
  va_end(arguments);
  return ort_create_status(node->api, ORT_INVALID_ARGUMENT, text);
}

OrtStatus *kif_out_of_memory(const kif_node *node) { return kif_refuse(node, "out of memory"); }

static void write_extent(char *text, size_t size, int64_t extent) {
  if (extent < 0) {
    snprintf(text, size, "*");
  } else {
    snprintf(text, size, "%lld", (long long)extent);
  }
}

static void write_shape(char *text, size_t size, int rank, const int64_t *shape) {
  size_t length = (size_t)snprintf(text, size, "[");
  for (int i = 0; i < rank && i < KIF_MAX_RANK; i++) {
    char extent[24];
    write_extent(extent, sizeof extent, shape[i]);
    length += (size_t)snprintf(text + length, size - length, i == 0 ? "%s" : ", %s", extent);
  }
  snprintf(text + length, size - length, rank > KIF_MAX_RANK ? ", ...]" : "]");
}

static OrtStatus *expect(const kif_call *call, int index, int rank, const int64_t *shape) {
  const kif_tensor *tensor = &call->inputs[index];
  int same = tensor->present && tensor->rank == rank;
  for (int i = 0; same && i < rank; i++) {
    same = shape[i] < 0 || tensor->shape[i] == shape[i];
  }
  if (same) {
    return NULL;
  }
  char wanted[128], found[128] = "absent";
  write_shape(wanted, sizeof wanted, rank, shape);
  if (tensor->present) {
    write_shape(found, sizeof found, tensor->rank, tensor->shape);
  }
  return kif_refuse(call->node, "input '%s' must be %s, but is %s",
                    call->node->op->inputs[index].name, wanted, found);
}

OrtStatus *kif_expect_vector(const kif_call *call, int index, int64_t extent) {
  return expect(call, index, 1, &extent);
}

OrtStatus *kif_expect_matrix(const kif_call *call, int index, int64_t rows, int64_t columns) {
  int64_t shape[2] = {rows, columns};
  return expect(call, index, 2, shape);
}

OrtStatus *kif_expect_offsets(const kif_call *call, int index, int64_t rows, int64_t *sequences) {
  const kif_port *port = &call->node->op->inputs[index];
  TRY(kif_expect_vector(call, index, -1));
  int64_t count = call->inputs[index].shape[0];
  if (count < 1) {
    return kif_refuse(call->node, "input '%s' must be [sequences + 1], but is [0]", port->name);
  }
  const int64_t *offsets = kif_ints(call, index);
  for (int64_t b = 0; b < count; b++) {
    if (offsets[b] < (b == 0 ? 0 : offsets[b - 1]) || (b == 0 && offsets[b] != 0)) {
      return kif_refuse(call->node, "input '%s' must begin with 0 and never descend, but has %lld at %lld",
                        port->name, (long long)offsets[b], (long long)b);
    }
  }
  if (offsets[count - 1] != rows) {
    return kif_refuse(call->node, "input '%s' must end with the number of rows, %lld, but ends with %lld",
                      port->name, (long long)rows, (long long)offsets[count - 1]);
  }
  *sequences = count - 1;
  return NULL;
}

/* ---- attributes ---- */

static int is_ok(const OrtApi *api, OrtStatus *status) {
  if (status == NULL) {
    return 1;
  }
  ort_release_status(api, status);
  return 0;
}

OrtStatus *kif_need_int(const kif_node *node, const OrtKernelInfo *info, const char *name,
                        int64_t *value) {
  if (!is_ok(node->api, ort_int_attribute(node->api, info, name, value))) {
    return kif_refuse(node, "attribute '%s' (an integer) is missing", name);
  }
  return NULL;
}

int64_t kif_int(const kif_node *node, const OrtKernelInfo *info, const char *name,
                int64_t otherwise) {
  int64_t value;
  return is_ok(node->api, ort_int_attribute(node->api, info, name, &value)) ? value : otherwise;
}

float kif_float(const kif_node *node, const OrtKernelInfo *info, const char *name,
                float otherwise) {
  float value;
  return is_ok(node->api, ort_float_attribute(node->api, info, name, &value)) ? value : otherwise;
}

OrtStatus *kif_word(const kif_node *node, const OrtKernelInfo *info, const char *name,
                    const char *const *words, int *index) {
  char value[64];
  size_t size = sizeof value - 1;
  *index = 0;
  if (!is_ok(node->api, ort_string_attribute(node->api, info, name, value, &size))) {
    return NULL;
  }
  value[size] = 0;
  for (int i = 0; words[i] != NULL; i++) {
    if (strcmp(words[i], value) == 0) {
      *index = i;
      return NULL;
    }
  }
  return kif_refuse(node, "attribute '%s' is '%s', which is not known", name, value);
}

static OrtStatus *read_tensor(const OrtApi *api, const OrtValue *value, kif_tensor *tensor) {
  memset(tensor, 0, sizeof *tensor);
  if (value == NULL) {
    return NULL;
  }
  OrtShapeInfo *info;
  TRY(ort_shape(api, value, &info));
  size_t rank = 0;
  OrtStatus *status = ort_rank(api, info, &rank);
  if (status == NULL) {
    status = ort_dimensions(api, info, tensor->shape, rank < KIF_MAX_RANK ? rank : KIF_MAX_RANK);
  }
  ort_release_shape(api, info);
  TRY(status);
  tensor->rank = (int)rank;
  tensor->present = 1;
  return ort_tensor_data(api, (OrtValue *)value, &tensor->data);
}

/* ---- a call ---- */

static OrtStatus *output(const kif_call *call, int index, int rank, const int64_t *shape,
                         float **data) {
  const OrtApi *api = call->node->api;
  *data = NULL;
  size_t count = 0;
  TRY(ort_output_count(api, call->context, &count));
  OrtValue *value = NULL;
  if ((size_t)index < count) {
    TRY(ort_output(api, call->context, (size_t)index, shape, (size_t)rank, &value));
  }
  if (value == NULL) {
    return NULL;
  }
  void *address = NULL;
  TRY(ort_tensor_data(api, value, &address));
  *data = address;
  return NULL;
}

OrtStatus *kif_vector_output(const kif_call *call, int index, int64_t extent, float **data) {
  return output(call, index, 1, &extent, data);
}

OrtStatus *kif_matrix_output(const kif_call *call, int index, int64_t rows, int64_t columns,
                             float **data) {
  int64_t shape[2] = {rows, columns};
  return output(call, index, 2, shape, data);
}

OrtStatus *kif_parallel(const kif_call *call, int64_t tasks, void (*task)(void *, size_t),
                        void *data) {
  if (tasks <= 0) {
    return NULL;
  }
  if (tasks == 1) {
    task(data, 0);
    return NULL;
  }
  return ort_parallel_for(call->node->api, call->context, task, (size_t)tasks, (size_t)tasks, data);
}

/* ---- memory ---- */

/* Blocks that nobody uses, lists of one size each, twice that of the list before; larger ones are freed. */
enum { SMALLEST_BLOCK = 1 << 16, BLOCK_SIZES = 9 };

typedef struct block {
  _Alignas(64) struct block *next; /* what is taken begins behind */
  int size;
} block;

static block *kept[BLOCK_SIZES];
static pthread_mutex_t keeping = PTHREAD_MUTEX_INITIALIZER;

void *kif_take(int64_t bytes) {
  int size = 0;
  while (size < BLOCK_SIZES && (int64_t)SMALLEST_BLOCK << size < bytes) {
    size++;
  }
  block *taken = NULL;
  if (size < BLOCK_SIZES) {
    pthread_mutex_lock(&keeping);
    taken = kept[size];
    if (taken != NULL) {
      kept[size] = taken->next;
    }
    pthread_mutex_unlock(&keeping);
    bytes = (int64_t)SMALLEST_BLOCK << size;
  }
  if (taken == NULL) {
    taken = aligned_alloc(64, sizeof(block) + (size_t)kif_parts(bytes, 64) * 64);
    if (taken == NULL) {
      return NULL;
    }
    taken->size = size;
  }
  return taken + 1;
}

void kif_give(void *memory) {
  if (memory == NULL) {
    return;
  }
  block *given = (block *)memory - 1;
  if (given->size == BLOCK_SIZES) {
    free(given);
    return;
  }
  pthread_mutex_lock(&keeping);
  given->next = kept[given->size];
  kept[given->size] = given;
  pthread_mutex_unlock(&keeping);
}

/* ---- what ONNX Runtime calls ---- */

/* ONNX Runtime's description of an operator, and ours behind it. */
typedef struct {
  OrtCustomOp description;
  const kif_operator *op;
} entry;

static const kif_operator *of(const OrtCustomOp *op) { return ((const entry *)op)->op; }

static size_t count_ports(const kif_port *ports) {
  size_t count = 0;
  while (ports[count].name != NULL) {
    count++;
  }
  return count;
}

static const char *get_name(const OrtCustomOp *op) { return of(op)->name; }

static const char *get_execution_provider(const OrtCustomOp *op) {
  (void)op; /* that of the processor */
  return NULL;
}

static size_t get_input_count(const OrtCustomOp *op) { return count_ports(of(op)->inputs); }
static size_t get_output_count(const OrtCustomOp *op) { return count_ports(of(op)->outputs); }
static int get_input_type(const OrtCustomOp *op, size_t i) { return of(op)->inputs[i].type; }
static int get_output_type(const OrtCustomOp *op, size_t i) { return of(op)->outputs[i].type; }

static int get_input_characteristic(const OrtCustomOp *op, size_t i) {
  return of(op)->inputs[i].optional ? ORT_OPTIONAL : ORT_REQUIRED;
}

static int get_output_characteristic(const OrtCustomOp *op, size_t i) {
  return of(op)->outputs[i].optional ? ORT_OPTIONAL : ORT_REQUIRED;
}

static int get_input_memory(const OrtCustomOp *op, size_t i) {
  (void)op, (void)i;
  return 0;
}

static void destroy(void *kernel) {
  kif_node *node = kernel;
  if (node->op->destroy != NULL) {
    node->op->destroy(node);
  }
  free(node);
}

static OrtStatus *create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info,
                         void **kernel) {
  kif_node *node = calloc(1, of(op)->node_size);
  if (node == NULL) {
    return ort_create_status(api, ORT_FAIL, "out of memory");
  }
  node->api = api;
  node->op = of(op);
  size_t size = sizeof node->name;
  if (!is_ok(api, ort_node_name(api, info, node->name, &size))) {
    strcpy(node->name, "(with a long name)");
  }
  OrtStatus *status = node->op->create(node, info);
  if (status != NULL) {
    destroy(node);
    return status;
  }
  *kernel = node;
  return NULL;
}

static OrtStatus *compute(void *kernel, OrtKernelContext *context) {
  const kif_node *node = kernel;
  kif_call call = {.node = node, .context = context};
  size_t count = 0;
  TRY(ort_input_count(node->api, context, &count));
  for (size_t i = 0; i < count && node->op->inputs[i].name != NULL; i++) {
    const OrtValue *value = NULL;
    TRY(ort_input(node->api, context, i, &value));
    TRY(read_tensor(node->api, value, &call.inputs[i]));
  }
  return node->op->compute(node, &call);
}

/* The operators of one tier, as a domain of ONNX Runtime. */
typedef struct {
  char name[40];
  entry entries[KIF_MAX_OPERATORS];
  size_t count;
  OrtCustomOpDomain *domain;
} operator_set;

/* The best tier as "recurrentkif", and all that run here as "recurrentkif.TIER", for tests. */
static operator_set sets[TIERS + 1];

static void describe(operator_set *set, const char *name, const kif_tier *of_tier) {
  snprintf(set->name, sizeof set->name, "recurrentkif%s%s", *name == 0 ? "" : ".", name);
  for (const kif_operator *const *op = of_tier->operators; *op != NULL; op++) {
    set->entries[set->count++] = (entry){
        .description = {.version = ORT_ABI_VERSION,
                        .name = get_name,
                        .execution_provider = get_execution_provider,
                        .input_type = get_input_type,
                        .input_count = get_input_count,
                        .output_type = get_output_type,
                        .output_count = get_output_count,
                        .destroy_kernel = destroy,
                        .input_characteristic = get_input_characteristic,
                        .output_characteristic = get_output_characteristic,
                        .input_memory = get_input_memory,
                        .create_kernel = create,
                        .compute = compute},
        .op = *op};
  }
}

static OrtStatus *add_domain(const OrtApi *api, operator_set *set) {
  TRY(ort_create_domain(api, set->name, &set->domain));
  for (size_t i = 0; i < set->count; i++) {
    TRY(ort_add_operator(api, set->domain, &set->entries[i].description));
  }
  return NULL;
}

/* Called when a session opens. The domains live as long as the process: sessions refer to them. */
EXPORTED OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static size_t set_count;
  const OrtApi *api = base->get_api(ORT_ABI_VERSION);
  if (api == NULL) {
    return NULL; /* ONNX Runtime has said so */
  }
  OrtStatus *status = NULL;
  pthread_mutex_lock(&lock);
  if (set_count == 0) {
    describe(&sets[set_count++], "", tier());
    for (int i = 0; i < TIERS && processor_has(tiers[i]->name); i++) {
      describe(&sets[set_count++], tiers[i]->name, tiers[i]);
    }
    for (size_t i = 0; status == NULL && i < set_count; i++) {
      status = add_domain(api, &sets[i]);
    }
  }
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; status == NULL && i < set_count; i++) {
    status = ort_add_domain(api, options, sets[i].domain);
  }
  return status;
}
