package io.github.recurrentkif.continual;

import io.github.recurrentkif.training.Update;

/**
 * What one task feeds to a method: the update at any place of it, so that a run can begin anywhere.
 *
 * <p>The same arguments give the same update, however often and in whatever order they are asked
 * for.
 *
 * @param <B> a micro-batch
 */
public interface TaskPlan<B> {

  /** How many updates on new data the task takes. */
  long updates();

  /**
   * The update on new data that follows {@code completed} others.
   *
   * @param completed from 0 to {@link #updates()} - 1
   */
  Update<B> inner(long completed);

  /** Whether there are earlier tasks to replay; not so in the first task. */
  boolean hasMemory();

  /**
   * An update on replayed data.
   *
   * @param completed updates on new data so far, from 0 to {@link #updates()}
   * @param repeat from 0, of those that follow these updates and precede the next
   * @throws IllegalStateException if there is no memory
   */
  Update<B> outer(long completed, int repeat);
}
