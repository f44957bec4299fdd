package io.github.recurrentkif.fusion;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.model.PeftAdapter;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/** The factors of an adapter, whose products are to be merged. */
final class AdapterFile {

  private AdapterFile() {}

  /**
   * @throws InputException if it cannot be read
   */
  static SafetensorsFile open(Path adapter) {
    try {
      return SafetensorsFile.open(adapter.resolve(PeftAdapter.WEIGHTS));
    } catch (IOException e) {
      throw InputException.unreadable(adapter, e);
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
      if (!Float.isFinite(values.getAtIndex(JAVA_FLOAT, i))) {
        throw Fusion.noNumbers(file.path().toString(), name);
      }
    }
    return values;
  }
}
