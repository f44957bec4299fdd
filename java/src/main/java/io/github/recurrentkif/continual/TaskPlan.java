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

  /** The number of the task in its stream, from 0; a plan that stands alone is the first. */
  default int task() {
    return 0;
  }

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

  /** How many samples the task has to be looked at one by one; 0 if the plan gives none. */
  default long samples() {
    return 0;
  }

  /**
   * One sample of the task by itself, to be measured and not learned from: its learning rate is 0.
   *
   * @param number from 0 to {@link #samples()} - 1
   */
  default Update<B> sample(long number) {
    throw new IllegalStateException("this plan gives no single samples");
  }

  /** The plan of a task in which nothing is left to learn. */
  static <B> TaskPlan<B> nothing() {
    return new Nothing<>();
  }

  /** See {@link #nothing}. */
  record Nothing<B>() implements TaskPlan<B> {

    @Override
    public long updates() {
      return 0;
    }

    @Override
    public Update<B> inner(long completed) {
      throw new IllegalStateException("nothing is learned in this task");
    }

    @Override
    public boolean hasMemory() {
      return false;
    }

    @Override
    public Update<B> outer(long completed, int repeat) {
      throw new IllegalStateException("this task has no memory to replay");
    }
  }
}
