package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SmallModel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code kif fuse} as a user types it. */
class FuseCommandTest {

  private static final String WEIGHTS = "model.safetensors";

  @TempDir Path folder;
  private Path model;
  private Path output;

  @BeforeEach
  void writeModel() {
    model = SmallModel.writeModel(folder.resolve("model"));
    output = folder.resolve("merged");
  }

  private record Outcome(int status, String message) {}

  private Outcome fuse(Object... options) {
    List<String> arguments = new ArrayList<>(List.of("fuse", "--threads=2"));
    Arrays.stream(options).map(Object::toString).forEach(arguments::add);
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    Terminal terminal =
        new Terminal(
            new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            false,
            false,
            80);
    int status = Main.run(terminal, arguments.toArray(String[]::new));
    return new Outcome(status, err.toString(StandardCharsets.UTF_8));
  }

  private void assertRefused(Outcome outcome, String words) throws IOException {
    assertEquals(2, outcome.status, outcome.message);
    assertTrue(outcome.message.contains(words), outcome.message);
    try (Stream<Path> left = Files.list(folder)) {
      assertTrue(left.noneMatch(path -> path.toString().contains("merged")), "something is left");
    }
  }

  @Test
  void a_model_merged_with_itself_is_itself() throws IOException {
    Outcome outcome =
        fuse("--rule=linear", "--model=" + model, "--model=" + model, "--output=" + output);
    assertEquals(0, outcome.status, outcome.message);
    assertTrue(Files.exists(output.resolve("tokenizer.json")));
    Outcome again =
        fuse("--rule=linear", "--model=" + output, "--output=" + folder.resolve("again"));
    assertEquals(0, again.status, again.message);
    assertArrayEquals(
        Files.readAllBytes(output.resolve(WEIGHTS)),
        Files.readAllBytes(folder.resolve("again").resolve(WEIGHTS)));
  }

  @Test
  void a_result_within_what_is_merged_is_refused() throws IOException {
    Path inside = model.resolve("merged");
    assertRefused(
        fuse("--rule=linear", "--model=" + model, "--output=" + inside), "lies within " + model);
    assertRefused(
        fuse(
            "--rule=ties",
            "--base=" + model,
            "--model=" + model,
            "--output=" + model.resolve("../model/merged")),
        "lies within");
    assertTrue(Files.notExists(inside));
  }

  @Test
  @DisabledOnOs(OS.WINDOWS) // Links need rights there.
  void links_lead_no_result_into_what_is_merged_and_are_not_replaced() throws IOException {
    Path link = Files.createSymbolicLink(folder.resolve("link"), model);
    assertRefused(
        fuse("--rule=linear", "--model=" + model, "--output=" + link.resolve("inside")),
        "lies within " + model);
    Path dangling = Files.createSymbolicLink(folder.resolve("dangling"), folder.resolve("no"));
    assertRefused(
        fuse("--rule=linear", "--model=" + model, "--output=" + dangling), "exists already");
    assertTrue(Files.isSymbolicLink(dangling));
  }

  @Test
  void what_a_killed_merge_left_is_named() throws IOException {
    Path left = Files.createDirectory(folder.resolve(".merged.tmp-17"));
    Outcome outcome = fuse("--rule=linear", "--model=" + model, "--output=" + output);
    assertEquals(0, outcome.status, outcome.message);
    assertTrue(outcome.message.contains(left + " is of a merge that was killed"), outcome.message);
  }

  @Test
  void a_model_without_a_configuration_is_refused_and_its_file_is_not() throws IOException {
    Path config = model.resolve("config.json");
    Files.writeString(config, "{nothing");
    assertRefused(
        fuse("--rule=linear", "--model=" + model, "--output=" + output), "not valid JSON");
    Files.delete(config);
    assertRefused(
        fuse("--rule=linear", "--model=" + model, "--output=" + output), "no config.json in it");
    Path file = model.resolve(WEIGHTS);
    Outcome outcome = fuse("--rule=linear", "--model=" + file, "--output=" + output);
    assertEquals(0, outcome.status, outcome.message);
  }

  @Test
  void a_refusal_is_one_line() throws IOException {
    Outcome outcome =
        fuse(
            "--rule=linear",
            "--model=" + model + "=3e38",
            "--model=" + model + "=3e38",
            "--no-normalize",
            "--output=" + output);
    assertRefused(outcome, "too large for F32");
    assertEquals(1, outcome.message.lines().count(), outcome.message);
  }

