package io.github.recurrentkif.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.kernels.RandomKey;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

class MemorySamplerTest {

  private static final RandomKey KEY = RandomKey.ofSeed(42);

  /** A task whose samples have these targets, in this order. */
  private static List<Sample> task(String... targets) {
    return IntStream.range(0, targets.length)
        .mapToObj(i -> new Sample("s" + i, "text " + i, targets[i]))
        .toList();
  }

  private static List<String> targets(List<Sample> samples) {
    return samples.stream().map(Sample::target).toList();
  }

  @ParameterizedTest(name = "{0}: {1} of each of {2} classes and {3} more")
  @CsvSource({
    "dbpedia, 1, 14, 6",
    "yahoo, 2, 10, 0",
    "agnews, 5, 4, 0",
    "amazon, 4, 5, 0",
    "sst-2, 10, 2, 0",
    "qqp, 10, 2, 0"
  })
  void twoPercentOfARealTaskAreSpreadOverItsClasses(String name, int quota, int classes, int more) {
    Task task = new TaskReader(new TaskFiles(SharedFolder.resolve("data/cl-benchmark"))).read(name);
    assertEquals(classes, task.classes().size());
    List<Sample> memory = MemorySampler.draw(task.train(), 2, KEY);
    assertEquals(20, memory.size());
    assertEquals(20, new HashSet<>(memory).size());
    assertEquals(20, quota * classes + more);
    List<String> expected =
        task.classes().stream().flatMap(c -> Collections.nCopies(quota, c).stream()).toList();
    assertEquals(expected, targets(memory).subList(0, quota * classes));
  }

  @Test
  void classesFollowEachOtherAsInTheMemoryOfTheReferenceRun() {
    JsonNode trace = SharedFolder.json("golden/authors-t5/trace-task2.json");
    List<List<Sample>> tasks = new ArrayList<>();
    for (int k = 0; k < 2; k++) {
      List<Sample> samples = new ArrayList<>();
      for (JsonNode row :
          SharedFolder.json("golden/authors-t5/samples-task" + k + ".json").get("train")) {
        samples.add(
            new Sample(
                row.get("id").stringValue(),
                row.get("input").stringValue(),
                row.get("output").stringValue()));
      }
      tasks.add(samples);
    }
    List<List<String>> recorded = List.of(new ArrayList<>(), new ArrayList<>());
    for (JsonNode place : trace.get("memory")) {
      int k = place.get(0).intValue();
      recorded.get(k).add(tasks.get(k).get(place.get(1).intValue()).target());
    }
    for (int k = 0; k < 2; k++) {
      List<String> drawn = targets(MemorySampler.draw(tasks.get(k), 15, KEY));
      assertEquals(13, drawn.size());
      assertEquals(recorded.get(k).size(), drawn.size());
      // 3 of each of 4 classes, 6 of each of 2; the thirteenth is any.
      assertEquals(recorded.get(k).subList(0, 12), drawn.subList(0, 12));
    }
  }

  @Test
  void sameKeyDrawsTheSameSamples() {
    List<Sample> task = task("a", "b", "a", "b", "a", "b", "a", "b", "a", "b");
    assertEquals(MemorySampler.draw(task, 50, KEY), MemorySampler.draw(task, 50, KEY));
    Set<List<Sample>> draws = new HashSet<>();
    for (int i = 0; i < 20; i++) {
      draws.add(MemorySampler.draw(task, 50, KEY.at(i)));
    }
    assertTrue(draws.size() > 10);
  }

  @Test
  void nothingIsKeptOfNothing() {
    assertArrayEquals(new int[0], MemorySampler.drawRows(task("a", "b"), 0, KEY));
    assertArrayEquals(new int[0], MemorySampler.drawRows(List.of(), 50, KEY));
  }

  @Test
  void singleSampleIsKeptAtAnyShare() {
    assertArrayEquals(new int[] {0}, MemorySampler.drawRows(task("a"), 2, KEY));
    assertArrayEquals(new int[] {0}, MemorySampler.drawRows(task("a"), 100, KEY));
  }

  @Test
  void oneSampleOfEveryClassIsKeptEvenIfThatIsMoreThanTheShare() {
    List<Sample> memory =
        MemorySampler.draw(task("a", "b", "c", "a", "b", "c", "d", "d", "e", "f"), 20, KEY);
    assertEquals(List.of("a", "b", "c", "d", "e", "f"), targets(memory));
  }

  @Test
  void smallClassGivesAllItHasAndTheRestIsDrawnFromTheOthers() {
    List<Sample> task = task("a", "a", "a", "a", "a", "a", "a", "b", "a", "a");
    for (int i = 0; i < 50; i++) {
      List<Sample> memory = MemorySampler.draw(task, 60, KEY.at(i));
      assertEquals(List.of("a", "a", "a", "b", "a", "a"), targets(memory));
      assertEquals(6, new HashSet<>(memory).size());
    }
  }

  @Test
  void wholeTaskIsKeptAtAHundredPercent() {
    List<Sample> task = task("a", "b", "c", "a", "b", "a", "a");
    int[] rows = MemorySampler.drawRows(task, 100, KEY);
    assertArrayEquals(
        IntStream.range(0, task.size()).toArray(), Arrays.stream(rows).sorted().toArray());
  }

  @Test
  void everySampleOfAClassCanBeDrawn() {
    List<Sample> task = task("a", "b", "a", "b", "a", "b", "a", "b", "a", "b");
    int[] counts = new int[task.size()];
    for (int i = 0; i < 5000; i++) {
      int[] rows = MemorySampler.drawRows(task, 20, KEY.at(i));
      assertEquals(2, rows.length);
      assertFalse(task.get(rows[0]).target().equals(task.get(rows[1]).target()));
      for (int row : rows) {
        counts[row]++;
      }
    }
    for (int count : counts) {
      // 1000 expected, standard deviation 28.
      assertEquals(1000, count, 140);
    }
  }

  @Test
  void shareOutsideItsRangeIsRefused() {
    for (double percent : new double[] {-1, 100.5, Double.NaN}) {
      assertThrows(
          IllegalArgumentException.class, () -> MemorySampler.drawRows(task("a"), percent, KEY));
    }
  }
}
