package io.github.recurrentkif.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The weights of a new adapter, as PEFT sets them: B zero, so that the model is unchanged at first,
 * and A uniform in {@code [-1/sqrt(in), 1/sqrt(in))} (Kaiming with a = sqrt 5), as routers are. An
 * attention over tasks begins with no key, a gain of 1 and no bias.
 */
public final class AdapterInitialization {

  private AdapterInitialization() {}

  /** Overwrites a vector of adapter matrices; the same key gives the same weights. */
  public static void initialize(ParameterVector weights, RandomKey key) {
    int index = 0;
    for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
      boolean drawn = isDrawn(tensor.name());
      double bound = drawn ? 1 / Math.sqrt((double) tensor.shape().dimension(1)) : 0;
      float constant = tensor.name().equals(TaskAttentionConfig.GAIN) ? 1 : 0;
      RandomKey tensorKey = key.at(index++);
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment values = arena.allocate(tensor.elements() * JAVA_FLOAT.byteSize(), 4);
        for (long i = 0; i < tensor.elements(); i++) {
          double uniform = tensorKey.at(i).uniform();
          values.setAtIndex(JAVA_FLOAT, i, drawn ? (float) (bound * (2 * uniform - 1)) : constant);
        }
        weights.upload(tensor.name(), values);
      }
    }
  }

  private static boolean isDrawn(String name) {
    return switch (name) {
      case TaskAttentionConfig.KEYS, TaskAttentionConfig.GAIN, TaskAttentionConfig.BIAS -> false;
      default -> !name.endsWith(".lora_B.weight");
    };
  }
}