  @Test
  void a_file_cut_short_is_refused() throws IOException {
    Path cut = SmallModel.writeModel(folder.resolve("cut"));
    byte[] whole = Files.readAllBytes(cut.resolve(WEIGHTS));
    Files.write(cut.resolve(WEIGHTS), Arrays.copyOf(whole, whole.length - 100));
    assertRefused(
        fuse("--rule=linear", "--model=" + model, "--model=" + cut, "--output=" + output),
        "may be cut short");
  }

  @Test
  void soft_weights_are_merged_and_recorded() throws IOException {
    Path learned = SmallModel.writeModel(folder.resolve("learned"));
    List<String> all =
        List.of("--rule=kif", "--base=" + model, "--new=" + learned, "--old=" + model);
    List<String> soft = new ArrayList<>(all);
    soft.addAll(List.of("--soft-temperature=0.5", "--per-tensor", "--output=" + output));
    Outcome outcome = fuse(soft.toArray());
    assertEquals(0, outcome.status, outcome.message);
    String record = Files.readString(output.resolve("fusion.json"));
    assertTrue(record.contains("\"soft_temperature\" : 0.5"), record);
    assertTrue(record.contains("\"range\" : \"tensor\""), record);
    output = folder.resolve("merged-again");
    for (List<String> wrong :
        List.of(
            List.of("--soft-temperature=0"),
            List.of("--soft-temperature=1e-60"),
            List.of("--soft-temperature=1", "--quantile=0.5"),
            List.of("--soft-temperature=1", "--coefficients=shared=1:0"))) {
      List<String> refused = new ArrayList<>(all);
      refused.addAll(wrong);
      refused.add("--output=" + output);
      Outcome error = fuse(refused.toArray());
      assertEquals(2, error.status, error.message);
      assertTrue(error.message.contains("--soft-temperature"), error.message);
      assertTrue(Files.notExists(output));
    }
  }

  @Test
  void options_that_make_no_sense_are_refused() throws IOException {
    assertRefused(
        fuse("--rule=average", "--model=" + model, "--output=" + output), "--rule must be");
    assertRefused(fuse("--rule=ties", "--model=" + model, "--output=" + output), "needs --base");
    assertRefused(
        fuse("--rule=linear", "--model=" + model + "=much", "--output=" + output),
        "expected a number");
    assertRefused(
        fuse("--rule=kif", "--base=" + model, "--new=" + model, "--output=" + output), "--old");
    assertRefused(
        fuse(
            "--rule=linear",
            "--model=" + model + "=1",
            "--model=" + model + "=-1",
            "--output=" + output),
        "add up to 0");
    assertRefused(
        fuse("--rule=linear", "--model=" + model + "=1e39", "--output=" + output), "finite");
    assertRefused(
        fuse("--rule=linear", "--scale=NaN", "--model=" + model, "--output=" + output), "--scale");
    assertRefused(fuse("--rule=linear", "--model=" + model, "--output="), "--output: expected");
  }

  @Test
  void factors_of_another_rank_than_said_and_a_full_model_as_their_base_are_refused()
      throws IOException {
    Path run = folder.resolve("run");
    TestRuns runs = new TestRuns(folder);
    assertEquals(
        0, runs.inThisProcess(runs.train("sequential-lora", run, "epochs=1")), runs.said());
    Path adapter;
    try (Stream<Path> adapters = Files.list(run.resolve("adapters"))) {
      adapter = adapters.sorted().toList().getFirst();
    }
    String factors = "--adapters=factors";
    assertRefused(
        fuse("--rule=ties", factors, "--base=" + model, "--model=" + adapter, "--output=" + output),
        model + ": a full model; where factors are merged");
    Path config = adapter.resolve("adapter_config.json");
    Files.writeString(
        config, Files.readString(config).replaceFirst("\"r\" : [0-9]+", "\"r\" : 77"));
    assertRefused(
        fuse("--rule=linear", factors, "--model=" + adapter, "--output=" + output),
        "expected shape [77, in]");
  }

  @ParameterizedTest
  @ValueSource(strings = {"moe-lora", "lfpt5"})
  void an_adapter_that_is_no_lora_is_refused(String method) throws IOException {
    Path run = folder.resolve("run");
    TestRuns runs = new TestRuns(folder);
    assertEquals(0, runs.inThisProcess(runs.train(method, run, "epochs=1")), runs.said());
    Path adapter;
    try (Stream<Path> adapters = Files.list(run.resolve("adapters"))) {
      adapter = adapters.sorted().toList().getFirst();
    }
    String refusal = "expected a LoRA adapter as PEFT writes it, found another kind";
    for (String how : List.of("products", "factors")) {
      assertRefused(
          fuse(
              "--rule=linear",
              "--adapters=" + how,
              "--base=" + model,
              "--model=" + adapter,
              "--output=" + output),
          refusal);
    }
  }
}
