package io.github.recurrentkif.cli;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.experiment.RunResult;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;

/** The accuracy matrix of a run and its measures, for people: percent, one decimal. */
final class ResultTable {

  private ResultTable() {}

  static String of(RunResult result) {
    AccuracyMatrix matrix = result.matrix();
    return matrix(result, "accuracy % after")
        + "\n"
        + new Table("measure", "%", "meaning")
            .row(
                "OP",
                percent(matrix.overallPerformance()),
                "mean accuracy over all tasks at the end")
            .row("BWT", percent(matrix.backwardTransfer()), "change since each task was learned")
            .row(
                "FWT",
                percent(matrix.zeroShotForwardTransfer()),
                "accuracy on the next task before learning it")
            .row(
                "AAA",
                percent(matrix.averageAnytimeAccuracy()),
                "mean accuracy on the tasks seen, over time")
            .row("forgetting", percent(matrix.forgetting()), "loss since each task's best");
  }

  private static Table matrix(RunResult result, String corner) {
    List<String> names = result.configuration().tasks();
    AccuracyMatrix matrix = result.matrix();
    String[] header = new String[names.size() + 1];
    header[0] = corner;
    for (int i = 0; i < names.size(); i++) {
      header[i + 1] = names.get(i);
    }
    Table table = new Table(header);
    for (int after = 0; after < matrix.tasks(); after++) {
      Object[] row = new Object[header.length];
      row[0] = names.get(after);
      for (int task = 0; task < names.size(); task++) {
        row[task + 1] = matrix.has(task, after) ? percent(matrix.accuracy(task, after)) : "";
      }
      table.row(row);
    }
    return table;
  }

  /** Several methods on one stream: the matrix of each, then their measures side by side. */
  static String of(List<RunResult> results) {
    StringBuilder text = new StringBuilder();
    Table measures = new Table("method", "OP %", "BWT %", "FWT %", "forgetting %");
    for (RunResult result : results) {
      AccuracyMatrix matrix = result.matrix();
      String method = result.configuration().method().text();
      text.append('\n').append(matrix(result, method + ", % after"));
      measures.row(
          method,
          percent(matrix.overallPerformance()),
          percent(matrix.backwardTransfer()),
          percent(matrix.zeroShotForwardTransfer()),
          percent(matrix.forgetting()));
    }
    return text.append('\n').append(measures).toString();
  }

  private static String percent(OptionalDouble value) {
    return value.isPresent() ? percent(value.getAsDouble()) : "-";
  }

  private static String percent(double value) {
    String text = String.format(Locale.ROOT, "%.1f", 100 * value);
    return text.equals("-0.0") ? "0.0" : text;
  }
}
