package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.data.TaskFiles;
import io.github.recurrentkif.data.TaskReader;
import io.github.recurrentkif.experiment.MethodName;
import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.experiment.Setting;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a run has to do, counted in samples, each as often as it is read. What a method does besides
 * (updates on memory, estimates of importance) is part of its speed, not of this count.
 *
 * @param learned of each task, over all epochs
 * @param examined of each task, in one examination of it
 */
public record Workload(List<Long> learned, List<Integer> examined) {

  /** So much of a workload, in the same units. */
  public record Amount(double learned, double answered) {

    Amount minus(Amount other) {
      return new Amount(learned - other.learned, answered - other.answered);
    }

    Amount plus(Amount other) {
      return new Amount(learned + other.learned, answered + other.answered);
    }
  }

  static final Amount NOTHING = new Amount(0, 0);

  public Workload {
    learned = List.copyOf(learned);
    examined = List.copyOf(examined);
  }

  /** Counts the samples of tasks; each file is read once. */
  public static final class Counter {

    private record Sizes(int train, int evaluation) {}

    private final Map<Path, Sizes> sizes = new HashMap<>();

    /**
     * The workload of a run.
     *
     * @throws InputException if a task cannot be read
     */
    public Workload of(RunConfiguration configuration) {
      Settings settings = configuration.settings();
      List<Long> learned = new ArrayList<>();
      List<Integer> examined = new ArrayList<>();
      for (String name : configuration.tasks()) {
        Path key = configuration.data().toAbsolutePath().normalize().resolve(name);
        Sizes of = sizes.get(key);
        if (of == null) {
          Task task = new TaskReader(new TaskFiles(configuration.data())).read(name);
          of = new Sizes(task.train().size(), task.evaluation().size());
          sizes.put(key, of);
        }
        int train = limited(of.train(), settings, Settings.MAXIMUM_TRAIN_SAMPLES);
        learned.add((long) train * settings.get(Settings.EPOCHS));
        examined.add(limited(of.evaluation(), settings, Settings.MAXIMUM_TEST_SAMPLES));
      }
      if (configuration.method() == MethodName.JOINT) {
        // All of it is learned as the first task.
        long all = learned.stream().mapToLong(Long::longValue).sum();
        learned.replaceAll(_ -> 0L);
        learned.set(0, all);
      }
      return new Workload(learned, examined);
    }

    private static int limited(int size, Settings settings, Setting<Integer> setting) {
      int limit = settings.get(setting);
      return limit == 0 ? size : Math.min(size, limit);
    }
  }

  /** All of it. */
  public Amount total() {
    return before(learned.size());
  }

  /** What is done when a task begins: all tasks before it are learned and examined. */
  private Amount before(int task) {
    double samples = 0;
    double answers = 0;
    for (int t = 0; t < Math.min(task, learned.size()); t++) {
      samples += learned.get(t);
      answers += examinedAfter(t, t + 2);
    }
    return new Amount(samples, answers);
  }

  /** A run is examined on the tasks it has learned and on the next one. */
  private double examinedAfter(int task, int end) {
    return examined.subList(0, Math.min(Math.min(end, task + 2), examined.size())).stream()
        .mapToInt(Integer::intValue)
        .sum();
  }

  /** What is done when a process says so. */
  Amount at(WorkerMessage message) {
    return switch (message) {
      case WorkerMessage.Learning(int task, long completed, long updates) ->
          before(task)
              .plus(new Amount(learned.get(task) * (double) completed / Math.max(1, updates), 0));
      case WorkerMessage.Examining(int after, int task, int answered) ->
          before(after).plus(new Amount(learned.get(after), examinedAfter(after, task) + answered));
    };
  }

  /** What a run that nobody works on has behind it; updates inside a task are not counted. */
  Amount done(RunSummary run) {
    return before(run.tasksDone());
  }
}
