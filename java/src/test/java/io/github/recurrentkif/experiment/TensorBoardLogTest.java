package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.TensorBoardReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TensorBoardLogTest {

  @TempDir private Path folder;
  private double now = 1000;

  private double tick() {
    return ++now;
  }

  private static Map<String, Object> event(String kind, Object... entries) {
    Map<String, Object> event = new LinkedHashMap<>();
    event.put("event", kind);
    for (int i = 0; i < entries.length; i += 2) {
      event.put((String) entries[i], entries[i + 1]);
    }
    return event;
  }

  private static Map<String, Object> update(String task, long update, double loss) {
    return event(
        "update",
        "task",
        task,
        "update",
        update,
        "loss",
        loss,
        "gradient_norm",
        2.0,
        "learning_rate",
        0.5);
  }

  private static Map<String, Object> evaluation(String after, String task, double accuracy) {
    return event("evaluation", "after", after, "task", task, "accuracy", accuracy);
  }

  /** Two tasks, the second with replay and a fusion. */
  private static List<Map<String, Object>> run() {
    return List.of(
        event("tensors", "names", List.of("a"), "elements", List.of(4)),
        update("one", 1, 3),
        update("one", 2, 2),
        evaluation("one", "one", 0.5),
        evaluation("one", "two", 0.25),
        update("two", 1, 4),
        event("replay", "task", "two", "update", 1, "loss", 1.0),
        event("replay", "task", "two", "update", 1, "loss", 2.0),
        event("fusion", "task", "two", "shared", 1, "new_only", 2, "old_only", 3, "redundant", 4),
        update("two", 2, 0.5),
        evaluation("two", "one", 0.75),
        evaluation("two", "two", 1.0));
  }

  private static final List<String> SCALARS =
      List.of(
          "1 loss/new 3.0",
          "1 training/learning_rate 0.5",
          "1 training/gradient_norm 2.0",
          "2 loss/new 2.0",
          "2 training/learning_rate 0.5",
          "2 training/gradient_norm 2.0",
          "2 accuracy/one 0.5",
          "2 accuracy_mean/learned_tasks 0.5",
          "2 accuracy/two 0.25",
          "3 loss/new 4.0",
          "3 training/learning_rate 0.5",
          "3 training/gradient_norm 2.0",
          "3 loss/replay 1.5",
          "3 importance/shared 0.1",
          "3 importance/new_only 0.2",
          "3 importance/old_only 0.3",
          "3 importance/redundant 0.4",
          "4 loss/new 0.5",
          "4 training/learning_rate 0.5",
          "4 training/gradient_norm 2.0",
          "4 accuracy/one 0.75",
          "4 accuracy/two 1.0",
          "4 accuracy_mean/learned_tasks 0.875");

  /** The vectors of RFC 3720, B.4, for the independent reader; the rest follows from it. */
  @Test
  void the_checksum_is_that_of_known_vectors_turned_and_shifted() {
    byte[] ascending = new byte[32];
    for (int i = 0; i < 32; i++) {
      ascending[i] = (byte) i;
    }
    byte[] ones = new byte[32];
    Arrays.fill(ones, (byte) -1);
    assertChecksum(0x8A9136AA, new byte[32]);
    assertChecksum(0x62A8AB43, ones);
    assertChecksum(0x46DD794E, ascending);
    assertChecksum(0xE3069283, "123456789".getBytes(StandardCharsets.US_ASCII));
  }

  private static void assertChecksum(int crc, byte[] data) {
    assertEquals(crc, TensorBoardReader.crc32c(data));
    int turned = ((crc >>> 15) | (crc << 17)) + 0xa282ead8;
    assertEquals(turned, TensorBoardFile.checksum(data, 0, data.length));
  }

  @Test
  void what_is_written_is_read_by_an_independent_reader() throws IOException {
    try (TensorBoardLog log = TensorBoardLog.open(folder, List.of(), this::tick)) {
      run().forEach(log::append);
    }
    List<TensorBoardReader.Event> events = TensorBoardReader.read(folder);
    assertEquals("brain.Event:2", events.get(0).version());
    assertTrue(events.get(1).begins());
    assertEquals(1001, events.getFirst().time());
    assertEquals(SCALARS, TensorBoardReader.scalars(folder));
  }

  @Test
  void opened_again_anywhere_no_step_stands_twice_and_times_stay() throws IOException {
    List<Map<String, Object>> run = run();
    // Kept events, and the records they made; a checkpoint is never between replay and fusion.
    Map<Integer, Integer> records = new LinkedHashMap<>();
    records.put(0, 0);
    records.put(1, 0);
    records.put(2, 1);
    records.put(4, 3);
    records.put(6, 5);
    records.put(9, 7);
    records.put(12, 10);
    for (var entry : records.entrySet()) {
      int kept = entry.getKey();
      Path here = folder.resolve("kept-" + kept);
      try (TensorBoardLog log = TensorBoardLog.open(here, List.of(), this::tick)) {
        run.forEach(log::append);
      }
      List<TensorBoardReader.Event> before = TensorBoardReader.read(here);
      try (TensorBoardLog log = TensorBoardLog.open(here, run.subList(0, kept), this::tick)) {
        run.subList(kept, run.size()).forEach(log::append);
      }
      assertEquals(SCALARS, TensorBoardReader.scalars(here), "kept " + kept);
      List<TensorBoardReader.Event> after = TensorBoardReader.read(here);
      int same = 0;
      for (int i = 2; i < after.size(); i++) {
        same += before.get(i).time() == after.get(i).time() ? 1 : 0;
      }
      assertEquals(entry.getValue(), same, "times of before, kept " + kept);
    }
  }

  @Test
  void a_file_that_was_damaged_or_deleted_comes_back() throws IOException {
    List<Map<String, Object>> run = run();
    try (TensorBoardLog log = TensorBoardLog.open(folder, List.of(), this::tick)) {
      run.forEach(log::append);
    }
    Path file = only();
    byte[] bytes = Files.readAllBytes(file);
    List<byte[]> damages = new ArrayList<>();
    damages.add(new byte[0]);
    damages.add(new byte[bytes.length]);
    damages.add(Arrays.copyOf(bytes, bytes.length / 2));
    byte[] flipped = bytes.clone();
    flipped[bytes.length / 3] ^= 4;
    damages.add(flipped);
    for (byte[] damage : damages) {
      Files.write(only(), damage);
      TensorBoardLog.open(folder, run, this::tick).close();
      assertEquals(SCALARS, TensorBoardReader.scalars(folder));
    }
    Files.delete(only());
    TensorBoardLog.open(folder, run, this::tick).close();
    assertEquals(SCALARS, TensorBoardReader.scalars(folder));
  }

  private Path only() throws IOException {
    try (var files = Files.list(folder)) {
      return files.findFirst().orElseThrow();
    }
  }
}
