package io.github.recurrentkif.data.world;

import io.github.recurrentkif.data.Sample;
import java.util.List;

/**
 * One way to put the questions of a family: what is asked, and the words for the classes.
 *
 * @param request the question of the instruction, with its mark
 * @param labels the word of each class
 */
record Dialect(Family family, String request, List<String> labels) {

  Dialect {
    labels = List.copyOf(labels);
    if (labels.size() != family.classes()) {
      throw new IllegalArgumentException(
          family + " has " + family.classes() + " classes, got the labels " + labels);
    }
  }

  static Dialect of(Family family, String request, String... labels) {
    return new Dialect(family, request, List.of(labels));
  }

  /** What stands before the text, as in the benchmark. */
  String instruction() {
    return request + " Choose one from the option. Option: " + String.join(", ", labels) + ".\n";
  }

  /** The same in short. */
  private String briefInstruction() {
    return request + " Option: " + String.join(", ", labels) + ".\n";
  }

  /** The text as it stands behind the instruction. */
  static String input(Question question) {
    return question.text() + "\nAnswer:";
  }

  Sample sample(String id, Question question, boolean brief) {
    return new Sample(
        id,
        (brief ? briefInstruction() : instruction()) + input(question),
        labels.get(question.label()));
  }
}
