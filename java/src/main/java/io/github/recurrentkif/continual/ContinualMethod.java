package io.github.recurrentkif.continual;

import io.github.recurrentkif.continual.LearningEvent.AfterInner;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.Resumable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/**
 * A way of learning one task after another with the same weights. What is not overridden is plain
 * learning: no memory, a new optimiser for each task, one step for each update, no state.
 *
 * <p>Between two updates on new data, the learner's state, the method's state and the number of
 * completed updates are everything: a method restored from them goes on to the same bits. The
 * vectors of a method have the layout of the learner's weights.
 *
 * @param <B> a micro-batch
 */
public interface ContinualMethod<B> extends Resumable, AutoCloseable {

  default MemoryUse memoryUse() {
    return MemoryUse.NONE;
  }

  /**
   * Prepares for a new task, from whatever weights the learner has; not called on resuming.
   *
   * @param task its number in the stream, from 0
   */
  default void beginTask(int task, Learner<B> learner) {
    learner.newTask();
  }

  /** One update on new data, the one that follows {@code completed} others. */
  default Outcome update(TaskPlan<B> plan, long completed, Learner<B> learner) {
    return learner.update(plan.inner(completed));
  }

  /** What is to be done when the last update of a task is; part of that update. */
  default void endTask(TaskPlan<B> plan, Learner<B> learner) {}

  /**
   * Learns the task, or the rest of it.
   *
   * @param completed updates of this task already done: 0 after {@link #beginTask}
   * @param observer told of everything; may stop the method after any update
   * @return completed updates: {@link TaskPlan#updates()} unless the observer stopped it
   */
  default long learn(TaskPlan<B> plan, long completed, Learner<B> learner, Observer observer) {
    long done = completed;
    while (done < plan.updates()) {
      Outcome outcome = update(plan, done, learner);
      done++;
      observer.on(new AfterInner(done, outcome));
      if (done == plan.updates()) {
        endTask(plan, learner);
      }
      if (observer.stopsAfter(done)) {
        break;
      }
    }
    return done;
  }

  /**
   * Puts in place the weights that answer the questions of a task; not called while a task is being
   * learned. A method with one set of weights for all tasks has nothing to do.
   *
   * @param task its number in the stream, from 0; perhaps not learned yet
   */
  default void beforeQuestions(int task, Learner<B> learner) {}

  @Override
  default SequencedMap<String, ParameterVector> vectors() {
    return new LinkedHashMap<>();
  }

  @Override
  default SequencedMap<String, Long> counters() {
    return new LinkedHashMap<>();
  }

  @Override
  default void restore(Map<String, Long> counters) {
    Resumable.requireNames(this, counters);
  }

  @Override
  default void close() {}
}
