package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.InputException;

/**
 * A pool of soft prompts, of which those go before a text whose keys are most like it (Learning to
 * prompt; Wang et al., 2022). A soft prompt is a few vectors that stand where the embeddings of
 * tokens do: vector i of the pool is what the token with the number "vocabulary size + i" means.
 *
 * @param prompts in the pool
 * @param length vectors of each
 * @param chosen how many go before a text
 * @param pull weight of the loss that draws the chosen keys to the texts
 */
public record PromptPoolConfig(int prompts, int length, int chosen, double pull)
    implements AdapterConfig {

  /** The vectors of all prompts [prompts*length, width], those of one behind each other. */
  public static final String VECTORS = "prompts.weight";

  /** The input of a graph that holds answers: the vectors as they were before. */
  public static final String BEFORE = "prompts.before";

  /** Their keys [prompts, width]; they choose, and no graph reads them. */
  public static final String KEYS = "prompts.keys";

  public PromptPoolConfig {
    if (prompts < 1 || length < 1) {
      throw new InputException(
          "a pool needs prompts with at least one vector, got %d of %d".formatted(prompts, length));
    }
    if (chosen < 1 || chosen > prompts) {
      throw new InputException(
          "of a pool of %d prompts 1 to %d can be chosen for a text, got %d"
              .formatted(prompts, prompts, chosen));
    }
  }

  /** One prompt, before every text; its key has no part in anything. */
  public static PromptPoolConfig ofOne(int length) {
    return new PromptPoolConfig(1, length, 1, 0);
  }

  /** Vectors in the pool. */
  int vectors() {
    return prompts * length;
  }
}
