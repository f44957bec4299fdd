package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.experiment.TimeSpent.Part;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.ObjectMapper;

class TimeSpentTest {

  private static final Instant MONDAY = Instant.parse("2026-01-05T08:00:00Z");
  private static final Instant TUESDAY = Instant.parse("2026-01-06T08:00:00Z");

  @TempDir private Path folder;
  private long nanoseconds;

  private TimeSpent goOn(Instant now) {
    return TimeSpent.goOn(folder.resolve("times.json"), () -> nanoseconds, now);
  }

  private void pass(double seconds) {
    nanoseconds += (long) (seconds * 1e9);
  }

  @Test
  void every_moment_belongs_to_a_part_and_a_resumed_run_goes_on_counting() throws IOException {
    TimeSpent times = goOn(MONDAY);
    pass(2);
    times.lap("a", Part.PREPARATION);
    pass(0.5);
    times.lap("a", Part.UPDATES);
    pass(0.25);
    times.lap("a", Part.UPDATES);
    pass(0.125);
    times.lap("b", Part.REPLAY);
    times.save();
    pass(100);
    // Killed here: the hundred seconds are lost with the work.
    TimeSpent again = goOn(TUESDAY);
    pass(1);
    again.lap("b", Part.REPLAY);
    again.save();

    String text = Files.readString(folder.resolve("times.json"));
    var json = new ObjectMapper().readTree(text);
    assertEquals(
        Map.of(
            "a", Map.of(Part.PREPARATION, 2.0, Part.UPDATES, 0.75),
            "b", Map.of(Part.REPLAY, 1.125)),
        TimeSpent.seconds(json));
    assertEquals(
        "[\"2026-01-05T08:00:00Z\",\"2026-01-06T08:00:00Z\"]", json.path("began").toString());
    assertEquals(TimeSpent.seconds(json), RunHistory.seconds(folder));
  }

  @Test
  void times_that_cannot_be_read_stop_no_run() throws IOException {
    Files.writeString(folder.resolve("times.json"), "{");
    TimeSpent times = goOn(MONDAY);
    pass(1);
    times.lap("a", Part.FUSION);
    times.save();
    assertEquals(Map.of("a", Map.of(Part.FUSION, 1.0)), RunHistory.seconds(folder));
  }
}
