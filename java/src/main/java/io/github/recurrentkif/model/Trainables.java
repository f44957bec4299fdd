package io.github.recurrentkif.model;

import org.jspecify.annotations.Nullable;

/** Which parameters of a model are trained. */
public sealed interface Trainables {

  /** Those of an adapter; the backbone stays as it is. */
  record Adapter(AdapterConfig config) implements Trainables {

    /** The low-rank matrices among them; null where there are none. */
    @Nullable LoraConfig lora() {
      return switch (config) {
        case LoraConfig lora -> lora;
        case MixtureConfig mixture -> mixture.lora();
        case TaskAttentionConfig attention -> attention.lora();
        case PromptPoolConfig _ -> null;
      };
    }
  }

  /** Every weight of the backbone. */
  record EveryWeight() implements Trainables {}

  /** None: the model as it is, for evaluation. */
  record Nothing() implements Trainables {}
}
