package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.RequiredOperators;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** One of our operators, run by ONNX Runtime as a model of one node. */
final class OperatorRun {

  /** An input by its place; data float[] or long[], or nothing for an absent one. */
  private record Input(@Nullable Object data, boolean constant, long... shape) {}

  private final String operator;
  private final Map<String, Object> attributes = new LinkedHashMap<>();
  private final List<Input> inputs = new ArrayList<>();
  private final Set<Integer> unwanted = new HashSet<>();
  private String domain = OperatorLibrary.DOMAIN;
  private int threads = 2;

  OperatorRun(String operator) {
    this.operator = operator;
  }

  /** The library, without which the test is skipped, unless the build had a compiler. */
  static OperatorLibrary library() {
    return RequiredOperators.library(TestRuntime.CACHE);
  }

  /** Those that this processor can run. */
  static List<String> tiers() {
    List<String> all = List.of("baseline", "avx2", "avx512", "avx512bf16", "amx");
    return all.subList(0, all.indexOf(library().tier()) + 1);
  }

  OperatorRun attribute(String name, Object value) {
    attributes.put(name, value instanceof Integer number ? (Object) (long) number : value);
    return this;
  }

  OperatorRun input(float[] data, long... shape) {
    inputs.add(new Input(data, false, shape));
    return this;
  }

  OperatorRun input(long[] data, long... shape) {
    inputs.add(new Input(data, false, shape));
    return this;
  }

  OperatorRun constant(float[] data, long... shape) {
    inputs.add(new Input(data, true, shape));
    return this;
  }

  OperatorRun absent() {
    inputs.add(new Input(null, false));
    return this;
  }

  /** Nobody wants that output: it is absent, and an empty array among the values. */
  OperatorRun unwanted(int output) {
    unwanted.add(output);
    return this;
  }

  OperatorRun tier(String tier) {
    domain = OperatorLibrary.DOMAIN + "." + tier;
    return this;
  }

  OperatorRun threads(int count) {
    threads = count;
    return this;
  }

  /** The values of the outputs. */
  List<float[]> run(OnnxRuntime runtime, int outputCount) {
    return run(runtime, outputCount, ElementType.FLOAT32, data -> data.toArray(JAVA_FLOAT));
  }

  /** The values of the only output, a vector of int64. */
  long[] runToLongs(OnnxRuntime runtime) {
    return run(runtime, 1, ElementType.INT64, data -> data.toArray(JAVA_LONG)).getFirst();
  }

  private <T> List<T> run(
      OnnxRuntime runtime, int outputCount, ElementType type, Function<MemorySegment, T> read) {
    OnnxModel model = new OnnxModel();
    List<String> names = new ArrayList<>();
    for (int i = 0; i < inputs.size(); i++) {
      Input input = inputs.get(i);
      String name = input.data() == null ? "" : "in" + i;
      names.add(name);
      if (input.constant() && input.data() instanceof float[] values) {
        model.initializer(name, values, input.shape());
      } else if (input.data() != null) {
        Object[] open = new Object[input.shape().length];
        Arrays.fill(open, "");
        model.input(
            name, input.data() instanceof long[] ? ElementType.INT64 : ElementType.FLOAT32, open);
      }
    }
    List<String> results = new ArrayList<>();
    for (int i = 0; i < outputCount; i++) {
      if (unwanted.contains(i)) {
        results.add("");
        continue;
      }
      results.add("out" + i);
      if (type == ElementType.INT64) {
        model.output("out" + i, type, "");
      } else {
        model.output("out" + i, type, "", "");
      }
    }
    model.node(domain, operator, names, results, attributes);
    SessionOptions options =
        SessionOptions.builder()
            .intraOpThreads(threads)
            .spinning(false)
            .customOperatorLibraries(List.of(library().path()))
            .build();
    try (Arena arena = Arena.ofShared();
        Session session = runtime.session(operator, model.encode(), options);
        Binding binding = session.binding()) {
      for (int i = 0; i < inputs.size(); i++) {
        Input input = inputs.get(i);
        if (!input.constant() && input.data() != null) {
          binding.bindInput("in" + i, tensor(input, arena));
        }
      }
      results.stream().filter(name -> !name.isEmpty()).forEach(binding::bindOutputToDevice);
      binding.run();
      return results.stream()
          .map(
              name ->
                  read.apply(
                      name.isEmpty() ? MemorySegment.NULL : binding.output(name, arena).data()))
          .toList();
    }
  }

  private static Tensor tensor(Input input, Arena arena) {
    return switch (input.data()) {
      case float[] values -> Tensor.float32(copy(arena, values), input.shape());
      case long[] values ->
          Tensor.int64(
              arena
                  .allocate(Math.max(8, 8L * values.length), 64)
                  .asSlice(0, 8L * values.length)
                  .copyFrom(MemorySegment.ofArray(values)),
              input.shape());
      case null, default -> throw new IllegalStateException();
    };
  }

  private static MemorySegment copy(Arena arena, float[] values) {
    return arena
        .allocate(Math.max(4, 4L * values.length), 64)
        .asSlice(0, 4L * values.length)
        .copyFrom(MemorySegment.ofArray(values));
  }

  /** Numbers of a normal distribution. */
  static float[] normal(long seed, long... shape) {
    long count = 1;
    for (long extent : shape) {
      count *= extent;
    }
    Random random = new Random(seed);
    float[] values = new float[(int) count];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
