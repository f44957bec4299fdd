package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class CheckpointClockTest {

  private static final long SECOND = 1_000_000_000L;

  private long now = Long.MAX_VALUE - SECOND;

  @Test
  void a_checkpoint_is_due_when_the_time_has_passed_even_where_the_count_runs_over() {
    CheckpointClock clock = new CheckpointClock(30, () -> now);
    now += 29 * SECOND;
    assertFalse(clock.due());
    now += SECOND;
    assertTrue(clock.due());
    assertTrue(clock.due());
    clock.taken();
    assertFalse(clock.due());
    now += 30 * SECOND;
    assertTrue(clock.due());
  }

  @Test
  void zero_seconds_are_always_over() {
    CheckpointClock clock = new CheckpointClock(0, () -> now);
    assertTrue(clock.due());
    clock.taken();
    assertTrue(clock.due());
  }
}
