package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;

/**
 * The functions of {@code struct OrtApi} that are used here: their places in the table and their
 * arguments. The table of {@code onnxruntime_c_api.h} only ever grows at its end, so that a place
 * never changes its meaning.
 *
 * <p>Arguments, one letter each: P a pointer, I a 32-bit integer or enumeration, L a size or a
 * 64-bit integer. Release functions return nothing; of all others, only {@link #GET_ERROR_MESSAGE}
 * returns something else than a status.
 */
enum OrtFunction {
  GET_ERROR_MESSAGE(2, "P"),
  CREATE_ENV(3, "IPP"),
  CREATE_SESSION(7, "PPPP"),
  CREATE_SESSION_FROM_ARRAY(8, "PPLPP"),
  CREATE_SESSION_OPTIONS(10, "P"),
  ENABLE_PROFILING(14, "PP"),
  DISABLE_MEMORY_PATTERN(17, "P"),
  DISABLE_CPU_ARENA(19, "P"),
  SET_OPTIMIZATION_LEVEL(23, "PI"),
  SET_INTRA_OP_THREADS(24, "PI"),
  SESSION_GET_INPUT_COUNT(30, "PP"),
  SESSION_GET_OUTPUT_COUNT(31, "PP"),
  SESSION_GET_INPUT_TYPE(33, "PLP"),
  SESSION_GET_OUTPUT_TYPE(34, "PLP"),
  SESSION_GET_INPUT_NAME(36, "PLPP"),
  SESSION_GET_OUTPUT_NAME(37, "PLPP"),
  CREATE_RUN_OPTIONS(39, "P"),
  CREATE_TENSOR_WITH_DATA(49, "PPLPLIP"),
  GET_TENSOR_DATA(51, "PP"),
  CAST_TYPE_TO_TENSOR(55, "PP"),
  GET_ELEMENT_TYPE(60, "PP"),
  GET_DIMENSION_COUNT(61, "PP"),
  GET_DIMENSIONS(62, "PPL"),
  GET_SYMBOLIC_DIMENSIONS(63, "PPL"),
  GET_TENSOR_TYPE_AND_SHAPE(65, "PP"),
  CREATE_MEMORY_INFO(68, "PIIIP"),
  CREATE_CPU_MEMORY_INFO(69, "IIP"),
  ALLOCATOR_FREE(76, "PP"),
  GET_DEFAULT_ALLOCATOR(78, "P"),
  RELEASE_ENV(92, "P"),
  RELEASE_STATUS(93, "P"),
  RELEASE_MEMORY_INFO(94, "P"),
  RELEASE_SESSION(95, "P"),
  RELEASE_VALUE(96, "P"),
  RELEASE_RUN_OPTIONS(97, "P"),
  RELEASE_TYPE(98, "P"),
  RELEASE_TENSOR_TYPE_AND_SHAPE(99, "P"),
  RELEASE_SESSION_OPTIONS(100, "P"),
  SESSION_END_PROFILING(110, "PPP"),
  ADD_CONFIG_ENTRY(130, "PPP"),
  RUN_WITH_BINDING(133, "PPP"),
  CREATE_BINDING(134, "PP"),
  RELEASE_BINDING(135, "P"),
  BIND_INPUT(136, "PPP"),
  BIND_OUTPUT(137, "PPP"),
  BIND_OUTPUT_TO_DEVICE(138, "PPP"),
  GET_BOUND_OUTPUT_VALUES(140, "PPPP"),
  ADD_INITIALIZER(150, "PPP"),
  ADD_RUN_CONFIG_ENTRY(165, "PPP"),
  APPEND_CUDA_PROVIDER(204, "PP"),
  CREATE_CUDA_OPTIONS(205, "P"),
  UPDATE_CUDA_OPTIONS(206, "PPPL"),
  RELEASE_CUDA_OPTIONS(208, "P"),
  REGISTER_CUSTOM_OPERATORS(228, "PP"),
  UPDATE_CUDA_OPTION_WITH_VALUE(263, "PPP");

  private final int place;
  private final String arguments;

  OrtFunction(int place, String arguments) {
    this.place = place;
    this.arguments = arguments;
  }

  /** Index of the function pointer in the table. */
  int place() {
    return place;
  }

  FunctionDescriptor descriptor() {
    MemoryLayout[] layouts =
        arguments
            .chars()
            .mapToObj(
                letter ->
                    switch (letter) {
                      case 'P' -> ADDRESS;
                      case 'I' -> JAVA_INT;
                      case 'L' -> JAVA_LONG;
                      default -> throw new IllegalArgumentException(arguments);
                    })
            .toArray(MemoryLayout[]::new);
    return name().startsWith("RELEASE_")
        ? FunctionDescriptor.ofVoid(layouts)
        : FunctionDescriptor.of(ADDRESS, layouts);
  }

  /** Function pointers that the table must have for all of these. */
  static int tableLength() {
    int last = 0;
    for (OrtFunction function : values()) {
      last = Math.max(last, function.place);
    }
    return last + 1;
  }
}
