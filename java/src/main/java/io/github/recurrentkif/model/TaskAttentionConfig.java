package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.Shape;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/**
 * A low-rank adapter for each task of a stream, weighed text by text by an attention over the tasks
 * (SAPT; Zhao et al., 2024): {@code y = x W^T + scale * sum over t of a_t(text) (dropout(x) A_t^T)
 * B_t^T} with
 *
 * <pre>
 * e = the largest value of each element over the embeddings of the text's tokens
 * q = norm(up silu(down e)), the norm with mean, gain and bias
 * a = softmax over the tasks that have a key of (k_t . q) / (temperature * sqrt(width))
 * </pre>
 *
 * <p>A task whose key is 0 has none, and a = 0.
 *
 * @param lora the adapters of all tasks side by side in one
 * @param hidden width between down [hidden, width] and up [width, hidden]
 */
public record TaskAttentionConfig(LoraConfig lora, int tasks, int hidden, double temperature)
    implements AdapterConfig {

  /** The input of the graphs that says a_t(text), [texts, tasks]; it has a gradient. */
  public static final String GATES = "gates";

  /** The inputs of the graphs that say whose text each row of a side belongs to. */
  public static final String SOURCE_TEXTS = "source_texts";

  public static final String TARGET_TEXTS = "target_texts";

  /** [tasks, width]. */
  public static final String KEYS = "attention.keys";

  public static final String DOWN = "attention.down.weight";
  public static final String UP = "attention.up.weight";
  public static final String GAIN = "attention.norm.weight";
  public static final String BIAS = "attention.norm.bias";

  public TaskAttentionConfig {
    if (tasks < 1 || lora.rank() % tasks != 0) {
      throw new InputException(
          "a rank of %d cannot be divided among %d tasks".formatted(lora.rank(), tasks));
    }
    if (hidden < 1 || !(temperature > 0)) {
      throw new InputException(
          "an attention over tasks needs a hidden width and a temperature above 0, got %d and %s"
              .formatted(hidden, temperature));
    }
  }

  /** The attention's own parameters: the host computes it, no graph reads them. */
  SequencedMap<String, Shape> parameters(int width) {
    SequencedMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put(KEYS, Shape.of(tasks, width));
    shapes.put(DOWN, Shape.of(hidden, width));
    shapes.put(UP, Shape.of(width, hidden));
    shapes.put(GAIN, Shape.of(width));
    shapes.put(BIAS, Shape.of(width));
    return shapes;
  }
}
