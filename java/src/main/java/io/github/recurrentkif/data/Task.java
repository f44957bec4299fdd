package io.github.recurrentkif.data;

import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;

/**
 * What is to be learned at one place of the stream, and how it is examined.
 *
 * @param train in file order
 * @param evaluation in file order
 * @param evaluationSplit where {@code evaluation} comes from: {@link Split#TEST}, or {@link
 *     Split#DEVELOPMENT} because the task has no test file; a report must say which
 * @param trainFile the file {@code train} was read from
 * @param evaluationFile the file {@code evaluation} was read from
 */
public record Task(
    String name,
    List<Sample> train,
    List<Sample> evaluation,
    Split evaluationSplit,
    Path trainFile,
    Path evaluationFile) {

  public Task {
    train = List.copyOf(train);
    evaluation = List.copyOf(evaluation);
  }

  /** The distinct targets of the training samples, in the order they first appear. */
  public List<String> classes() {
    LinkedHashSet<String> classes = new LinkedHashSet<>();
    train.forEach(sample -> classes.add(sample.target()));
    return List.copyOf(classes);
  }
}
