/*
 * The part of ONNX Runtime's C interface that operators need, as version 18 of it and every later
 * one has it: a table of functions that only ever grows at its end, and the description of an
 * operator. Places and signatures are those of onnxruntime_c_api.h; OperatorLibraryTest runs every
 * one of them.
 */
#ifndef KIF_ORT_ABI_H
#define KIF_ORT_ABI_H

#include <stddef.h>
#include <stdint.h>

enum { ORT_ABI_VERSION = 18 };

/* Codes of a status. */
enum { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };

/* Types of elements. */
enum { ORT_FLOAT = 1, ORT_INT64 = 7 };

/* Whether an input or output may be absent. */
enum { ORT_REQUIRED = 0, ORT_OPTIONAL = 1 };

/* What only ONNX Runtime looks into. */
typedef struct OrtStatus OrtStatus;
typedef struct OrtValue OrtValue;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtShapeInfo OrtShapeInfo;

typedef struct OrtApi {
  void (*functions[275])(void);
} OrtApi;

typedef struct OrtApiBase {
  const OrtApi *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
} OrtApiBase;

/* An operator, as ONNX Runtime asks about it. */
typedef struct OrtCustomOp OrtCustomOp;
struct OrtCustomOp {
  uint32_t version;
  void *(*create_kernel_v1)(const OrtCustomOp *, const OrtApi *, const OrtKernelInfo *);
  const char *(*name)(const OrtCustomOp *);
  const char *(*execution_provider)(const OrtCustomOp *);
  int (*input_type)(const OrtCustomOp *, size_t);
  size_t (*input_count)(const OrtCustomOp *);
  int (*output_type)(const OrtCustomOp *, size_t);
  size_t (*output_count)(const OrtCustomOp *);
  void (*compute_v1)(void *, OrtKernelContext *);
  void (*destroy_kernel)(void *);
  int (*input_characteristic)(const OrtCustomOp *, size_t);
  int (*output_characteristic)(const OrtCustomOp *, size_t);
  int (*input_memory)(const OrtCustomOp *, size_t);
  int (*variadic_input_minimum)(const OrtCustomOp *);
  int (*variadic_input_homogeneous)(const OrtCustomOp *);
  int (*variadic_output_minimum)(const OrtCustomOp *);
  int (*variadic_output_homogeneous)(const OrtCustomOp *);
  OrtStatus *(*create_kernel)(const OrtCustomOp *, const OrtApi *, const OrtKernelInfo *, void **);
  OrtStatus *(*compute)(void *, OrtKernelContext *);
  OrtStatus *(*infer_shape)(const OrtCustomOp *, void *);
  int (*start_version)(const OrtCustomOp *);
  int (*end_version)(const OrtCustomOp *);
  size_t (*may_inplace)(int **, int **);
  void (*release_may_inplace)(int *, int *);
  size_t (*alias_map)(int **, int **);
  void (*release_alias_map)(int *, int *);
};

/* Calls the function at that place of the table. */
#define ORT_CALL(place, result, ...) ((result(*)(__VA_ARGS__))api->functions[place])

static inline OrtStatus *ort_create_status(const OrtApi *api, int code, const char *text) {
  return ORT_CALL(0, OrtStatus *, int, const char *)(code, text);
}

static inline OrtStatus *ort_create_domain(const OrtApi *api, const char *name,
                                           OrtCustomOpDomain **domain) {
  return ORT_CALL(26, OrtStatus *, const char *, OrtCustomOpDomain **)(name, domain);
}

static inline OrtStatus *ort_add_operator(const OrtApi *api, OrtCustomOpDomain *domain,
                                          const OrtCustomOp *op) {
  return ORT_CALL(27, OrtStatus *, OrtCustomOpDomain *, const OrtCustomOp *)(domain, op);
}

static inline OrtStatus *ort_add_domain(const OrtApi *api, OrtSessionOptions *options,
                                        OrtCustomOpDomain *domain) {
  return ORT_CALL(28, OrtStatus *, OrtSessionOptions *, OrtCustomOpDomain *)(options, domain);
}

