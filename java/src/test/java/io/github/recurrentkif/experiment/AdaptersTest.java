package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.experiment.verification.Measure;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.AdapterConfig;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.MixtureConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.PromptPoolConfig;
import io.github.recurrentkif.model.StoredAdapter;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.TextModel;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * Adapters that PEFT does not have against the same in PyTorch, float64 (adapters.json, made by
 * bench/python/record_adapters.py): loss, gradients and answers.
 */
class AdaptersTest {

  @TempDir private static Path temporary;

  @BeforeAll
  static void extract() {
    BuiltInModel.extract(temporary.resolve("t5"));
  }

  @ParameterizedTest
  @CsvSource({
    "t5, mixture, padded",
    "t5, mixture, packed",
    "qwen2, mixture, padded",
    "qwen2, mixture, packed",
    "t5, prompt-pool, padded",
    "t5, prompt-pool, packed",
    "qwen2, prompt-pool, padded",
    "qwen2, prompt-pool, packed",
    "t5, one-prompt, padded",
    "t5, one-prompt, packed",
    "qwen2, one-prompt, padded",
    "qwen2, one-prompt, packed",
    "t5, task-attention, padded",
    "t5, task-attention, packed",
    "qwen2, task-attention, padded",
    "qwen2, task-attention, packed"
  })
  void lossGradientsAndAnswersAreThoseOfPyTorch(String name, String kind, String graph)
      throws Exception {
    JsonNode expected = recorded(name, kind);
    AdapterConfig config = config(name, kind);
    Path stored = temporary.resolve(String.join("-", name, kind, graph));
    try (Backend backend = backend(graph);
        ModelFolder model = ModelFolder.open(folder(name), backend.cache());
        TextModel text = backend.openWithoutDropout(model, new Trainables.Adapter(config));
        TextModel again = backend.openWithoutDropout(model, new Trainables.Adapter(config));
        ParameterVector gradient =
            new ParameterVector(text.weights().layout(), backend.kernels().device())) {
      fill(text.weights());
      double loss = text.objective().gradient(batch(name), RandomKey.ofSeed(0), gradient);
      assertEquals(expected.path("loss").doubleValue(), loss, 2e-5);
      assertEquals(gradient.layout().tensors().size(), expected.path("gradients").size());
      requireGradients(expected.path("gradients"), gradient);
      requireAnswers(expected, text, name);

      StoredAdapter.write(stored, config, model.config(), "base", text.weights());
      StoredAdapter found = StoredAdapter.open(stored);
      assertEquals(config, found.config());
      found.load(again.weights());
      requireAnswers(expected, again, name);
    }
  }

  private static void requireGradients(JsonNode expected, ParameterVector gradient) {
    for (String tensor : expected.propertyNames()) {
      float[] g = gradient.download(tensor);
      double norm = 0;
      double along = 0;
      for (int i = 0; i < g.length; i++) {
        norm += (double) g[i] * g[i];
        along += g[i] * Math.sin((double) i * i);
      }
      double size = expected.path(tensor).path(0).doubleValue();
      assertEquals(size, Math.sqrt(norm), 2e-4 * size + 1e-7, tensor);
      assertEquals(expected.path(tensor).path(1).doubleValue(), along, 5e-4 * size + 1e-7, tensor);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "t5, task-attention",
    "qwen2, task-attention",
    "t5, prompt-pool",
    "qwen2, prompt-pool",
    "t5, one-prompt",
    "qwen2, one-prompt"
  })
  void whatHoldsAnAdapterToWhatItDidIsThatOfPyTorch(String name, String kind) throws Exception {
    try (Backend backend = backend("padded");
        ModelFolder model = ModelFolder.open(folder(name), backend.cache());
        TextModel text =
            backend.openWithoutDropout(model, new Trainables.Adapter(config(name, kind)));
        ParameterVector before =
            new ParameterVector(text.weights().layout(), backend.kernels().device());
        ParameterVector gradient =
            new ParameterVector(text.weights().layout(), backend.kernels().device())) {
      fill(text.weights());
      backend.kernels().accumulate(before, text.weights(), 0.5f);
      text.retention().addGradient(batch(name), RandomKey.ofSeed(0), before, 1, gradient);
      requireGradients(recorded(name, kind).path("retention"), gradient);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"t5", "qwen2"})
  void dropoutOfAMixtureIsTheSameOverPaddedAndPackedRows(String name) throws Exception {
    SequencedMap<String, float[]> padded = gradientsWithDropout(name, "padded");
    SequencedMap<String, float[]> packed = gradientsWithDropout(name, "packed");
    assertEquals(padded.keySet(), packed.keySet());
    padded.forEach(
        (tensor, expected) -> {
          float[] found = Objects.requireNonNull(packed.get(tensor));
          double size = 0;
          double apart = 0;
          for (int i = 0; i < expected.length; i++) {
            size += (double) expected[i] * expected[i];
            apart += Math.pow((double) expected[i] - found[i], 2);
          }
          assertEquals(0, Math.sqrt(apart / size), 1e-4, tensor);
        });
  }

