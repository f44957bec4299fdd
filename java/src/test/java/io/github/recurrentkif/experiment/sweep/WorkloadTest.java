package io.github.recurrentkif.experiment.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.experiment.sweep.Speeds.Speed;
import io.github.recurrentkif.experiment.sweep.Workload.Amount;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;

/** How far a run has come, how fast it is, and why it ended. */
class WorkloadTest {

  private static final Workload WORK = new Workload(List.of(100L, 200L, 300L), List.of(10, 20, 30));

  @Test
  void a_run_is_examined_on_what_it_has_learned_and_on_the_next_task() {
    assertEquals(new Amount(600, 30 + 60 + 60), WORK.total());
    assertEquals(new Amount(50, 0), WORK.at(new WorkerMessage.Learning(0, 5, 10)));
    assertEquals(new Amount(100, 15), WORK.at(new WorkerMessage.Examining(0, 1, 5)));
    assertEquals(new Amount(100, 30), WORK.at(new WorkerMessage.Learning(1, 0, 10)));
    assertEquals(WORK.total(), WORK.at(new WorkerMessage.Examining(2, 2, 30)));
  }

  @Test
  void messages_are_lines_and_other_lines_are_none() {
    for (WorkerMessage message :
        List.of(new WorkerMessage.Learning(1, 2, 3), new WorkerMessage.Examining(4, 5, 6))) {
      assertEquals(Optional.of(message), WorkerMessage.parse(message.line()));
    }
    assertEquals(Optional.empty(), WorkerMessage.parse("WARNING: something"));
    assertEquals(Optional.empty(), WorkerMessage.parse("{}"));
  }

  @Test
  void time_is_told_from_what_was_measured_and_from_nothing_else() {
    Speeds speeds = new Speeds();
    assertEquals(OptionalDouble.empty(), speeds.seconds("a", WORK.total(), true));
    speeds.add("a", new Speed(new Amount(100, 0), 10, 0, 1, 3, 1000));
    assertFalse(speeds.knows("a"));
    speeds.add("a", new Speed(new Amount(100, 50), 10, 5, 1, 5, 500));
    assertTrue(speeds.knows("a"));
    // 0.1 s for each sample, 0.1 s for each answer, 4 s to start.
    assertEquals(60 + 15 + 4, speeds.seconds("a", WORK.total(), true).orElseThrow(), 1e-9);
    // Nothing of this one is known: as the others.
    assertEquals(60 + 15, speeds.seconds("b", WORK.total(), false).orElseThrow(), 1e-9);
    assertEquals(1000, speeds.memory("a").orElseThrow());
    String json = new JsonMapper().writeValueAsString(speeds.toJson());
    Speeds read = Speeds.fromJson(new JsonMapper().readTree(json));
    assertEquals(speeds.toJson(), read.toJson());
  }

  @Test
  void a_process_that_failed_is_told_by_its_last_word_or_its_signal(@TempDir Path folder)
      throws IOException {
    Path log = folder.resolve("log");
    String earlier = "kif: error: of another attempt\n";
    Files.writeString(log, earlier + "task 1\nkif: error: d/train: no such file\n");
    long from = earlier.length();
    assertEquals("d/train: no such file", Sweep.reason(2, log, from));
    Files.writeString(log, earlier + "kif: bug: x; see y\n");
    assertEquals("bug: x; see y", Sweep.reason(70, log, from));
    Files.writeString(log, earlier + "task 1\n");
    assertTrue(Sweep.reason(137, log, from).startsWith("killed by signal 9"));
    assertEquals("ended with status 3", Sweep.reason(3, log, from));
    Files.writeString(log, earlier + "#\n#  SIGSEGV (0xb) at pc=0x0\n");
    assertEquals(
        "killed by signal 6: crashed: SIGSEGV (0xb) at pc=0x0", Sweep.reason(134, log, from));
  }
}
