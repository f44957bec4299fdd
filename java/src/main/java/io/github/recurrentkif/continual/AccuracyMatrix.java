package io.github.recurrentkif.continual;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/**
 * How well every task is mastered after each step of the stream, and the measures of continual
 * learning that follow from it. Below, a(i, j) is the accuracy on the test samples of task i after
 * training on tasks 1 to j, and K the number of tasks learned; in the code both count from 0. All
 * accuracies and measures are fractions, not percent, and not rounded. Every task weighs the same,
 * however many test samples it has.
 *
 * @param rows row j holds a(0, j), a(1, j), ...: at least the tasks learned so far, and further
 *     ones where the model was examined on tasks it had not learned yet
 */
public record AccuracyMatrix(List<List<Double>> rows) {

  /** Before the first task. */
  public static final AccuracyMatrix EMPTY = new AccuracyMatrix(List.of());

  /**
   * @throws IllegalArgumentException if a row leaves out a learned task, or an accuracy is not in
   *     [0, 1]
   */
  public AccuracyMatrix {
    rows = rows.stream().map(List::copyOf).toList();
    for (int after = 0; after < rows.size(); after++) {
      List<Double> row = rows.get(after);
      if (row.size() <= after) {
        throw new IllegalArgumentException(
            "after task %d all %d learned tasks must be examined, found %d accuracies"
                .formatted(after, after + 1, row.size()));
      }
      for (int task = 0; task < row.size(); task++) {
        double accuracy = row.get(task);
        if (!(accuracy >= 0 && accuracy <= 1)) {
          throw new IllegalArgumentException(
              "the accuracy of task %d after task %d must lie in [0, 1]: %s"
                  .formatted(task, after, accuracy));
        }
      }
    }
  }

  /**
   * This matrix and what was measured after one more task.
   *
   * @param accuracies of task 0, 1, ... in stream order: the learned ones, the newest included, and
   *     any number of those still to come
   */
  public AccuracyMatrix with(List<Double> accuracies) {
    List<List<Double>> more = new ArrayList<>(rows);
    more.add(accuracies);
    return new AccuracyMatrix(more);
  }

  /** How many tasks have been learned: K. */
  public int tasks() {
    return rows.size();
  }

  /** Whether a(task, after) was measured. */
  public boolean has(int task, int after) {
    return after >= 0 && after < tasks() && task >= 0 && task < rows.get(after).size();
  }

  /** a(task, after). */
  public double accuracy(int task, int after) {
    if (!has(task, after)) {
      throw new IllegalArgumentException(
          "the accuracy of task %d after task %d was not measured".formatted(task, after));
    }
    return rows.get(after).get(task);
  }

  /**
   * OP, overall performance: (1/K) sum over i of a(i, K). The average accuracy of Lopez-Paz and
   * Ranzato 2017; higher is better.
   *
   * @return empty before the first task
   */
  public OptionalDouble overallPerformance() {
    return tasks() == 0 ? OptionalDouble.empty() : OptionalDouble.of(meanOfLearned(tasks() - 1));
  }

  /**
   * BWT, backward transfer: (1/(K-1)) sum over i &lt; K of a(i, K) - a(i, i). Lopez-Paz and Ranzato
   * 2017, "Gradient Episodic Memory for Continual Learning"; negative where later tasks cost
   * earlier ones.
   *
   * @return empty with fewer than two tasks
   */
  public OptionalDouble backwardTransfer() {
    int last = tasks() - 1;
    return IntStream.range(0, Math.max(last, 0))
        .mapToDouble(task -> accuracy(task, last) - accuracy(task, task))
        .average();
  }

  /**
   * Forgetting: (1/(K-1)) sum over i &lt; K of max over i &le; j &lt; K of a(i, j) - a(i, K).
   * Chaudhry et al. 2018, "Riemannian Walk for Incremental Learning"; positive where a task was
   * once mastered better. What was measured before a task was learned does not count, so that the
   * value does not depend on whether it was measured.
   *
   * @return empty with fewer than two tasks
   */
  public OptionalDouble forgetting() {
    int last = tasks() - 1;
    return IntStream.range(0, Math.max(last, 0))
        .mapToDouble(
            task ->
                IntStream.range(task, last)
                        .mapToDouble(after -> accuracy(task, after))
                        .max()
                        .orElseThrow()
                    - accuracy(task, last))
        .average();
  }

  /**
   * FWT, forward transfer, zero-shot: (1/(K-1)) sum over i &gt; 1 of a(i, i-1), the accuracy on a
   * task just before it is learned. Lopez-Paz and Ranzato 2017 without their subtraction of an
   * untrained model's accuracy, which is 0 where an answer must be generated.
   *
   * @return empty with fewer than two tasks, or if any of these accuracies was not measured
   */
  public OptionalDouble zeroShotForwardTransfer() {
    if (!IntStream.range(1, tasks()).allMatch(task -> has(task, task - 1))) {
      return OptionalDouble.empty();
    }
    return IntStream.range(1, tasks()).mapToDouble(task -> accuracy(task, task - 1)).average();
  }

  /**
   * FWT, forward transfer, against training alone: (1/K) sum over i of a(i, i) - s(i). The measure
   * of the follow-up work AIMMerging (EMNLP 2025), over all K tasks; its released script leaves out
   * the last one.
   *
   * @param fromScratch s(i): the accuracy on task i of a model trained on that task only
   * @return empty before the first task
   */
  public OptionalDouble forwardTransfer(List<Double> fromScratch) {
    if (fromScratch.size() != tasks()) {
      throw new IllegalArgumentException(
          "forward transfer over %d tasks needs as many accuracies from scratch, got %d"
              .formatted(tasks(), fromScratch.size()));
    }
    return IntStream.range(0, tasks())
        .mapToDouble(task -> accuracy(task, task) - fromScratch.get(task))
        .average();
  }

  /**
   * Average anytime accuracy: (1/K) sum over j of the mean over i &le; j of a(i, j). The average
   * incremental accuracy of Rebuffi et al. 2017, "iCaRL", with the stream examined at the end of
   * each task.
   *
   * @return empty before the first task
   */
  public OptionalDouble averageAnytimeAccuracy() {
    return IntStream.range(0, tasks()).mapToDouble(this::meanOfLearned).average();
  }

  /** The mean accuracy after a task on all tasks learned by then. */
  private double meanOfLearned(int after) {
    return IntStream.rangeClosed(0, after)
        .mapToDouble(task -> accuracy(task, after))
        .average()
        .orElseThrow();
  }
}
