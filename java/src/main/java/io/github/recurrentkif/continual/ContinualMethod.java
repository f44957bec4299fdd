package io.github.recurrentkif.continual;

import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Resumable;

/**
 * A way of learning one task after another with the same weights.
 *
 * <p>Between two updates on new data, the learner's state, the method's state and the number of
 * completed updates are everything: a method restored from them goes on to the same bits. The
 * vectors of a method have the layout of the learner's weights.
 *
 * @param <B> a micro-batch
 */
public interface ContinualMethod<B> extends Resumable, AutoCloseable {

  MemoryUse memoryUse();

  /** Prepares for a new task, from whatever weights the learner has; not called on resuming. */
  void beginTask(Learner<B> learner);

  /**
   * Learns the task, or the rest of it.
   *
   * @param completed updates of this task already done: 0 after {@link #beginTask}
   * @param observer told of everything; may stop the method after any update
   * @return completed updates: {@link TaskPlan#updates()} unless the observer stopped it
   */
  long learn(TaskPlan<B> plan, long completed, Learner<B> learner, Observer observer);

  @Override
  void close();
}
