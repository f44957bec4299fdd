package io.github.recurrentkif.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The weights of a new T5, as Hugging Face's {@code T5PreTrainedModel} sets them with initializer
 * factor 1: norms one, everything else normal around zero, with the deviation that keeps unscaled
 * attention scores and activations of order one.
 */
public final class T5Initialization {

  private T5Initialization() {}

  /** Overwrites a vector that holds every weight; the same key gives the same weights. */
  public static void initialize(ParameterVector weights, T5Config config, RandomKey key) {
    int index = 0;
    for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
      RandomKey tensorKey = key.at(index++);
      boolean norm = tensor.name().endsWith("layer_norm.weight");
      double deviation = norm ? 0 : deviation(tensor.name(), config);
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment values = arena.allocate(tensor.elements() * JAVA_FLOAT.byteSize(), 4);
        for (long i = 0; i < tensor.elements(); i++) {
          values.setAtIndex(
              JAVA_FLOAT, i, norm ? 1f : (float) (deviation * normal(tensorKey.at(i))));
        }
        weights.upload(tensor.name(), values);
      }
    }
  }

  private static double deviation(String name, T5Config config) {
    String module = name.substring(0, name.lastIndexOf(".weight"));
    double width = config.modelWidth();
    return switch (module.substring(module.lastIndexOf('.') + 1)) {
      case "shared", "lm_head" -> 1;
      case "q" -> 1 / Math.sqrt(width * config.headWidth());
      case "k", "v", "relative_attention_bias", "wi", "wi_0", "wi_1" -> 1 / Math.sqrt(width);
      case "o" -> 1 / Math.sqrt(config.innerWidth());
      case "wo" -> 1 / Math.sqrt(config.feedForwardWidth());
      default -> throw new IllegalStateException("no initialisation is known for " + name);
    };
  }

  /** One draw from the standard normal distribution (Box and Muller, 1958). */
  private static double normal(RandomKey key) {
    double first = ((key.at(0).bits() >>> 11) + 1) * 0x1p-53;
    double second = (key.at(1).bits() >>> 11) * 0x1p-53;
    return Math.sqrt(-2 * Math.log(first)) * Math.cos(2 * Math.PI * second);
  }
}
