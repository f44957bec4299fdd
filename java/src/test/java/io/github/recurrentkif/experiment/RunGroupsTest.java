package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.experiment.RunGroups.Measure;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class RunGroupsTest {

  private static final double[] A = {0.44, 0.47, 0.43, 0.46, 0.42, 0.45};
  private static final double[] B = {0.40, 0.41, 0.42, 0.39, 0.40, 0.40};
  private static final double[] C = {0.44, 0.48, 0.45, 0.45, 0.45, 0.46};

  private static RunSummary run(MethodName method, int seed, double accuracy, String... settings) {
    Map<String, String> texts = new LinkedHashMap<>();
    texts.put("seed", String.valueOf(seed));
    for (int i = 0; i < settings.length; i += 2) {
      texts.put(settings[i], settings[i + 1]);
    }
    Path folder = Path.of(method.text() + "-" + seed);
    return new RunSummary(
        folder,
        RunSummary.State.FINISHED,
        Optional.of(
            new RunConfiguration(
                Path.of("m"), Path.of("d"), List.of("a"), method, Settings.defaults().with(texts))),
        Map.of("data/a/train", "0"),
        new AccuracyMatrix(List.of(List.of(accuracy))),
        0,
        Instant.EPOCH,
        "");
  }

  private static List<RunSummary> runs(MethodName method, double[] accuracies) {
    List<RunSummary> runs = new ArrayList<>();
    for (int i = 0; i < accuracies.length; i++) {
      runs.add(run(method, i, accuracies[i]));
    }
    return runs;
  }

  private static RunGroups three(int runs) {
    List<RunSummary> all = new ArrayList<>();
    all.addAll(runs(MethodName.RECURRENT_KIF, A).subList(0, runs));
    // Pairs are found by seed, whatever the order.
    all.addAll(runs(MethodName.LORA_REPLAY, B).subList(0, runs).reversed());
    all.addAll(runs(MethodName.SEQUENTIAL_LORA, C).subList(0, runs));
    return RunGroups.of(all, false);
  }

  @Test
  void means_and_deviations_are_those_of_the_sample() {
    RunGroups.Group group = three(6).groups().getFirst();
    assertEquals("recurrent-kif", group.label());
    assertEquals(0.445, group.mean(Measure.OP).orElseThrow(), 1e-12);
    assertEquals(0.018708286933869705, group.deviation(Measure.OP).orElseThrow(), 1e-12);
    assertTrue(group.mean(Measure.BWT).isEmpty());
  }

  /** The p of Student's test: integrated numerically from its density, outside of this program. */
  @Test
  void significance_is_that_of_paired_tests_corrected_by_holm() {
    RunGroups groups = three(6);
    var t = groups.significance(Measure.OP, RunGroups.Test.T);
    assertTrue(t.get(0).isEmpty());
    assertEquals(2 * 0.006984752754603085, t.get(1).orElseThrow(), 1e-9);
    assertEquals(0.14381080871159702, t.get(2).orElseThrow(), 1e-9);
    // All six differences point one way: 2 / 2^6 is the exact two-sided p.
    var wilcoxon = groups.significance(Measure.OP, RunGroups.Test.WILCOXON);
    assertEquals(2 * 2.0 / 64, wilcoxon.get(1).orElseThrow(), 1e-12);
  }

  @Test
  void too_few_seeds_have_no_significance() {
    assertTrue(three(4).significance(Measure.OP, RunGroups.Test.T).get(1).isEmpty());
    assertTrue(three(5).significance(Measure.OP, RunGroups.Test.T).get(1).isPresent());
    assertTrue(three(5).significance(Measure.OP, RunGroups.Test.WILCOXON).get(1).isEmpty());
  }

  @Test
  void holm_steps_down() {
    double nan = Double.NaN;
    assertArrayEquals(
        new double[] {nan, 0.03, 0.06, 0.06, 0.02},
        RunGroups.holm(new double[] {nan, 0.01, 0.03, 0.04, 0.005}),
        1e-15);
    assertArrayEquals(new double[] {1, 1}, RunGroups.holm(new double[] {0.9, 0.8}), 0);
  }

  @Test
  void groups_are_told_apart_by_what_was_chosen_and_differs() {
    RunGroups groups =
        RunGroups.of(
            List.of(
                run(MethodName.RECURRENT_KIF, 1, 0.5, "threads", "1"),
                run(MethodName.RECURRENT_KIF, 2, 0.5, "threads", "2"),
                run(MethodName.RECURRENT_KIF, 1, 0.5, "cycle-length", "4"),
                // What follows from the mode is not said again.
                run(MethodName.RECURRENT_KIF, 1, 0.5, "mode", "paper"),
                run(MethodName.LORA_REPLAY, 1, 0.5)),
            false);
    assertEquals(
        List.of(
            "recurrent-kif",
            "recurrent-kif cycle-length=4",
            "recurrent-kif mode=paper",
            "lora-replay"),
        groups.groups().stream().map(RunGroups.Group::label).toList());
    assertEquals(2, groups.groups().getFirst().runs().size());
  }

  @Test
  void a_label_stands_for_what_was_chosen_unless_another_group_has_it() {
    RunGroups groups =
        RunGroups.of(
            List.of(
                run(MethodName.RECURRENT_KIF, 1, 0.5, "cycle-length", "4", "label", "short cycles"),
                run(MethodName.RECURRENT_KIF, 2, 0.5, "cycle-length", "4", "label", "short cycles"),
                run(MethodName.RECURRENT_KIF, 1, 0.5, "cycle-length", "2", "label", "short cycles"),
                run(MethodName.RECURRENT_KIF, 1, 0.5)),
            false);
    assertEquals(
        List.of("short cycles", "recurrent-kif cycle-length=2", "recurrent-kif"),
        groups.groups().stream().map(RunGroups.Group::label).toList());
    assertEquals(2, groups.groups().getFirst().runs().size());
  }

  @Test
  void streams_are_not_mixed_in_silence() {
    RunSummary one = run(MethodName.RECURRENT_KIF, 1, 0.5);
    RunSummary other =
        new RunSummary(
            Path.of("other"),
            one.state(),
            one.configuration(),
            Map.of("data/a/train", "1"),
            one.matrix(),
            0,
            one.changed(),
            "");
    InputException refused =
        assertThrows(InputException.class, () -> RunGroups.of(List.of(one, other), false));
    String message = String.valueOf(refused.getMessage());
    assertTrue(message.contains("other data"), message);
    assertEquals(2, RunGroups.of(List.of(one, other), true).streams());
  }
}
