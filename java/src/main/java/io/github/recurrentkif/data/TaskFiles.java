package io.github.recurrentkif.data;

import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * The files of a data folder: {@code train/TASK.json} with the instruction apart, or {@code
 * train/TASK_T5.json} with the instruction merged into the text; likewise in {@code dev/} and
 * {@code test/}.
 *
 * @param folder holds {@code train/} and at least one of {@code dev/} and {@code test/}
 */
public record TaskFiles(Path folder) {

  private static final String PLAIN = ".json";
  private static final String MERGED = "_T5.json";

  /**
   * @throws InputException if there is no such folder, or no {@code train/} in it
   */
  public TaskFiles {
    Path train = folder.resolve(Split.TRAIN.folder());
    if (!Files.isDirectory(train)) {
      throw new InputException(
          "%s: expected a data folder with train/, dev/ and test/, found %s; name the folder that holds the tasks"
              .formatted(folder, Files.isDirectory(folder) ? "no train/ in it" : "no such folder"));
    }
  }

  /**
   * A file of one split of one task.
   *
   * @param instructionMerged whether the text already begins with the instruction
   */
  record TaskFile(Path path, boolean instructionMerged) {}

  /** The names of all tasks that can be trained. */
  public SortedSet<String> names() {
    TreeSet<String> names = new TreeSet<>();
    Path train = folder.resolve(Split.TRAIN.folder());
    try (Stream<Path> files = Files.list(train)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        String name = String.valueOf(file.getFileName());
        if (!Files.isRegularFile(file)) {
          continue;
        }
        if (name.endsWith(MERGED)) {
          names.add(name.substring(0, name.length() - MERGED.length()));
        } else if (name.endsWith(PLAIN)) {
          names.add(name.substring(0, name.length() - PLAIN.length()));
        }
      }
    } catch (IOException e) {
      throw InputException.unreadable(train, e);
    }
    return Collections.unmodifiableSortedSet(names);
  }

  /**
   * The training file of a task.
   *
   * @throws InputException if there is none; lists the tasks there are
   */
  TaskFile train(String task) {
    // A name that is not listed is never resolved: it may hold a separator.
    SortedSet<String> names = names();
    if (!names.contains(task)) {
      throw new InputException(
          "%s: expected task '%s', found %s; check the name or add train/%s.json"
              .formatted(
                  folder,
                  task,
                  names.isEmpty() ? "no tasks" : "only " + String.join(", ", names),
                  task));
    }
    return find(task, Split.TRAIN).orElseThrow();
  }

  /** The file of one split of a task, the plain one where both forms exist. */
  Optional<TaskFile> find(String task, Split split) {
    Path directory = folder.resolve(split.folder());
    return Stream.of(
            new TaskFile(directory.resolve(task + PLAIN), false),
            new TaskFile(directory.resolve(task + MERGED), true))
        .filter(file -> Files.isRegularFile(file.path()))
        .findFirst();
  }
}
