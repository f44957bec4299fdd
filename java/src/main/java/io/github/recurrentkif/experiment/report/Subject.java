package io.github.recurrentkif.experiment.report;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.RunSummary;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/**
 * What stands under one name and one colour: runs of one method with one choice of settings.
 *
 * @param number counts subjects from 0
 * @param finished whether its runs came to their end; if not, it is in no mean
 */
record Subject(int number, String label, List<RunSummary> runs, boolean finished) {

  private static final int COLOURS = 10;
  private static final List<String> DASHES = List.of("", "6 3", "2 2", "8 2 2 2");

  Subject {
    runs = List.copyOf(runs);
  }

  String colour() {
    return "var(--c" + number % COLOURS + ")";
  }

  /** Of a line; beyond ten colours the strokes differ. */
  String stroke() {
    String dash = DASHES.get(number / COLOURS % DASHES.size());
    return "stroke:" + colour() + (dash.isEmpty() ? "" : ";stroke-dasharray:" + dash);
  }

  static RunConfiguration configuration(RunSummary run) {
    return run.configuration().orElseThrow();
  }

  /** The runs by the order in which they learned their tasks. */
  SequencedMap<List<String>, List<RunSummary>> byOrder() {
    SequencedMap<List<String>, List<RunSummary>> orders = new LinkedHashMap<>();
    for (RunSummary run : runs) {
      orders.computeIfAbsent(configuration(run).tasks(), _ -> new ArrayList<>()).add(run);
    }
    return orders;
  }

  /** Mean accuracies of runs of one order; not a number where one of them has none. */
  static double[][] meanMatrix(List<RunSummary> runs) {
    int tasks = configuration(runs.getFirst()).tasks().size();
    double[][] mean = new double[tasks][tasks];
    for (int after = 0; after < tasks; after++) {
      for (int task = 0; task < tasks; task++) {
        double sum = 0;
        for (RunSummary run : runs) {
          AccuracyMatrix matrix = run.matrix();
          sum +=
              after < matrix.tasks() && matrix.has(task, after)
                  ? matrix.accuracy(task, after)
                  : Double.NaN;
        }
        mean[after][task] = sum / runs.size();
      }
    }
    return mean;
  }
}
