package io.github.recurrentkif.data.world;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.Split;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.data.TaskFiles;
import io.github.recurrentkif.data.TaskReader;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class GeneratedTasksTest {

  @TempDir Path folder;

  @Test
  void the_reader_of_the_benchmark_reads_every_task_with_its_labels_in_even_shares() {
    new GeneratedTasks(1, 60, 30, 30).write(folder);

    TaskFiles files = new TaskFiles(folder);
    assertEquals(new TreeSet<>(WorldTask.names()), files.names());
    for (WorldTask task : WorldTask.values()) {
      Task read = new TaskReader(files).read(task.text());
      List<String> labels = task.dialect().labels();
      assertEquals(Split.TEST, read.evaluationSplit());
      assertEquals(new HashSet<>(labels), new HashSet<>(read.classes()));
      Map<String, Long> counts =
          read.train().stream()
              .collect(Collectors.groupingBy(Sample::target, Collectors.counting()));
      assertEquals(Set.of(60L / labels.size()), Set.copyOf(counts.values()));
      for (Sample sample : read.train()) {
        assertTrue(
            sample.source().contains(" Option: " + String.join(", ", labels) + ".\n"),
            sample.source());
        assertTrue(sample.source().endsWith("\nAnswer:"), sample.source());
      }
    }
  }

  @Test
  void no_text_stands_in_two_splits_or_twice_in_one() throws IOException {
    new GeneratedTasks(2, 200, 50, 100).write(folder);

    for (WorldTask task : WorldTask.values()) {
      Set<String> texts = new HashSet<>();
      int records = 0;
      for (Split split : Split.values()) {
        JsonNode file =
            new JsonMapper()
                .readTree(folder.resolve(split.folder()).resolve(task.text() + ".json").toFile());
        for (JsonNode sample : file) {
          texts.add(sample.get("input").asString());
          records++;
        }
      }
      assertEquals(350, records);
      assertEquals(records, texts.size(), task.text());
    }
  }

  @Test
  void the_same_seed_writes_the_same_bytes_and_another_seed_others() throws IOException {
    new GeneratedTasks(3, 20, 10, 10).write(folder.resolve("one"));
    new GeneratedTasks(3, 20, 10, 10).write(folder.resolve("two"));
    new GeneratedTasks(4, 20, 10, 10).write(folder.resolve("three"));

    for (String task : WorldTask.names()) {
      byte[] first = Files.readAllBytes(folder.resolve("one/train/" + task + ".json"));
      assertArrayEquals(first, Files.readAllBytes(folder.resolve("two/train/" + task + ".json")));
      byte[] other = Files.readAllBytes(folder.resolve("three/train/" + task + ".json"));
      assertFalse(java.util.Arrays.equals(first, other), task);
    }
  }

  @Test
  void label_words_mean_different_things_in_different_tasks() {
    Map<String, Long> uses =
        List.of(WorldTask.values()).stream()
            .map(task -> task.dialect().labels())
            .flatMap(Collection::stream)
            .collect(Collectors.groupingBy(Function.identity(), Collectors.counting()));

    assertEquals(2L, uses.get("Good"));
    assertEquals(2L, uses.get("Bad"));
    assertEquals(2L, uses.get("True"));
    assertEquals(2L, uses.get("False"));
  }

  @Test
  void practice_never_uses_the_instruction_of_a_task() {
    Set<String> requests =
        List.of(WorldTask.values()).stream()
            .map(task -> task.dialect().request())
            .collect(Collectors.toSet());

    RandomKey key = RandomKey.ofSeed(5);
    for (int i = 0; i < 2000; i++) {
      String source = Practice.prompt(key.at(i)).source();
      assertTrue(requests.stream().noneMatch(source::contains), source);
    }
  }

  @Test
  void no_text_of_a_task_is_ever_practised() throws IOException {
    new GeneratedTasks(6, 200, 50, 100).write(folder);
    Set<String> texts = new HashSet<>();
    for (WorldTask task : WorldTask.values()) {
      for (Split split : Split.values()) {
        for (JsonNode sample :
            new JsonMapper()
                .readTree(folder.resolve(split.folder()).resolve(task.text() + ".json").toFile())) {
          texts.add(sample.get("input").asString());
        }
      }
    }

    RandomKey key = RandomKey.ofSeed(7);
    for (int i = 0; i < 20_000; i++) {
      String source = Practice.prompt(key.at(i)).source();
      assertFalse(texts.contains(source.substring(source.indexOf(".\n") + 2)), source);
      assertFalse(texts.contains(Practice.passage(key.at(i)) + "\nAnswer:"));
    }
  }

  @Test
  void a_split_without_samples_is_refused() {
    InputException none = assertThrows(InputException.class, () -> new GeneratedTasks(1, 0, 1, 1));
    assertTrue(
        String.valueOf(none.getMessage()).contains("at least one sample"), none.getMessage());
  }
}
