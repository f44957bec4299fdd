package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.ExactMatch;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.memory.AtomicFile;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import java.util.function.IntConsumer;
import tools.jackson.databind.ObjectMapper;

/** Asks a model the questions of the tasks of a run, and writes down its answers. */
final class Examiner {

  private final Evaluation evaluation;
  private final List<Task> tasks;
  private final RunFolder folder;
  private final RunListener listener;
  private final BooleanSupplier stop;
  private final ObjectMapper json = new ObjectMapper();

  Examiner(
      Evaluation evaluation,
      List<Task> tasks,
      RunFolder folder,
      RunListener listener,
      BooleanSupplier stop) {
    this.evaluation = evaluation;
    this.tasks = tasks;
    this.folder = folder;
    this.listener = listener;
    this.stop = stop;
  }

  /**
   * Accuracies on all tasks so far and, where there is one, on the next.
   *
   * @param beforeTask told which task's questions come next
   * @throws CancellationException if asked to stop
   */
  List<Double> examine(int after, EventLog events, IntConsumer beforeTask) {
    List<Double> accuracies = new ArrayList<>();
    for (int i = 0; i < Math.min(after + 2, tasks.size()); i++) {
      Task task = tasks.get(i);
      beforeTask.accept(i);
      listener.evaluationBegins(after, task.name(), task.evaluation().size());
      List<String> answers = evaluation.answers(task.evaluation(), listener::evaluated, stop);
      double accuracy = Evaluation.accuracy(task.evaluation(), answers);
      listener.evaluationEnds(after, task.name(), accuracy);
      writePredictions(after, task, answers);
      Map<String, Object> event = new LinkedHashMap<>();
      event.put("event", "evaluation");
      event.put("after", tasks.get(after).name());
      event.put("task", task.name());
      event.put("accuracy", accuracy);
      events.append(event);
      accuracies.add(accuracy);
    }
    return accuracies;
  }

  private void writePredictions(int after, Task task, List<String> answers) {
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < answers.size(); i++) {
      Sample sample = task.evaluation().get(i);
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("id", sample.id());
      line.put("prediction", answers.get(i));
      line.put("target", sample.target());
      line.put("correct", ExactMatch.matches(answers.get(i), sample.target()));
      lines.append(json.writeValueAsString(line)).append('\n');
    }
    AtomicFile.write(
        folder.predictions(after, tasks.get(after).name(), task.name()),
        lines.toString().getBytes(StandardCharsets.UTF_8));
  }
}