static inline OrtStatus *ort_tensor_data(const OrtApi *api, OrtValue *value, void **data) {
  return ORT_CALL(51, OrtStatus *, OrtValue *, void **)(value, data);
}

static inline OrtStatus *ort_rank(const OrtApi *api, const OrtShapeInfo *info, size_t *rank) {
  return ORT_CALL(61, OrtStatus *, const OrtShapeInfo *, size_t *)(info, rank);
}

static inline OrtStatus *ort_dimensions(const OrtApi *api, const OrtShapeInfo *info,
                                        int64_t *dimensions, size_t rank) {
  return ORT_CALL(62, OrtStatus *, const OrtShapeInfo *, int64_t *, size_t)(info, dimensions, rank);
}

static inline OrtStatus *ort_shape(const OrtApi *api, const OrtValue *value, OrtShapeInfo **info) {
  return ORT_CALL(65, OrtStatus *, const OrtValue *, OrtShapeInfo **)(value, info);
}

static inline OrtStatus *ort_float_attribute(const OrtApi *api, const OrtKernelInfo *info,
                                             const char *name, float *value) {
  return ORT_CALL(85, OrtStatus *, const OrtKernelInfo *, const char *, float *)(info, name, value);
}

static inline OrtStatus *ort_int_attribute(const OrtApi *api, const OrtKernelInfo *info,
                                           const char *name, int64_t *value) {
  return ORT_CALL(86, OrtStatus *, const OrtKernelInfo *, const char *, int64_t *)(info, name,
                                                                                    value);
}

/* size: what fits, then what there is, the final zero included. */
static inline OrtStatus *ort_string_attribute(const OrtApi *api, const OrtKernelInfo *info,
                                              const char *name, char *value, size_t *size) {
  return ORT_CALL(87, OrtStatus *, const OrtKernelInfo *, const char *, char *, size_t *)(
      info, name, value, size);
}

static inline OrtStatus *ort_input_count(const OrtApi *api, const OrtKernelContext *context,
                                         size_t *count) {
  return ORT_CALL(88, OrtStatus *, const OrtKernelContext *, size_t *)(context, count);
}

static inline OrtStatus *ort_output_count(const OrtApi *api, const OrtKernelContext *context,
                                          size_t *count) {
  return ORT_CALL(89, OrtStatus *, const OrtKernelContext *, size_t *)(context, count);
}

/* The value is null for an input that is absent. */
static inline OrtStatus *ort_input(const OrtApi *api, const OrtKernelContext *context, size_t index,
                                   const OrtValue **value) {
  return ORT_CALL(90, OrtStatus *, const OrtKernelContext *, size_t, const OrtValue **)(
      context, index, value);
}

static inline OrtStatus *ort_output(const OrtApi *api, OrtKernelContext *context, size_t index,
                                    const int64_t *dimensions, size_t rank, OrtValue **value) {
  return ORT_CALL(91, OrtStatus *, OrtKernelContext *, size_t, const int64_t *, size_t,
                  OrtValue **)(context, index, dimensions, rank, value);
}

static inline void ort_release_status(const OrtApi *api, OrtStatus *status) {
  ORT_CALL(93, void, OrtStatus *)(status);
}

static inline void ort_release_shape(const OrtApi *api, OrtShapeInfo *info) {
  ORT_CALL(99, void, OrtShapeInfo *)(info);
}

static inline OrtStatus *ort_node_name(const OrtApi *api, const OrtKernelInfo *info, char *name,
                                       size_t *size) {
  return ORT_CALL(244, OrtStatus *, const OrtKernelInfo *, char *, size_t *)(info, name, size);
}

/* Runs task(data, 0) to task(data, total - 1) on the session's threads; 0 batches: as it likes. */
static inline OrtStatus *ort_parallel_for(const OrtApi *api, const OrtKernelContext *context,
                                          void (*task)(void *, size_t), size_t total,
                                          size_t batches, void *data) {
  return ORT_CALL(274, OrtStatus *, const OrtKernelContext *, void (*)(void *, size_t), size_t,
                  size_t, void *)(context, task, total, batches, data);
}

#endif
