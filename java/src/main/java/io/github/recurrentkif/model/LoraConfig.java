package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.InputException;
import java.util.SequencedSet;

/**
 * A low-rank adapter (LoRA, Hu et al., 2021) as PEFT applies it: {@code y = x W^T + (alpha/rank)
 * (dropout(x) A^T) B^T} on every linear layer whose name ends with one of the targets.
 *
 * @param targets last parts of module names: {@code q}, {@code v}, ...
 * @param observed whether the training graphs also say how large the adapter's outputs are
 */
public record LoraConfig(
    int rank, double alpha, double dropout, SequencedSet<String> targets, boolean observed)
    implements AdapterConfig {

  /** An adapter that is trained and not observed. */
  public LoraConfig(int rank, double alpha, double dropout, SequencedSet<String> targets) {
    this(rank, alpha, dropout, targets, false);
  }

  public LoraConfig {
    if (rank < 1) {
      throw new InputException("the rank of an adapter must be at least 1, got " + rank);
    }
    if (!(alpha > 0)) {
      throw new InputException("the alpha of an adapter must be positive, got " + alpha);
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new InputException("the dropout of an adapter must lie in [0, 1), got " + dropout);
    }
    if (targets.isEmpty()) {
      throw new InputException("an adapter needs at least one target module, such as q or v");
    }
  }

  /** The same, and observed. */
  public LoraConfig withObservation() {
    return new LoraConfig(rank, alpha, dropout, targets, true);
  }

  /** So many of these in one, with the scale of each: their matrices lie side by side. */
  public LoraConfig sideBySide(int count) {
    return new LoraConfig(rank * count, alpha * count, dropout, targets, observed);
  }

  public float scale() {
    return (float) (alpha / rank);
  }

  /** Whether a module is adapted: its name is a target or ends with a dot and a target. */
  public boolean adapts(String module) {
    return targets.stream().anyMatch(t -> module.equals(t) || module.endsWith("." + t));
  }
}
