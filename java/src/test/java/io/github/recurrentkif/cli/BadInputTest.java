package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SmallModel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every mistake a user can make gives one line that names it, status 2, and damages nothing. */
class BadInputTest {

  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  @TempDir private Path folder;
  private Path model;
  private Path data;
  private Path run;

  @BeforeEach
  void writeModelAndTasks() {
    model = SmallModel.writeModel(folder.resolve("model"));
    data = SmallModel.writeTasks(folder.resolve("data"));
    run = folder.resolve("run");
  }

  private int kif(List<String> arguments) {
    err.reset();
    return Main.run(
        new Terminal(
            new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            false,
            false,
            80),
        arguments.toArray(String[]::new));
  }

  private String message() {
    return err.toString(StandardCharsets.UTF_8);
  }

  private List<String> train(String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                "--model=" + model,
                "--data=" + data,
                "--tasks=alpha,beta",
                "--output=" + run,
                "--set=epochs=1",
                "--set=cycle-length=2",
                "--set=maximum-new-tokens=3",
                "--set=maximum-test-samples=2",
                "--set=threads=1"));
    for (String option : more) {
      // One that is given replaces ours.
      String name = option.substring(0, option.indexOf('=') + 1);
      arguments.removeIf(own -> !name.equals("--set=") && own.startsWith(name));
      arguments.add(option);
    }
    return arguments;
  }

  /** One line, status 2, with these words in it. */
  private void assertRefused(List<String> arguments, Object... words) {
    int status = kif(arguments);
    assertEquals(2, status, message());
    assertTrue(message().startsWith("kif: error: "), message());
    assertEquals(1, message().lines().count(), message());
    for (Object word : words) {
      assertTrue(message().contains(word.toString()), "'" + word + "' in: " + message());
    }
  }

  /** And no run folder was begun. */
  private void assertNothingBegun(List<String> arguments, Object... words) {
    assertRefused(arguments, words);
    assertTrue(Files.notExists(run));
  }

  private void finishedRun() {
    assertEquals(0, kif(train()), message());
  }

  private List<String> resume() {
    return List.of("resume", run.toString());
  }

  private void replace(Path file, String text, String by) throws IOException {
    String before = Files.readString(file);
    assertTrue(before.contains(text), before);
    Files.writeString(file, before.replace(text, by));
  }

  private static void cut(Path file, long bytes) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() - bytes);
    }
  }

  @Test
  void no_argument_at_all() {
    assertEquals(2, kif(List.of("train")));
    for (String option : List.of("--model", "--data", "--tasks", "--output", "train --help")) {
      assertTrue(message().contains(option), message());
    }
  }

  @Test
  void a_model_folder_that_is_not_there() {
    Path nowhere = folder.resolve("nowhere");
    assertNothingBegun(train("--model=" + nowhere), nowhere, "config.json");
  }

  @ParameterizedTest
  @ValueSource(strings = {"config.json", "model.safetensors", "tokenizer.json"})
  void a_model_folder_without(String file) throws IOException {
    Files.delete(model.resolve(file));
    assertNothingBegun(train(), model, file.equals("model.safetensors") ? "safetensors" : file);
  }

  @ParameterizedTest
  @ValueSource(strings = {"config.json", "model.safetensors", "tokenizer.json"})
  void a_model_folder_with_a_broken(String file) throws IOException {
    Files.writeString(model.resolve(file), "{]");
    assertNothingBegun(train(), model.resolve(file));
  }

  @Test
  void weights_that_were_cut() throws IOException {
    cut(model.resolve("model.safetensors"), 1000);
    assertNothingBegun(train(), model.resolve("model.safetensors"));
  }

  @Test
  void a_configuration_of_other_weights() throws IOException {
    replace(model.resolve("config.json"), "\"d_ff\": 12", "\"d_ff\": 13");
    assertNothingBegun(train(), model, "wi.weight", "config.json");
  }

  @Test
  void another_architecture() throws IOException {
    replace(model.resolve("config.json"), "\"t5\"", "\"bert\"");
    assertNothingBegun(train(), model.resolve("config.json"), "model_type", "bert", "t5");
  }

  @Test
  void a_tokenizer_of_another_model() throws IOException {
    replace(model.resolve("tokenizer.json"), "\"w23\":29", "\"w23\":999");
    assertNothingBegun(train(), model.resolve("tokenizer.json"), "999", "does not fit");
  }

  @Test
  void a_data_folder_that_is_not_there() {
    Path nowhere = folder.resolve("nowhere");
    assertNothingBegun(train("--data=" + nowhere), nowhere);
  }

  @Test
  void a_task_that_is_not_there() {
    assertNothingBegun(train("--tasks=alpha,betta"), "'betta'", "alpha, beta");
    assertNothingBegun(train("--tasks=alpha,alpha"), "twice");
  }

  @Test
  void a_wrong_field_in_a_task_file() throws IOException {
    Path file = data.resolve("train/beta.json");
    replace(file, "\"output\"", "\"label\"");
    assertNothingBegun(train(), file, "record 0", "'output'");
    Files.writeString(file, "[{\"id\": 1}");
    assertNothingBegun(train(), file);
    Files.writeString(file, "[]");
    assertNothingBegun(train(), file, "at least one record");
  }

  @Test
  void an_unknown_setting_or_method() {
    assertNothingBegun(train("--set=epoch=3"), "'epoch'", "'epochs'");
    assertNothingBegun(
        train("--method=recurent-kif"), "'recurent-kif'", "recurrent-kif, sequential-lora");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ' ',
      value = {
        "epochs 0",
        "epochs 1.5",
        "epochs ten",
        "epochs 1000001",
        "epochs 99999999999",
        "lora-rank 4097",
        "threads 2000",
        "learning-rate -1",
        "learning-rate 0",
        "learning-rate NaN",
        "learning-rate Infinity",
        "quantile 1.01",
        "memory-percent 101",
        "lora-dropout 1",
        "lora-rank 0",
        "lora-targets q,,v",
        "checkpoint-seconds -1",
        "mode released",
        "seed x"
      })
  void a_value_out_of_range(String key, String value) {
    assertNothingBegun(train("--set=" + key + "=" + value), "'" + key + "'", "'" + value + "'");
  }

  @Test
  void an_adapter_on_layers_the_model_does_not_have() {
    assertNothingBegun(train("--set=lora-targets=q,query"), "query", "q, k, v, o, wi, wo");
  }

  @Test
  void a_device_or_library_that_is_not_there() {
    assertNothingBegun(train("--device=cuda"), "cuda", "cpu");
    Path nowhere = folder.resolve("libonnxruntime.so");
    assertNothingBegun(train("--onnx-runtime=" + nowhere), nowhere);
  }

  @Test
  void an_output_folder_that_holds_something_else() throws IOException {
    Files.createDirectories(run);
    Files.writeString(run.resolve("thesis.tex"), "years of work");
    assertRefused(train(), run, "not empty");
    assertEquals(List.of("thesis.tex"), List.of(run.toFile().list()));
  }

  @Test
  void an_output_folder_that_is_a_file() throws IOException {
    Files.writeString(run, "years of work");
    assertRefused(train(), run);
    assertRefused(train("--output=" + run.resolve("below")), run.resolve("below"));
    assertEquals("years of work", Files.readString(run));
  }

  @Test
  void an_output_folder_that_holds_a_run() throws IOException {
    finishedRun();
    byte[] result = Files.readAllBytes(run.resolve("result.json"));
    assertRefused(train(), run, "already holds a run", "kif resume " + run);
    assertArrayEquals(result, Files.readAllBytes(run.resolve("result.json")));
  }

  @Test
  void what_a_run_left_that_was_killed_at_its_very_start_is_no_obstacle() throws IOException {
    Files.createDirectories(run);
    Files.writeString(run.resolve("run.lock"), "");
    Files.writeString(run.resolve("provenance.json"), "{}");
    Files.writeString(run.resolve(".configuration.json.0a1b.tmp"), "{");
    finishedRun();
  }

  @Test
  void a_run_in_use() throws IOException {
    finishedRun();
    try (FileChannel other = FileChannel.open(run.resolve("run.lock"), StandardOpenOption.WRITE);
        var lock = other.lock()) {
      assertTrue(lock.isValid());
      assertRefused(resume(), run, "another process");
    }
    assertEquals(0, kif(resume()), message());
  }

  @Test
  void a_folder_that_holds_no_run() throws IOException {
    assertRefused(resume(), run, "no run");
    Files.createDirectories(run);
    assertRefused(resume(), run, "no run");
  }

  @Test
  void a_run_of_another_version() throws IOException {
    finishedRun();
    replace(run.resolve("configuration.json"), "\"version\" : 1", "\"version\" : 99");
    assertRefused(resume(), run, "version 99", "version 1");
  }

  @Test
  void a_run_whose_configuration_is_broken() throws IOException {
    finishedRun();
    Path file = run.resolve("configuration.json");
    String whole = Files.readString(file);
    Files.writeString(file, whole.substring(0, 40));
    assertRefused(resume(), file);
    replaceWhole(file, whole, "\"method\"", "\"way\"");
    assertRefused(resume(), file, "method");
    replaceWhole(file, whole, "\"epochs\" : \"1\"", "\"epochs\" : \"0\"");
    assertRefused(resume(), "epochs");
    Files.writeString(file, whole);
    assertEquals(0, kif(resume()), message());
  }

  private static void replaceWhole(Path file, String whole, String text, String by)
      throws IOException {
    assertTrue(whole.contains(text), whole);
    Files.writeString(file, whole.replace(text, by));
  }

  @Test
  void a_run_whose_hashes_are_gone_or_broken() throws IOException {
    finishedRun();
    Path file = run.resolve("provenance.json");
    Files.writeString(file, "{]");
    assertRefused(resume(), file);
    Files.delete(file);
    assertRefused(resume(), file);
  }

  @Test
  void data_or_model_that_changed_since_the_run_began() throws IOException {
    finishedRun();
    Path file = data.resolve("train/alpha.json");
    replace(file, "\"alpha_0\"", "\"alpha_00\"");
    assertRefused(resume(), "data/alpha/train", "not what it was");
    replace(file, "\"alpha_00\"", "\"alpha_0\"");
    assertEquals(0, kif(resume()), message());
    replace(model.resolve("config.json"), "0.1", "0.2");
    assertRefused(resume(), "model/config.json", "not what it was");
    Files.delete(model.resolve("config.json"));
    assertRefused(resume(), model);
  }

  @Test
  void a_checkpoint_that_is_cut_or_changed() throws IOException {
    finishedRun();
    Files.delete(run.resolve("checkpoint.previous.safetensors"));
    Path file = run.resolve("checkpoint.safetensors");
    byte[] whole = Files.readAllBytes(file);
    cut(file, 7);
    assertRefused(resume(), file, "damaged", "begin a new run");
    Files.write(file, new byte[0]);
    assertRefused(resume(), file, "damaged");
    // One bit, first in the numbers, then in what is said about them.
    for (int from : new int[] {whole.length - 2000, index(whole, "completed") + 13}) {
      Files.write(file, whole);
      try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
        bytes.seek(from);
        int old = bytes.read();
        bytes.seek(from);
        bytes.write(old ^ 1);
      }
      assertRefused(resume(), file, "damaged");
    }
    Files.write(file, whole);
    assertEquals(0, kif(resume()), message());
  }

  private static int index(byte[] bytes, String text) {
    return new String(bytes, StandardCharsets.ISO_8859_1).indexOf(text);
  }

  @Test
  void an_event_log_that_was_cut() throws IOException {
    finishedRun();
    Path file = run.resolve("events.jsonl");
    cut(file, 5);
    assertRefused(resume(), file, "checkpoint");
  }

  @Test
  void an_adapter_of_another_rank_or_model() throws IOException {
    finishedRun();
    Path adapter = run.resolve("adapters/01-alpha");
    List<String> generate =
        List.of("generate", "--model=" + model, "--adapter=" + adapter, "w1 w2");
    assertEquals(0, kif(generate), message());
    Path config = adapter.resolve("adapter_config.json");
    replace(config, "\"r\" : 8", "\"r\" : 4");
    assertRefused(generate, adapter, "rank");
    replace(config, "\"r\" : 4", "\"r\" : 8");
    replace(config, "\"v\"", "\"k\"");
    assertRefused(generate, adapter, "another model");
    Files.delete(config);
    assertRefused(generate, adapter, "adapter_config.json");
  }

  @ParameterizedTest
  @ValueSource(strings = {"--batch-size=0", "--maximum-new-tokens=-1", "--batch-size=2000000000"})
  void an_option_out_of_range(String option) {
    assertRefused(
        List.of("generate", "--model=" + model, option, "w1"),
        option.substring(0, option.indexOf('=')),
        "from 1 to 1000000");
  }

  @Test
  void answers_hold_no_end_token() throws IOException {
    finishedRun();
    String predictions = Files.readString(run.resolve("predictions/02-beta/beta.jsonl"));
    assertFalse(predictions.contains("</s>"), predictions);
  }
}
