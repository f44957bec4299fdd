package io.github.recurrentkif.data.world;

import io.github.recurrentkif.data.Split;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * The tasks of the world as files of the benchmark's format: {@code train/TASK.json}, {@code
 * dev/TASK.json}, {@code test/TASK.json}. No text stands in a task twice, so that its splits are
 * disjoint; the classes are as even as the number of samples allows.
 *
 * @param seed of every choice; a larger split begins with what a smaller one has
 */
public record GeneratedTasks(long seed, int trainSamples, int devSamples, int testSamples) {

  /** Draws that may repeat a text before the world counts as told. */
  private static final int PATIENCE = 5000;

  private static final JsonMapper JSON =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  /**
   * @throws InputException if a number of samples is not positive
   */
  public GeneratedTasks {
    if (trainSamples < 1 || devSamples < 1 || testSamples < 1) {
      throw new InputException(
          "every split of a generated task needs at least one sample, asked for %d, %d and %d"
              .formatted(trainSamples, devSamples, testSamples));
    }
  }

  /**
   * Writes all tasks. Files of an earlier call are replaced.
   *
   * @throws InputException if the folder cannot be written, or the world has not so many different
   *     texts
   */
  public void write(Path folder) {
    for (WorldTask task : WorldTask.values()) {
      Set<String> told = new HashSet<>();
      // A name's hash is the same everywhere, and the same if tasks are added.
      RandomKey key = RandomKey.ofSeed(seed).at(task.text().hashCode());
      for (Split split : Split.values()) {
        write(
            folder.resolve(split.folder()).resolve(task.text() + ".json"),
            records(task, split, told, key.at(split.folder().hashCode())));
      }
    }
  }

  private int samples(Split split) {
    return switch (split) {
      case TRAIN -> trainSamples;
      case DEVELOPMENT -> devSamples;
      case TEST -> testSamples;
    };
  }

  private List<Map<String, String>> records(
      WorldTask task, Split split, Set<String> told, RandomKey key) {
    Dialect dialect = task.dialect();
    int classes = dialect.family().classes();
    Draw draw = new Draw(key);
    List<Integer> round = List.of();
    List<Map<String, String>> records = new ArrayList<>();
    for (int i = 0; i < samples(split); i++) {
      if (i % classes == 0) {
        List<Integer> all = new ArrayList<>();
        for (int label = 0; label < classes; label++) {
          all.add(label);
        }
        round = draw.several(classes, all);
      }
      Question question = unheard(task, round.get(i % classes), told, draw);
      Map<String, String> record = new LinkedHashMap<>();
      record.put("id", task.text() + "_" + split.folder() + "_" + i);
      record.put("instruction", dialect.instruction());
      record.put("input", Dialect.input(question));
      record.put("output", dialect.labels().get(question.label()));
      records.add(record);
    }
    return records;
  }

  private static Question unheard(WorldTask task, int label, Set<String> told, Draw draw) {
    for (int attempt = 0; attempt < PATIENCE; attempt++) {
      Question question = task.dialect().family().ask(label, draw);
      if (question.keptForTasks() && told.add(question.text())) {
        return question;
      }
    }
    throw new InputException(
        "the generated world has only about %d different texts for the task %s; ask for fewer samples"
            .formatted(told.size(), task.text()));
  }

  private static void write(Path file, List<Map<String, String>> records) {
    AtomicFile.write(file, JSON.writeValueAsBytes(records));
  }
}
