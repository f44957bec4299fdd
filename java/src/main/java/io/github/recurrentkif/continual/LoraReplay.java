package io.github.recurrentkif.continual;

/**
 * Experience replay: one adapter, trained on each task's samples together with those kept from the
 * tasks before, shuffled. It differs from {@link SequentialLora} only in what the plan is made of.
 */
public final class LoraReplay<B> implements ContinualMethod<B> {

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.MIXED;
  }
}
