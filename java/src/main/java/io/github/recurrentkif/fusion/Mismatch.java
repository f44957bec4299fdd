package io.github.recurrentkif.fusion;

import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.InputException;
import java.util.ArrayList;
import java.util.List;

/** Whether models can be fused: they have to have the same tensors in the same shapes. */
public final class Mismatch {

  private static final int SHOWN = 10;

  private Mismatch() {}

  /**
   * @throws InputException with the list of what differs
   */
  public static void requireNone(Weights expected, Weights found) {
    List<String> differences = new ArrayList<>();
    for (String name : expected.names()) {
      if (!found.contains(name)) {
        differences.add("'" + name + "' is missing in the second");
      } else if (!found.shape(name).equals(expected.shape(name))) {
        differences.add(
            "'%s' has shape %s in the first and %s in the second"
                .formatted(name, expected.shape(name), found.shape(name)));
      } else if (StoredWeights.isSupported(expected.dataType(name))
          != StoredWeights.isSupported(found.dataType(name))) {
        differences.add(
            "'%s' holds %s in the first and %s in the second"
                .formatted(name, expected.dataType(name), found.dataType(name)));
      }
    }
    for (String name : found.names()) {
      if (!expected.contains(name)) {
        differences.add("'" + name + "' is missing in the first");
      }
    }
    if (differences.isEmpty()) {
      return;
    }
    StringBuilder message =
        new StringBuilder(
            "%s and %s cannot be merged, %s:"
                .formatted(
                    expected.place(),
                    found.place(),
                    differences.size() == 1
                        ? "one tensor differs"
                        : differences.size() + " tensors differ"));
    differences.stream().limit(SHOWN).forEach(line -> message.append("\n  ").append(line));
    if (differences.size() > SHOWN) {
      message.append("\n  and ").append(differences.size() - SHOWN).append(" more");
    }
    throw new InputException(message.toString());
  }
}
