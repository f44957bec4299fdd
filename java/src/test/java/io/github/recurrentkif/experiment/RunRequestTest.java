package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.MergeRule.Coefficients;
import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RunRequestTest {

  private static final Path CONFIGS = Path.of("..", "configs");

  @TempDir private Path folder;

  private RunRequest read(String yaml) throws IOException {
    return RunRequest.read(Files.writeString(folder.resolve("run.yaml"), yaml));
  }

  private String refused(String yaml) {
    return String.valueOf(assertThrows(InputException.class, () -> read(yaml)).getMessage());
  }

  private static Settings settings(RunRequest request) {
    return Settings.defaults().with(request.settings());
  }

  @Test
  void a_file_says_everything_that_the_command_line_can_say() throws IOException {
    RunRequest request =
        read(
            """
            # A comment.
            model: models/t5   # and one behind a value
            data: "my data"
            tasks: [yes-no, b]
            method: lora-replay
            output: runs/1
            backend: {device: cpu, onnx-runtime: libort.so}
            settings:
              learning-rate: 1e-3
              lora-targets: [q, k]
              mode: paper
              merge-old: [0.25, 1e-2]
            """);
    RunConfiguration run = request.configuration();
    assertEquals(Path.of("models/t5"), run.model());
    assertEquals(Path.of("my data"), run.data());
    assertEquals(List.of("yes-no", "b"), run.tasks());
    assertEquals(MethodName.LORA_REPLAY, run.method());
    assertEquals(Path.of("runs/1"), request.requiredOutput());
    assertEquals(Optional.of("cpu"), request.backend().device());
    assertEquals(Optional.of(Path.of("libort.so")), request.backend().library());
    assertEquals(1e-3, run.settings().get(Settings.LEARNING_RATE));
    assertEquals(List.of("q", "k"), List.copyOf(run.settings().get(Settings.LORA_TARGETS)));
    assertEquals(0.55, run.settings().get(Settings.SENSITIVITY_DECAY));
    assertEquals(new Coefficients(1, 1), run.settings().get(Settings.MERGE_SHARED));
    assertEquals(new Coefficients(0.25f, 0.01f), run.settings().get(Settings.MERGE_OLD));
    assertEquals("0.25,0.01", run.settings().resolved().get("merge-old"));
  }

  @Test
  void settings_that_do_not_go_together_are_refused_before_a_run_begins() throws IOException {
    String settings = "settings: {history-estimates: 3, outer-loop: importance-only}\n";
    String run = "model: m\ndata: d\ntasks: x\noutput: o\n" + settings;
    String message = assertThrows(InputException.class, () -> read(run).configuration()).toString();
    assertTrue(message.contains("history-estimates=3"), message);
    assertTrue(message.contains("outer-loop=importance-only"), message);
    assertTrue(
        refusedTogether("o-lora", "weight-decay: 0.1").contains("weight-decay=0.1"), "decay");
    assertTrue(
        refusedTogether("recurrent-kif", "merge-soft-temperature: 0.5, merge-new: '1,0'")
            .contains("merge-new is for masks"),
        "soft");
    RunConfiguration other = read(run + "method: lora-replay\n").configuration();
    assertEquals(3, other.settings().get(Settings.HISTORY_ESTIMATES));
  }

  private String refusedTogether(String method, String settings) throws IOException {
    RunRequest request =
        read(
            "model: m\ndata: d\ntasks: x\noutput: o\nmethod: "
                + method
                + "\nsettings: {"
                + settings
                + "}\n");
    return assertThrows(InputException.class, request::configuration).toString();
  }

  @Test
  void a_stronger_request_wins_key_by_key() throws IOException {
    RunRequest file =
        read("model: a\ndata: d\ntasks: x, y\noutput: o\nsettings: {epochs: 3, seed: 5}\n");
    RunRequest both =
        file.with(read("model: b\nsettings: {epochs: 4}\n")).with(RunRequest.nothing());
    assertEquals(Path.of("b"), both.configuration().model());
    assertEquals(List.of("x", "y"), both.configuration().tasks());
    assertEquals(Map.of("epochs", "4", "seed", "5"), both.settings());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "settings:\\n  epoch: 3           | line 2 | 'epochs'",
        "modle: x                         | line 1 | 'model'",
        "model: a\\nepochs: 3             | line 2 | below 'settings:'",
        "backend:\\n  devices: cpu        | line 2 | 'device'",
        "settings:\\n\\n  epochs: 0       | line 3 | whole number",
        "settings: {checkpoint-seconds: 30d} | line 1 | a number from 0 to 86400",
        "settings: {quantile: 1.5}        | line 1 | a number from 0 to 1",
        "settings: {merge-new: [1]}       | line 1 | two numbers",
        "settings: {merge-new: '1,2,3'}   | line 1 | two numbers",
        "method: recurent-kif             | line 1 | unknown method",
        "model: a\\nmodel: b              | line 2 | wice",
        "tasks: &t [a]\\nmodel: *t        | line 2 | alias",
        "model: [a, b]                    | line 1 | one value",
        "model:                           | line 1 | missing",
        "settings: 3                      | line 1 | keys below",
        "model: a\\n  data: b             | line 2 | not valid YAML",
        "model: a\\n---\\nmodel: b        | line | second document",
        "just words                       | run.yaml | key: value",
      })
  void a_mistake_is_named_with_its_file_and_line(String yaml, String line, String hint) {
    String message = refused(yaml.replace("\\n", "\n"));
    assertTrue(message.startsWith(folder.resolve("run.yaml").toString()), message);
    assertTrue(message.contains(line) && message.contains(hint), message);
  }

  @Test
  void what_a_run_cannot_do_without_is_asked_for() {
    InputException e =
        assertThrows(InputException.class, () -> RunRequest.nothing().configuration());
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains("--model") && message.contains("--config"), message);
  }

  @Test
  void the_printed_defaults_load_back_and_every_key_has_its_comment() throws IOException {
    String yaml = RunRequest.nothing().toYaml();
    RunRequest back = read(yaml);
    assertEquals(Settings.defaults().resolved(), settings(back).resolved());
    assertEquals(yaml, back.toYaml());
    for (Setting<?> setting : Settings.all()) {
      assertTrue(
          yaml.lines()
              .anyMatch(
                  line ->
                      line.contains(setting.name() + ": ")
                          && line.contains("# " + setting.description())),
          setting.name());
    }
    // A mode can still be chosen in it: what the mode decides is not fixed by the printed file.
    RunRequest paper = read(yaml.replace("mode: reference", "mode: paper"));
    assertEquals(
        Settings.defaults().with(Map.of("mode", "paper")).resolved(), settings(paper).resolved());
  }

  @Test
  void what_was_said_is_printed_and_read_back() throws IOException {
    RunRequest request =
        read("model: 'a: b # c'\ntasks: ['null', \"d'e\"]\nsettings: {sensitivity-decay: 0.7}\n");
    RunRequest back = read(request.toYaml());
    assertEquals(request.model(), back.model());
    assertEquals(request.tasks(), back.tasks());
    assertEquals(settings(request).resolved(), settings(back).resolved());
  }

  @Test
  void the_configuration_of_a_run_folder_repeats_its_run() throws IOException {
    Settings chosen = Settings.defaults().with(Map.of("mode", "paper", "epochs", "2"));
    RunConfiguration run =
        new RunConfiguration(
            Path.of("/m"), Path.of("/d"), List.of("a", "b"), MethodName.SEQUENTIAL_LORA, chosen);
    Path file = folder.resolve("configuration.json");
    AtomicFile.write(
        file, new tools.jackson.databind.ObjectMapper().writeValueAsBytes(run.toJson()));
    RunConfiguration repeated = RunRequest.read(file).with(read("output: again\n")).configuration();
    assertEquals(run.toJson().get("settings"), repeated.toJson().get("settings"));
    assertEquals(run.tasks(), repeated.tasks());
    assertEquals(run.method(), repeated.method());
    assertEquals(run.model(), repeated.model());
  }

  @ParameterizedTest
  @ValueSource(strings = {"t5-large", "flan-t5-xl", "llama2-7b", "llama2-13b"})
  void the_published_recipes_load_with_every_order(String model) {
    for (int order = 1; order <= 6; order++) {
      RunConfiguration run =
          RunRequest.nothing()
              .with(RunRequest.read(CONFIGS.resolve(model + ".yaml")))
              .with(RunRequest.read(CONFIGS.resolve("order-" + order + ".yaml")))
              .with(
                  new RunRequest(
                      Optional.of(Path.of("model")),
                      Optional.of(Path.of("data")),
                      Optional.empty(),
                      Optional.empty(),
                      Optional.of(Path.of("run")),
                      BackendRequest.nothing(),
                      Map.of()))
              .configuration();
      assertEquals(order <= 3 ? 4 : 15, new HashSet<>(run.tasks()).size());
      assertEquals(MethodName.RECURRENT_KIF, run.method());
      boolean llama = model.startsWith("llama");
      assertEquals(
          llama ? 64 : 8,
          run.settings().get(Settings.MICRO_BATCH_SIZE)
              * run.settings().get(Settings.ACCUMULATION));
    }
  }

  @Test
  void the_recipe_of_t5_large_is_the_default() {
    assertEquals(
        Settings.defaults().resolved(),
        settings(RunRequest.read(CONFIGS.resolve("t5-large.yaml"))).resolved());
  }
}
