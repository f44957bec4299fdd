package io.github.recurrentkif.fusion;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.PeftAdapter;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/** The factors of an adapter. */
public final class AdapterFile {

  private AdapterFile() {}

  /**
   * Opens a file that holds pairs of factors and nothing else.
   *
   * @param rank of every pair, as the adapter's configuration has it
   * @throws InputException if it cannot be read, or holds something else
   */
  static SafetensorsFile open(Path adapter, int rank) {
    SafetensorsFile file = read(adapter);
    try {
      for (String name : file.names()) {
        AdapterName parsed =
            AdapterName.parse(name)
                .orElseThrow(
                    () ->
                        new InputException(
                            "%s: tensor '%s' is no factor of a LoRA pair (…lora_A.weight or …lora_B.weight); --adapters factors merges tensors of any name"
                                .formatted(file.path(), name)));
        requireFactor(file, name, parsed, rank);
      }
      return file;
    } catch (InputException e) {
      file.close();
      throw e;
    }
  }

  /**
   * @param rank of every pair, as the adapter's configuration has it
   * @throws InputException if it cannot be read, or a factor of a pair is of another rank, or alone
   */
  public static void requirePairs(Path adapter, int rank) {
    try (SafetensorsFile file = read(adapter)) {
      for (String name : file.names()) {
        AdapterName.parse(name).ifPresent(parsed -> requireFactor(file, name, parsed, rank));
      }
    }
  }

  private static SafetensorsFile read(Path adapter) {
    try {
      return SafetensorsFile.open(adapter.resolve(PeftAdapter.WEIGHTS));
    } catch (IOException e) {
      throw InputException.unreadable(adapter, e);
    }
  }

  private static void requireFactor(
      SafetensorsFile file, String name, AdapterName parsed, int rank) {
    String other = parsed.isA() ? parsed.b() : parsed.a();
    if (!file.contains(other)) {
      throw new InputException(
          "%s: tensor '%s' is missing beside '%s'; export the adapter again"
              .formatted(file.path(), other, name));
    }
    Shape shape = file.shape(name);
    if (shape.rank() != 2 || shape.dimension(parsed.isA() ? 0 : 1) != rank) {
      throw InputException.expected(
          file.path() + ": tensor '" + name + "'",
          "shape " + (parsed.isA() ? "[" + rank + ", in]" : "[out, " + rank + "]"),
          shape,
          "give the %s that belongs to it (its 'r' is %d), or export the adapter again"
              .formatted(PeftAdapter.CONFIG, rank));
    }
  }

  /**
   * A factor in float32.
   *
   * @throws InputException if it is stored in another type than those that are merged, or a value
   *     is infinite or no number
   */
  static MemorySegment factor(SafetensorsFile file, String name, Arena arena) {
    if (!StoredWeights.isSupported(file.dataType(name))) {
      throw new InputException(
          "%s: tensor '%s' holds %s; F32, F16 and BF16 can be merged"
              .formatted(file.path(), name, file.dataType(name)));
    }
    MemorySegment values = file.float32(name, arena);
    for (long i = 0; i < file.shape(name).elements(); i++) {
      float value = values.getAtIndex(JAVA_FLOAT, i);
      if (!Float.isFinite(value)) {
        throw NotFinite.held(file.path(), name, file.shape(name), i, value);
      }
    }
    return values;
  }
}
