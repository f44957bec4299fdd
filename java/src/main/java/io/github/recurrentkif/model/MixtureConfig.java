package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.InputException;

/**
 * A mixture of low-rank experts: {@code y = x W^T + scale * sum over e of g_e(x) (dropout(x) A_e^T)
 * B_e^T} with {@code g(x) = softmax(x R^T)}, token by token, on every linear layer that the
 * low-rank adapter names. R [experts, in] is the router of the layer.
 *
 * @param lora all experts side by side in one: its rank is that of one times their number, and its
 *     scale that of one
 */
public record MixtureConfig(LoraConfig lora, int experts) implements AdapterConfig {

  public MixtureConfig {
    if (experts < 1) {
      throw new InputException("a mixture needs at least 1 expert, got " + experts);
    }
    if (lora.rank() % experts != 0) {
      throw new InputException(
          "a rank of %d cannot be divided among %d experts".formatted(lora.rank(), experts));
    }
  }

  /** A mixture of experts that are each like this. */
  public static MixtureConfig of(LoraConfig expert, int experts) {
    return new MixtureConfig(expert.sideBySide(experts), experts);
  }
}
