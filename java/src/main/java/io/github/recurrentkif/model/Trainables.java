package io.github.recurrentkif.model;

/** Which parameters of a model are trained. */
public sealed interface Trainables {

  /** The matrices of a low-rank adapter; the backbone stays as it is. */
  record Adapter(LoraConfig lora) implements Trainables {}

  /** Every weight of the backbone. */
  record EveryWeight() implements Trainables {}

  /** None: the model as it is, for evaluation. */
  record Nothing() implements Trainables {}
}
