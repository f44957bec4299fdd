package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.continual.SampledPlan.Samples;
import io.github.recurrentkif.continual.SampledPlan.Sampling;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.training.LearningRateSchedule;
import io.github.recurrentkif.training.LearningRateSchedule.WarmupLinear;
import io.github.recurrentkif.training.Update;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SampledPlanTest {

  private static final LearningRateSchedule SCHEDULE = new WarmupLinear(1e-3, 50, 66);
  private static final LearningRateSchedule REPLAY_SCHEDULE = new WarmupLinear(2e-4, 50, 66);

  private static SampledPlan<List<Integer>> plan(Sampling sampling, int samples, int memory) {
    return plan(sampling, samples, memory, RandomKey.ofSeed(42).at(1));
  }

  private static SampledPlan<List<Integer>> plan(
      Sampling sampling, int samples, int memory, RandomKey key) {
    return new SampledPlan<>(
        0,
        sampling,
        new Samples<>(samples, numbers -> Arrays.stream(numbers).boxed().toList()),
        memory == 0
            ? null
            : new Samples<>(memory, numbers -> Arrays.stream(numbers).boxed().toList()),
        SCHEDULE,
        REPLAY_SCHEDULE,
        key);
  }

  @ParameterizedTest(name = "{0} samples, micro-batch {1}: {2} updates")
  @CsvSource({"1000,2,1250", "400,2,500", "250,2,310", "1000,16,150", "400,16,60", "250,16,40"})
  void takesAsManyUpdatesAsTheReleasedTrainingDoes(int samples, int microBatch, int updates) {
    assertEquals(updates, plan(Sampling.reference(10, microBatch, 4, 8), samples, 0).updates());
  }

  @Test
  void letsAWindowBeginInOneEpochAndEndInTheNext() {
    // 91 samples are 45 micro-batches of two and one of a single sample.
    var plan = plan(Sampling.reference(6, 2, 4, 8), 91, 0);
    assertEquals(66, plan.updates());
    List<List<Integer>> microBatches = new ArrayList<>();
    for (long update = 0; update < plan.updates(); update++) {
      Update<List<Integer>> inner = plan.inner(update);
      assertEquals(4, inner.microBatches().size());
      assertEquals(0.25f, inner.scale());
      assertEquals(SCHEDULE.at(update), inner.learningRate());
      microBatches.addAll(inner.microBatches());
    }
    assertEquals(264, microBatches.size());
    Set<List<Integer>> orders = new HashSet<>();
    for (int epoch = 0; epoch < 5; epoch++) {
      List<Integer> order =
          microBatches.subList(epoch * 46, (epoch + 1) * 46).stream()
              .flatMap(List::stream)
              .toList();
      assertEquals(91, order.size());
      assertEquals(91, new HashSet<>(order).size(), "every sample once");
      assertEquals(1, microBatches.get(epoch * 46 + 45).size());
      orders.add(order);
    }
    assertEquals(5, orders.size(), "a new order each epoch");
  }

  @ParameterizedTest(name = "{0} samples: windows of {1}")
  @CsvSource({
    "5,'3,1,2,2,1,3'", // 3 micro-batches an epoch: updates after 3, 4, 6, 8, 9, 12
    "8,'4,4,4,4,4,4'",
    "1,'1,1,1,1,1,1'",
    "9,'4,4,4,4,4,4'" // 5 an epoch: more than the accumulation count, so only at its multiples
  })
  void updatesAlsoAtTheEndOfAnEpochThatFillsNoWindow(int samples, String windows) {
    var plan = plan(Sampling.reference(6, 2, 4, 8), samples, 0);
    List<String> sizes = new ArrayList<>();
    for (long update = 0; update < plan.updates(); update++) {
      assertEquals(0.25f, plan.inner(update).scale(), "however small the window");
      sizes.add(String.valueOf(plan.inner(update).microBatches().size()));
    }
    assertEquals(windows, String.join(",", sizes));
  }

  @ParameterizedTest(name = "{0} samples, micro-batch {1}, accumulation {2}")
  @CsvSource({"91,2,4", "5,2,4", "5,1,7", "12,2,9", "1,8,16", "35,1,49", "6,1,6"})
  void windowsAreThoseOfCountingMicroBatchesOneByOne(int samples, int microBatch, int window) {
    Sampling sampling = Sampling.reference(30, microBatch, window, 8);
    var plan = plan(sampling, samples, 0);
    long perEpoch = sampling.microBatches(samples);
    long used = 0;
    for (long update = 0; update < plan.updates(); update++) {
      int size = 0;
      do {
        used++;
        size++;
      } while (used % window != 0 && !(perEpoch <= window && used % perEpoch == 0));
      assertEquals(size, plan.inner(update).microBatches().size(), "update " + update);
    }
  }

  @Test
  void aTaskMayHaveMoreUpdatesThanAnArrayHolds() {
    var plan = plan(Sampling.reference(1_000_000_000, 2, 4, 8), 91, 0);
    assertEquals(11_000_000_000L, plan.updates());
    assertEquals(4, plan.inner(10_999_999_999L).microBatches().size());
  }

  @Test
  void givesTheSameUpdateHoweverOftenAndInWhateverOrderItIsAskedFor() {
    var forwards = plan(Sampling.reference(6, 2, 4, 8), 91, 13);
    var backwards = plan(Sampling.reference(6, 2, 4, 8), 91, 13);
    List<Update<List<Integer>>> updates = new ArrayList<>();
    for (long update = 0; update < forwards.updates(); update++) {
      updates.add(forwards.inner(update));
    }
    for (int update = updates.size() - 1; update >= 0; update--) {
      assertEquals(updates.get(update), backwards.inner(update));
    }
    assertEquals(forwards.outer(16, 3), backwards.outer(16, 3));
  }

  @Test
  void drawsEachReplayedBatchAnewAndWithoutReplacement() {
    var plan = plan(Sampling.reference(6, 2, 4, 8), 91, 13);
    assertTrue(plan.hasMemory());
    Set<List<Integer>> draws = new HashSet<>();
    Set<RandomKey> keys = new HashSet<>();
    int[] seen = new int[13];
    for (long completed = 8; completed <= 64; completed += 8) {
      for (int repeat = 0; repeat < 4; repeat++) {
        Update<List<Integer>> outer = plan.outer(completed, repeat);
        assertEquals(1, outer.microBatches().size());
        assertEquals(0.25f, outer.scale());
        assertEquals(REPLAY_SCHEDULE.at(completed), outer.learningRate());
        List<Integer> rows = outer.microBatches().getFirst();
        assertEquals(8, new HashSet<>(rows).size());
        rows.forEach(row -> seen[row]++);
        draws.add(rows);
        keys.add(outer.randomness());
      }
    }
    assertEquals(32, draws.size());
    assertEquals(32, keys.size());
    assertTrue(IntStream.of(seen).allMatch(count -> count > 5), Arrays.toString(seen));
  }

  @Test
  void replaysTheWholeOfASmallMemory() {
    var plan = plan(Sampling.reference(6, 2, 4, 64), 91, 5);
    assertEquals(Set.of(0, 1, 2, 3, 4), new HashSet<>(plan.outer(8, 0).microBatches().getFirst()));
  }

  @Test
  void leavesTheReplayedLossAsItIsWhereAsked() {
    assertEquals(1f, plan(Sampling.unscaledReplay(6, 2, 4, 8), 91, 13).outer(8, 0).scale());
  }

  @Test
  void hasNothingToReplayInTheFirstTask() {
    var plan = plan(Sampling.reference(6, 2, 4, 8), 91, 0);
    assertFalse(plan.hasMemory());
    assertThrows(IllegalStateException.class, () -> plan.outer(8, 0));
  }

  @Test
  void drawsOtherNumbersUnderAnotherKey() {
    Sampling sampling = Sampling.reference(6, 2, 4, 8);
    var one = plan(sampling, 91, 13, RandomKey.ofSeed(42).at(1));
    var other = plan(sampling, 91, 13, RandomKey.ofSeed(42).at(2));
    assertNotEquals(one.inner(0).microBatches(), other.inner(0).microBatches());
    assertNotEquals(one.inner(0).randomness(), other.inner(0).randomness());
    assertNotEquals(one.outer(8, 0), other.outer(8, 0));
  }

  @Test
  void refusesSettingsThatMakeNoSense() {
    assertThrows(IllegalArgumentException.class, () -> Sampling.reference(0, 2, 4, 8));
    assertThrows(IllegalArgumentException.class, () -> new Sampling(1, 2, 4, 8, 0));
    assertThrows(IllegalArgumentException.class, () -> plan(Sampling.reference(1, 2, 4, 8), 0, 0));
  }
}
