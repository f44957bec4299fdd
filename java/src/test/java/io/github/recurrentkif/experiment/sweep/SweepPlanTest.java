package io.github.recurrentkif.experiment.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.experiment.BackendRequest;
import io.github.recurrentkif.experiment.MethodName;
import io.github.recurrentkif.experiment.RunRequest;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What a sweep file means, and what is said about one that means nothing. */
class SweepPlanTest {

  private static final String BASE =
      """
      model: m
      data: d
      output: out
      settings:
        epochs: 2
      """;

  @TempDir private Path folder;

  private SweepPlan plan(String... lines) {
    return plan(RunRequest.nothing(), lines);
  }

  private SweepPlan plan(RunRequest typed, String... lines) {
    try {
      Path file = folder.resolve("sweep.yaml");
      Files.writeString(file, BASE + String.join("\n", lines) + "\n");
      return SweepPlan.read(file, typed);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static List<String> names(SweepPlan plan) {
    return plan.runs().stream().map(PlannedRun::name).toList();
  }

  private void assertRefused(List<String> words, String... lines) {
    String message =
        String.valueOf(assertThrows(InputException.class, () -> plan(lines)).getMessage());
    words.forEach(word -> assertTrue(message.contains(word), "'" + word + "' in: " + message));
  }

  @Test
  void every_combination_is_a_run_and_those_of_the_first_seed_come_first() {
    SweepPlan plan =
        plan(
            "grid:",
            "  methods: [recurrent-kif, sequential-lora]",
            "  orders: {short: [a, b], long: [c, b, a]}",
            "  seeds: [1, 2]",
            "  settings: {lora-rank: [4, 8]}");
    assertEquals(16, plan.runs().size());
    assertEquals(
        List.of(
            "recurrent-kif,lora-rank=4/short/seed-1",
            "recurrent-kif,lora-rank=8/short/seed-1",
            "sequential-lora,lora-rank=4/short/seed-1",
            "sequential-lora,lora-rank=8/short/seed-1",
            "recurrent-kif,lora-rank=4/long/seed-1"),
        names(plan).subList(0, 5));
    PlannedRun last = plan.runs().getLast();
    assertEquals("sequential-lora,lora-rank=8/long/seed-2", last.name());
    assertEquals(List.of("c", "b", "a"), last.configuration().tasks());
    assertEquals(8, last.configuration().settings().get(Settings.LORA_RANK));
    assertEquals(2, last.configuration().settings().get(Settings.EPOCHS));
    assertEquals(2, last.seed());
  }

  @Test
  void a_method_may_have_settings_of_its_own_and_lists_in_lists_are_values() {
    SweepPlan plan =
        plan(
            "tasks: [a]",
            "grid:",
            "  methods:",
            "    - sequential-lora",
            "    - recurrent-kif: {quantile: [0.7, 0.9], lora-targets: [[q, v], [q, k, v, o]]}",
            "    - recurrent-kif: {mode: paper}");
    assertEquals(
        List.of(
            "sequential-lora/seed-42",
            "recurrent-kif,quantile=0.7,lora-targets=q,v/seed-42",
            "recurrent-kif,quantile=0.7,lora-targets=q,k,v,o/seed-42",
            "recurrent-kif,quantile=0.9,lora-targets=q,v/seed-42",
            "recurrent-kif,quantile=0.9,lora-targets=q,k,v,o/seed-42",
            "recurrent-kif,mode=paper/seed-42"),
        names(plan));
    assertEquals(
        List.of("q", "k", "v", "o"),
        List.copyOf(plan.runs().get(2).configuration().settings().get(Settings.LORA_TARGETS)));
    // Only what somebody chose: what follows from a mode or a model must stay open.
    assertEquals(Map.of("epochs", "2", "mode", "paper"), plan.runs().getLast().chosen());
  }

  @Test
  void a_variant_may_have_a_label() {
    SweepPlan plan =
        plan(
            "tasks: [a, b]",
            "grid:",
            "  methods:",
            "    - recurrent-kif",
            "    - recurrent-kif: {label: no identification, merge-new: '1,1', quantile: [0.5,"
                + " 0.7]}",
            "  settings: {lora-rank: [4]}");
    assertEquals(
        List.of(
            "recurrent-kif,lora-rank=4/seed-42",
            "no+identification,quantile=0.5,lora-rank=4/seed-42",
            "no+identification,quantile=0.7,lora-rank=4/seed-42"),
        names(plan));
    assertRefused(
        List.of("are the same run"),
        "tasks: [a, b]",
        "grid:",
        "  methods: [recurrent-kif, {recurrent-kif: {label: another name}}]");
  }

  @Test
  void orders_come_from_files_and_combinations_can_be_left_out() throws IOException {
    Files.writeString(folder.resolve("order-9.yaml"), "tasks: [x, y]\n");
    SweepPlan plan =
        plan(
            "grid:",
            "  methods: [recurrent-kif, sequential-lora]",
            "  orders: [order-9.yaml]",
            "  seeds: [1, 2, 3]",
            "exclude:",
            "  - {method: sequential-lora, seed: 2}",
            "  - {seed: 3, order: order-9}");
    assertEquals(
        List.of(
            "recurrent-kif/order-9/seed-1",
            "sequential-lora/order-9/seed-1",
            "recurrent-kif/order-9/seed-2"),
        names(plan));
    assertEquals(List.of("x", "y"), plan.runs().getFirst().configuration().tasks());
  }

  @Test
  void the_sweeps_that_come_along_can_be_planned() {
    RunRequest typed =
        new RunRequest(
            Optional.of(Path.of("m")),
            Optional.of(Path.of("d")),
            Optional.empty(),
            Optional.empty(),
            Optional.of(Path.of("out")),
            BackendRequest.nothing(),
            Map.of());
    Path configs = Path.of("..", "configs");
    SweepPlan standard = SweepPlan.read(configs.resolve("sweep-standard.yaml"), typed);
    assertEquals(List.of("order-1", "order-2", "order-3"), standard.orders());
    assertEquals(0, standard.runs().size() % 9);
    SweepPlan tiny = SweepPlan.read(configs.resolve("sweep-tiny.yaml"), typed);
    assertEquals(2 * MethodName.values().length, tiny.runs().size(), "every method, two seeds");
    assertEquals(
        List.of("dbpedia", "amazon", "yahoo", "agnews"),
        tiny.runs().getFirst().configuration().tasks());
  }

  @Test
  void the_command_line_is_stronger_than_the_file() {
    RunRequest typed =
        new RunRequest(
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.of(Path.of("elsewhere")),
            BackendRequest.nothing(),
            Map.of("epochs", "3"));
    SweepPlan plan = plan(typed, "tasks: [a]", "grid: {seeds: [1]}");
    assertEquals(Path.of("elsewhere"), plan.output());
    assertEquals(3, plan.runs().getFirst().configuration().settings().get(Settings.EPOCHS));
    RunRequest seed =
        new RunRequest(
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            BackendRequest.nothing(),
            Map.of("seed", "3"));
    assertThrows(InputException.class, () -> plan(seed, "tasks: [a]", "grid: {seeds: [1]}"));
  }

  @Test
  void a_mistake_is_named_with_its_line_and_what_was_meant() {
    assertRefused(List.of("says nothing that varies", "grid"), "tasks: [a]");
    assertRefused(List.of("line 6", "'gird'", "'grid'"), "gird: {seeds: [1]}");
    assertRefused(List.of("line 7", "'method'", "'methods'"), "grid:", "  method: [ewc]");
    assertRefused(List.of("line 7", "'quantile' is a setting"), "grid:", "  quantile: [0.7]");
    assertRefused(
        List.of("line 7", "'quantil'", "'quantile'"), "grid:", "  settings: {quantil: [0.7]}");
    assertRefused(
        List.of("line 7", "quantile", "'7'"), "grid:", "  settings: {quantile: [0.7, 7]}");
    assertRefused(List.of("line 7", "whole number", "'one'"), "grid:", "  seeds: [one]");
    assertRefused(List.of("line 7", "twice"), "grid:", "  seeds: [1, 1]");
    assertRefused(
        List.of("line 8", "'sequental-lora'", "did you mean 'sequential-lora'"),
        "grid:",
        "  methods:",
        "    - sequental-lora");
    assertRefused(List.of("line 7", "needs a name"), "grid:", "  orders: [[a, b]]");
    assertRefused(List.of("nowhere.yaml", "no such file"), "grid:", "  orders: [nowhere.yaml]");
    assertRefused(List.of("'threads' changes no result"), "grid: {settings: {threads: [1, 2]}}");
    assertRefused(List.of("a run also needs --tasks"), "grid: {seeds: [1]}");
  }

  @Test
  void what_is_said_twice_or_for_nothing_is_refused() {
    assertRefused(
        List.of("'method' and 'methods'", "leave one out"),
        "tasks: [a]",
        "method: recurrent-kif",
        "grid: {methods: [sequential-lora]}");
    assertRefused(
        List.of("'epochs' stands below 'settings' and below 'grid'"),
        "tasks: [a]",
        "grid: {settings: {epochs: [1, 2]}}");
    assertRefused(
        List.of("'quantile'", "again at recurrent-kif"),
        "tasks: [a]",
        "grid:",
        "  methods: [recurrent-kif: {quantile: 0.7}]",
        "  settings: {quantile: [0.8]}");
    assertRefused(
        List.of("are the same run"),
        "tasks: [a]",
        "grid: {methods: [recurrent-kif, recurrent-kif: {mode: reference}]}");
    assertRefused(
        List.of("line 8", "excludes nothing"),
        "tasks: [a]",
        "grid: {seeds: [1]}",
        "exclude: [{seed: 2}]");
    assertRefused(
        List.of("every run is excluded"),
        "tasks: [a]",
        "grid: {seeds: [1]}",
        "exclude: [{seed: 1}]");
    assertRefused(
        List.of("line 8", "'sed'", "'seed'"),
        "tasks: [a]",
        "grid: {seeds: [1]}",
        "exclude: [{sed: 1}]");
  }

  @Test
  @DisabledOnOs(OS.WINDOWS) // It has no sh.
  void some_runs_can_be_named_and_become_a_script_for_slurm() throws Exception {
    SweepPlan plan = plan("tasks: [a]", "grid: {seeds: [1, 2]}");
    SweepPlan one = plan.only(List.of("recurrent-kif/seed-2"));
    assertEquals(List.of("recurrent-kif/seed-2"), names(one));
    InputException refused =
        assertThrows(InputException.class, () -> plan.only(List.of("recurrent-kif/seed-20")));
    String message = String.valueOf(refused.getMessage());
    assertTrue(message.contains("did you mean 'recurrent-kif/seed-2'"), message);

    String script = new SlurmScript(plan, Map.of(), new Speeds()).text(folder, "echo", folder);
    assertTrue(script.contains("#SBATCH --array=1-2\n"), script);
    Path file = Files.writeString(folder.resolve("job.sh"), script);
    ProcessBuilder builder = new ProcessBuilder("sh", file.toString()).redirectErrorStream(true);
    builder.environment().putAll(Map.of("SLURM_ARRAY_TASK_ID", "2", "SLURM_CPUS_PER_TASK", "3"));
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals("--only=recurrent-kif/seed-2 --set=threads=3\n", said);
  }

  @Test
  void a_long_label_becomes_a_folder_that_every_file_system_takes() {
    String label = "recurrent-kif,lora-targets=" + "layer/".repeat(100);
    String name = PlannedRun.fileName(label);
    assertTrue(name.length() < 140 && !name.contains("/"), name);
    assertTrue(!name.equals(PlannedRun.fileName(label + "q")));
  }
}
