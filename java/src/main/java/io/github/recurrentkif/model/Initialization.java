package io.github.recurrentkif.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** The weights of a new model. */
public enum Initialization {
  /**
   * As Hugging Face sets them: norms one, biases zero, everything else normal around zero. A T5's
   * deviations keep unscaled attention scores and activations of order one ({@code
   * T5PreTrainedModel} with initializer factor 1); those of a LLaMA are all {@value
   * #LLAMA_DEVIATION}.
   */
  STANDARD {
    @Override
    Start start(String name, ModelConfig config) {
      return switch (config) {
        case T5Config t5 -> new Start(name, deviation(name, t5));
        case LlamaConfig _ -> new Start(name, name.endsWith(".bias") ? 0 : LLAMA_DEVIATION);
      };
    }
  },

  /**
   * As {@link #STANDARD}, but the encoder's attention starts with structure (in the spirit of
   * Trockman and Kolter, 2023, "Mimetic Initialization of Self-Attention Layers"): in the first
   * half of the heads queries and keys are equal, so that a word first attends to the same word
   * elsewhere; the other heads attend to neighbours, in turns to the left and to the right. A small
   * model finds such heads by itself only after many thousand updates. For T5 only.
   */
  MIMETIC {
    @Override
    Start start(String name, ModelConfig config) {
      return switch (config) {
        case T5Config t5 -> start(name, t5);
        case LlamaConfig llama ->
            throw new InputException(
                "initialization=mimetic is for T5, and this is a %s; set initialization=standard"
                    .formatted(llama.family()));
      };
    }

    private static Start start(String name, T5Config config) {
      boolean encoder = name.startsWith("encoder.");
      if (encoder && (name.endsWith(".q.weight") || name.endsWith(".k.weight"))) {
        // The product of the deviations is that of the standard.
        double deviation =
            1 / (Math.sqrt(config.modelWidth()) * Math.pow(config.headWidth(), 0.25));
        return new Start(name.replace(".k.weight", ".q.weight"), deviation) {
          @Override
          double at(long index, RandomKey own, RandomKey shared) {
            long head = index / ((long) config.headWidth() * config.modelWidth());
            return deviation * normal((matching(head, config) ? shared : own).at(index));
          }
        };
      }
      if (encoder && name.endsWith(".relative_attention_bias.weight")) {
        return new Start(name, deviation(name, config)) {
          @Override
          double at(long index, RandomKey own, RandomKey shared) {
            return super.at(index, own, shared)
                + preference(index / config.heads(), index % config.heads(), config);
          }
        };
      }
      return STANDARD.start(name, config);
    }

    private static boolean matching(long head, T5Config config) {
      return head < config.heads() / 2;
    }

    // Half of the buckets are for keys to the right; near distances have one bucket each.
    private static double preference(long bucket, long head, T5Config config) {
      long side = config.buckets() / 2L;
      if (matching(head, config)) {
        return bucket == 0 ? NOT_ITSELF : 0;
      }
      long first = head % 2 == 0 ? 0 : side;
      return bucket > first && bucket <= first + NEIGHBOURS ? TOWARDS_NEIGHBOURS : 0;
    }
  };

  /** {@code initializer_range} where config.json names none. */
  private static final double LLAMA_DEVIATION = 0.02;

  private static final double NOT_ITSELF = -6;
  private static final double TOWARDS_NEIGHBOURS = 3;
  private static final int NEIGHBOURS = 3;

  /** How a tensor starts; {@code sharing} names the tensor whose draws it may take. */
  static class Start {

    final String sharing;
    private final double deviation;

    Start(String sharing, double deviation) {
      this.sharing = sharing;
      this.deviation = deviation;
    }

    double at(long index, RandomKey own, RandomKey shared) {
      return deviation * normal(own.at(index));
    }
  }

  abstract Start start(String name, ModelConfig config);

  /**
   * Overwrites a vector that holds every weight; the same key gives the same weights.
   *
   * @throws InputException if there is no such start for the family of the model
   */
  public void initialize(ParameterVector weights, ModelConfig config, RandomKey key) {
    Map<String, RandomKey> keys = new TreeMap<>();
    int index = 0;
    for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
      keys.put(tensor.name(), key.at(index++));
    }
    for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
      boolean norm = tensor.name().endsWith("norm.weight");
      Start start = norm ? new Start(tensor.name(), 0) : start(tensor.name(), config);
      RandomKey own = Objects.requireNonNull(keys.get(tensor.name()));
      RandomKey shared = Objects.requireNonNull(keys.get(start.sharing));
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment values = arena.allocate(tensor.elements() * JAVA_FLOAT.byteSize(), 4);
        for (long i = 0; i < tensor.elements(); i++) {
          values.setAtIndex(JAVA_FLOAT, i, norm ? 1f : (float) start.at(i, own, shared));
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
    double second = key.at(1).uniform();
    return Math.sqrt(-2 * Math.log(first)) * Math.cos(2 * Math.PI * second);
  }
}