  private static SequencedMap<String, float[]> gradientsWithDropout(String name, String graph)
      throws Exception {
    SequencedMap<String, float[]> gradients = new LinkedHashMap<>();
    try (Backend backend = backend(graph);
        ModelFolder model = ModelFolder.open(folder(name), backend.cache());
        TextModel text = backend.open(model, new Trainables.Adapter(config(name, "mixture")));
        ParameterVector gradient =
            new ParameterVector(text.weights().layout(), backend.kernels().device())) {
      fill(text.weights());
      text.objective().gradient(batch(name), RandomKey.ofSeed(3), gradient);
      names(gradient.layout()).forEach(tensor -> gradients.put(tensor, gradient.download(tensor)));
    }
    return gradients;
  }

  private static void requireAnswers(JsonNode expected, TextModel text, String name) {
    List<long[]> answers = text.decoder().decode(prompts(name), 6);
    assertEquals(2, answers.size());
    for (int row = 0; row < 2; row++) {
      List<Long> tokens = new ArrayList<>();
      expected.path("answers").path(row).forEach(token -> tokens.add(token.longValue()));
      assertArrayEquals(
          tokens.stream().mapToLong(Long::longValue).toArray(), answers.get(row), "row " + row);
    }
  }

  private static AdapterConfig config(String name, String kind) {
    LinkedHashSet<String> targets =
        new LinkedHashSet<>(
            name.equals("t5") ? List.of("q", "v", "wo") : List.of("q_proj", "v_proj", "down_proj"));
    LoraConfig lora = new LoraConfig(2, 3, 0.1, targets);
    return switch (kind) {
      case "mixture" -> MixtureConfig.of(lora, 3);
      case "prompt-pool" -> new PromptPoolConfig(4, 2, 2, 0.5);
      case "one-prompt" -> PromptPoolConfig.ofOne(3);
      case "task-attention" -> new TaskAttentionConfig(lora.sideBySide(3), 3, 5, 0.5);
      default -> throw new IllegalArgumentException(kind);
    };
  }

  private static JsonNode recorded(String name, String kind) throws IOException {
    try (InputStream file = AdaptersTest.class.getResourceAsStream("adapters.json")) {
      assertNotNull(file);
      for (JsonNode record : new ObjectMapper().readTree(file)) {
        if (record.path("model").asString().equals(name)
            && record.path("kind").asString().equals(kind)) {
          return record;
        }
      }
    }
    throw new AssertionError("nothing is recorded of " + kind + " on " + name);
  }

  private static Backend backend(String graph) {
    Path cache = temporary.resolve("cache");
    return graph.equals("packed") ? TestBackend.withOperators(cache) : TestBackend.open(cache);
  }

  private static Path folder(String name) throws Exception {
    return name.equals("t5")
        ? temporary.resolve("t5")
        : Path.of(Objects.requireNonNull(Measure.class.getResource(name)).toURI());
  }

  private static List<String> names(ParameterLayout layout) {
    return layout.tensors().stream().map(ParameterLayout.Tensor::name).sorted().toList();
  }

  private static void fill(ParameterVector weights) {
    List<String> names = names(weights.layout());
    for (int n = 0; n < names.size(); n++) {
      float[] values = new float[(int) weights.layout().tensor(names.get(n)).elements()];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (0.1 * Math.sin(i + n + 1.0));
      }
      weights.upload(names.get(n), MemorySegment.ofArray(values));
    }
  }

  // The samples of the recording

  private static long[] ids(int length, int row, int vocabulary) {
    return IntStream.range(0, length)
        .mapToLong(i -> 5 + (7L * i + 11L * row + (long) i * i) % (vocabulary - 5))
        .toArray();
  }

  private static Batch batch(String name) {
    return name.equals("t5") ? sequenceToSequence() : causal();
  }

  private static Batch sequenceToSequence() {
    long[] source = new long[18];
    long[] mask = new long[18];
    long[] labels = new long[8];
    Arrays.fill(labels, Batch.IGNORED);
    for (int row = 0; row < 2; row++) {
      int length = row == 0 ? 9 : 6;
      System.arraycopy(ids(length, row, 200), 0, source, 9 * row, length);
      Arrays.fill(mask, 9 * row, 9 * row + length, 1);
      int answer = row == 0 ? 4 : 3;
      System.arraycopy(ids(answer, row, 150), 0, labels, 4 * row, answer);
    }
    return new Batch(2, 9, 4, source, mask, labels);
  }

  private static Batch causal() {
    long[] source = new long[22];
    long[] mask = new long[22];
    long[] labels = new long[22];
    Arrays.fill(labels, Batch.IGNORED);
    for (int row = 0; row < 2; row++) {
      int first = row == 0 ? 0 : 3;
      System.arraycopy(ids(11, row, 40), first, source, 11 * row + first, 11 - first);
      Arrays.fill(mask, 11 * row + first, 11 * row + 11, 1);
      System.arraycopy(source, 11 * row + 8, labels, 11 * row + 8, 3);
    }
    return new Batch(2, 11, 11, source, mask, labels);
  }

  private static List<long[]> prompts(String name) {
    return name.equals("t5")
        ? List.of(ids(9, 0, 200), ids(6, 1, 200))
        : List.of(ids(8, 0, 40), Arrays.copyOfRange(ids(8, 1, 40), 3, 8));
  }
}
