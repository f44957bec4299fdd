package io.github.recurrentkif.experiment;

import io.github.recurrentkif.data.SampleLimits;
import io.github.recurrentkif.data.Split;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.data.TaskFiles;
import io.github.recurrentkif.data.TaskReader;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.ModelFolder;
import java.nio.file.Path;
import java.util.List;

/** What a run reads: opened and checked before anything is written. */
record RunInputs(ModelFolder model, Tokenizer tokenizer, List<Task> tasks)
    implements AutoCloseable {

  /**
   * @param cache where converted weights are kept
   * @throws InputException if the model, its tokenizer or a task cannot be read
   */
  static RunInputs open(RunConfiguration configuration, Path cache) {
    TaskReader reader = new TaskReader(new TaskFiles(configuration.data()));
    Settings settings = configuration.settings();
    SampleLimits limits =
        new SampleLimits(
            limit(settings.get(Settings.MAXIMUM_TRAIN_SAMPLES)),
            limit(settings.get(Settings.MAXIMUM_TEST_SAMPLES)));
    List<Task> tasks =
        configuration.tasks().stream().map(name -> reader.read(name, limits)).toList();
    ModelFolder model = ModelFolder.open(configuration.model(), cache);
    try {
      return new RunInputs(model, Tokenizer.open(configuration.model()), tasks);
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  private static int limit(int setting) {
    return setting == 0 ? Integer.MAX_VALUE : setting;
  }

  /** The names of tasks whose development split stands in for a missing test split. */
  List<String> tasksWithoutTest() {
    return tasks.stream()
        .filter(task -> task.evaluationSplit() == Split.DEVELOPMENT)
        .map(Task::name)
        .toList();
  }

  @Override
  public void close() {
    tokenizer.close();
    model.close();
  }
}
