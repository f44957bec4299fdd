package io.github.recurrentkif.experiment;

import java.util.function.LongSupplier;

/**
 * Says when the next checkpoint is due. Counts by a clock that only runs on: setting the machine's
 * time, or a daylight saving, moves nothing.
 */
final class CheckpointClock {

  private final long interval;
  private final LongSupplier nanoseconds;
  private long last;

  /**
   * @param seconds between two checkpoints; 0 for always
   */
  CheckpointClock(double seconds) {
    this(seconds, System::nanoTime);
  }

  CheckpointClock(double seconds, LongSupplier nanoseconds) {
    this.interval = (long) (seconds * 1_000_000_000L);
    this.nanoseconds = nanoseconds;
    this.last = nanoseconds.getAsLong();
  }

  boolean due() {
    // The difference is right even where the count itself runs over.
    return nanoseconds.getAsLong() - last >= interval;
  }

  void taken() {
    last = nanoseconds.getAsLong();
  }
}
