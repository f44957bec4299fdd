package io.github.recurrentkif.training;

import io.github.recurrentkif.memory.ParameterVector;
import java.util.Map;
import java.util.SequencedMap;

/**
 * Something whose whole state is a few named vectors and counters, so that whoever writes
 * checkpoints can save and restore it without knowing it.
 *
 * <p>To restore: overwrite the elements of {@link #vectors()}, then call {@link #restore}.
 */
public interface Resumable {

  /** The live vectors by name, always the same ones in the same order. */
  SequencedMap<String, ParameterVector> vectors();

  /** The present counters by name, always the same names in the same order. */
  SequencedMap<String, Long> counters();

  /**
   * Sets every counter.
   *
   * @param counters with exactly the names of {@link #counters()}
   * @throws IllegalArgumentException if the names differ
   */
  void restore(Map<String, Long> counters);

  /**
   * The check that every {@link #restore} begins with.
   *
   * @throws IllegalArgumentException if the names are not those of the counters
   */
  static void requireNames(Resumable resumable, Map<String, Long> counters) {
    var expected = resumable.counters().sequencedKeySet();
    if (!counters.keySet().equals(expected)) {
      throw new IllegalArgumentException(
          "a saved state with the counters %s cannot be restored into one with the counters %s: was it saved by another method or version?"
              .formatted(counters.keySet(), expected));
    }
  }
}
