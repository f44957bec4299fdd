package io.github.recurrentkif.fusion;

import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.Shape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** Says where an infinity or NaN that stopped a merge comes from. */
final class NotFinite {

  private NotFinite() {}

  /**
   * Looks through what a tensor was made of. Slowly: it is asked once, when a merge has failed.
   *
   * @throws InputException for the first such value; none if every input is finite
   */
  static void requireNone(String tensor, List<? extends Weights> inputs) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(Workers.RUN * Float.BYTES, 64);
      for (Weights input : inputs) {
        Shape shape = input.shape(tensor);
        long elements = shape.elements();
        for (long first = 0; first < elements; first += Workers.RUN) {
          StoredWeights run =
              input.read(tensor, first, Math.min(Workers.RUN, elements - first), buffer);
          for (long i = 0; i < run.elements(); i++) {
            if (!Float.isFinite(run.widened(i))) {
              throw held(input.file(tensor), tensor, shape, first + i, run.widened(i));
            }
          }
        }
      }
    }
  }

  /** That a tensor holds such a value. */
  static InputException held(Path file, String tensor, Shape shape, long element, float value) {
    long[] index = shape.toArray();
    long rest = element;
    for (int i = index.length - 1; i >= 0; i--) {
      long extent = index[i];
      index[i] = rest % extent;
      rest /= extent;
    }
    return new InputException(
        "%s: tensor '%s' holds %s at %s: what is infinite or no number cannot be merged; train or export it again, or leave it out"
            .formatted(file, tensor, value, Arrays.toString(index)));
  }
}
