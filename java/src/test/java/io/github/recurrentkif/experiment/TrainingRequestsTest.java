package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SmallModel;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.AdapterInitialization;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.StoredAdapter;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.TextModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class TrainingRequestsTest {

  private static final String BATCH =
      """
      {"input_ids": [[6, 7, 8, 1], [9, 10, 1, 0]], "attention_mask": [[1, 1, 1, 1], [1, 1, 1, 0]],
       "labels": [[3, 1], [4, 1]]}
      """
          .replace("\n", " ");

  @TempDir private Path temporary;
  private Backend backend;
  private TrainingRequests requests;

  @BeforeEach
  void open() {
    backend = TestBackend.open(temporary.resolve("cache"));
    Path model = SmallModel.writeModel(temporary.resolve("model"));
    LoraConfig lora = new LoraConfig(2, 4, 0, new LinkedHashSet<>(List.of("q", "v")));
    Path adapter = temporary.resolve("adapter");
    try (ModelFolder folder = ModelFolder.open(model, backend.cache());
        TextModel text = backend.open(folder, new Trainables.Adapter(lora))) {
      AdapterInitialization.initialize(text.weights(), RandomKey.ofSeed(3));
      StoredAdapter.write(adapter, lora, folder.config(), model.toString(), text.weights());
    }
    requests = new TrainingRequests(backend, model, adapter, false, 0, Precision.FLOAT32);
  }

  @AfterEach
  void close() {
    requests.close();
    backend.close();
  }

  private JsonNode ask(String request) {
    return new JsonMapper().readTree(requests.answer(request));
  }

  private byte[] saved(String name) throws IOException {
    Path folder = temporary.resolve(name);
    ask("{\"do\": \"save\", \"file\": \"" + folder + "\"}");
    return Files.readAllBytes(folder.resolve("adapter_model.safetensors"));
  }

  private static String list(int times, String item) {
    return "[" + String.join(", ", Collections.nCopies(times, item)) + "]";
  }

  @Test
  void gradientsAreWrittenAndChangeNothing() throws IOException {
    byte[] before = saved("before");
    Path file = temporary.resolve("gradient");
    JsonNode answer =
        ask("{\"do\":\"gradient\",\"update\":" + list(2, BATCH) + ",\"file\":\"" + file + "\"}");
    assertEquals(2, answer.get("losses").size());
    assertEquals(answer.get("losses").get(0), answer.get("losses").get(1));
    assertTrue(Files.size(file.resolve("adapter_model.safetensors")) > 0);
    assertEquals(-1, Arrays.mismatch(before, saved("after")));
  }

  @Test
  void updatesLearnTheirBatch() {
    JsonNode losses =
        ask("{\"do\":\"updates\",\"updates\":" + list(30, "[" + BATCH + "]") + "}").get("losses");
    assertEquals(30, losses.size());
    assertTrue(losses.get(29).doubleValue() < losses.get(0).doubleValue(), losses.toString());
  }

  @Test
  void aCycleTakesItsUpdatesAndEndsElsewhere() throws IOException {
    byte[] before = saved("before");
    String inner = list(8, list(2, BATCH));
    JsonNode answer =
        ask("{\"do\":\"cycle\",\"inner\":" + inner + ",\"outer\":" + list(4, BATCH) + "}");
    assertEquals(8, answer.get("updates").intValue());
    assertTrue(answer.get("seconds").doubleValue() > 0);
    assertNotEquals(-1, Arrays.mismatch(before, saved("after")));
  }

  @Test
  void decodingAnswersEachPrompt() {
    JsonNode answer = ask("{\"do\":\"decode\",\"prompts\":[[6, 7, 1], [8, 1]],\"tokens\":3}");
    assertEquals(2, answer.get("answers").size());
    answer.get("answers").forEach(row -> assertTrue(row.size() >= 1 && row.size() <= 3));
  }

  /** Training and decoding are sessions of their own, with a file each. */
  @Test
  void eachGraphWritesItsProfile() throws IOException {
    Path prefix = temporary.resolve("nodes");
    try (TrainingRequests profiled =
        new TrainingRequests(
            backend.profiling(prefix),
            temporary.resolve("model"),
            temporary.resolve("adapter"),
            false,
            0,
            Precision.FLOAT32)) {
      profiled.answer("{\"do\":\"updates\",\"updates\":" + list(2, "[" + BATCH + "]") + "}");
      profiled.answer("{\"do\":\"decode\",\"prompts\":[[6, 7, 1]],\"tokens\":2}");
    }
    List<Path> files;
    try (Stream<Path> found = Files.list(temporary)) {
      files = found.filter(f -> f.getFileName().toString().startsWith("nodes-")).toList();
    }
    assertEquals(3, files.size(), files.toString());
    for (Path file : files) {
      JsonNode events = new JsonMapper().readTree(file.toFile());
      long runs = events.valueStream().filter(TrainingRequestsTest::isRun).count();
      String graph = file.getFileName().toString();
      assertTrue(graph.contains("training_model") ? runs == 2 : runs > 0, graph + ": " + runs);
    }
  }

  private static boolean isRun(JsonNode event) {
    return event.path("name").asString("").equals("model_run");
  }

  @Test
  void whatCannotBeUnderstoodIsSaid() {
    assertRefused("{\"do\": \"sing\"}", "'sing'");
    assertRefused("nonsense", "JSON");
    assertRefused("{\"do\":\"updates\",\"updates\":[[{}]]}", "input_ids");
    assertRefused("{\"do\":\"cycle\",\"inner\":[],\"outer\":[]}", "8 inner and 4 outer");
  }

  private void assertRefused(String request, String word) {
    String message =
        String.valueOf(
            assertThrows(InputException.class, () -> requests.answer(request)).getMessage());
    assertTrue(message.contains(word), message);
  }
}
