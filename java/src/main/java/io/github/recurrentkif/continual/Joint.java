package io.github.recurrentkif.continual;

/**
 * The upper bound: one adapter, trained on the samples of all tasks together (MTL in the tables of
 * the field). It learns in the first task of the stream; the others have no updates and are only
 * examined, so every row of the accuracy matrix is of the same weights and its backward transfer is
 * 0 by construction.
 */
public final class Joint<B> implements ContinualMethod<B> {

  @Override
  public MemoryUse memoryUse() {
    return MemoryUse.ALL_AT_ONCE;
  }
}
