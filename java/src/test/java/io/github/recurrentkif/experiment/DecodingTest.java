package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.model.AdapterConfig;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.MixtureConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.TextModel;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a row is answered does not depend on which rows are beside it, nor on when those end. */
class DecodingTest {

  private static final int TOKENS = 20;
  private static final int NEVER = 1_000_000;

  @TempDir private Path temporary;

  /** A copy of a model whose answers end with these tokens. */
  private Path model(String name, List<Integer> endTokens) throws IOException {
    Path source =
        name.equals("tiny-t5")
            ? SharedFolder.repository().resolve("models/tiny-t5")
            : SharedFolder.repository()
                .resolve("java/src/test/resources/io/github/recurrentkif/experiment/verification")
                .resolve(name);
    Path copy = temporary.resolve(name + endTokens.size());
    Files.createDirectories(copy);
    try (var files = Files.list(source)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }
    Files.writeString(
        copy.resolve("generation_config.json"), "{\"eos_token_id\": " + endTokens + "}");
    return copy;
  }

  private static List<long[]> prompts() {
    Random random = new Random(5);
    List<long[]> prompts = new ArrayList<>();
    for (int row = 0; row < 9; row++) {
      prompts.add(random.longs(2 + random.nextInt(12), 4, 40).toArray());
    }
    return prompts;
  }

  private List<long[]> decode(Path folder, String graph, List<List<long[]>> batches) {
    List<long[]> answers = new ArrayList<>();
    try (Backend backend = backend(graph);
        ModelFolder model = ModelFolder.open(folder, backend.cache());
        TextModel text = backend.open(model, new Trainables.Nothing())) {
      batches.forEach(batch -> answers.addAll(text.decoder().decode(batch, TOKENS)));
    }
    return answers;
  }

  @ParameterizedTest
  @CsvSource({
    "tiny-t5, padded",
    "tiny-t5, packed",
    "qwen2, padded",
    "qwen2, packed",
    "qwen3, padded",
    "qwen3, packed"
  })
  void aRowIsAnsweredInCompanyAsItIsAlone(String name, String graph) throws IOException {
    List<long[]> alone =
        decode(model(name, List.of(NEVER)), "padded", prompts().stream().map(List::of).toList());
    alone.forEach(answer -> assertEquals(TOKENS, answer.length));
    // Tokens that end some rows at once, some later and, with luck, some never.
    List<Integer> endTokens =
        List.of((int) alone.get(3)[0], (int) alone.get(0)[4], (int) alone.get(5)[9]);
    List<long[]> expected = alone.stream().map(answer -> cut(answer, endTokens)).toList();
    Set<Integer> lengths = new HashSet<>();
    expected.forEach(answer -> lengths.add(answer.length));
    assertTrue(lengths.size() > 2, "rows end at different steps: " + lengths);

    Path folder = model(name, endTokens);
    assertSame(expected, decode(folder, graph, List.of(prompts())));
    assertSame(
        expected, decode(folder, graph, List.of(prompts().subList(0, 4), prompts().subList(4, 9))));
  }

  @ParameterizedTest
  @ValueSource(strings = {"qwen2", "qwen3", "tiny-t5"})
  void promptsThatBeginAlikeAreAnsweredAsAlone(String name) throws IOException {
    long[] beginning = new Random(6).longs(11, 4, 40).toArray();
    List<long[]> prompts =
        prompts().stream()
            .map(end -> LongStream.concat(Arrays.stream(beginning), Arrays.stream(end)).toArray())
            .toList();
    Path folder = model(name, List.of(NEVER));
    assertSame(
        decode(folder, "padded", prompts.stream().map(List::of).toList()),
        decode(folder, "packed", List.of(prompts)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"low-rank", "mixture"})
  void anAdaptedModelAnswersPackedAsPadded(String kind) throws IOException {
    LoraConfig lora = new LoraConfig(4, 8, 0.1, new LinkedHashSet<>(List.of("q", "k", "v", "o")));
    AdapterConfig adapter = kind.equals("mixture") ? MixtureConfig.of(lora, 3) : lora;
    Path folder = model("tiny-t5", List.of(NEVER));
    List<long[]> expected = adaptedAnswers(folder, "padded", adapter);
    assertFalse(
        Arrays.deepEquals(
            expected.toArray(), decode(folder, "padded", List.of(prompts())).toArray()),
        "the adapter changes answers");
    assertSame(expected, adaptedAnswers(folder, "packed", adapter));
  }

  private List<long[]> adaptedAnswers(Path folder, String graph, AdapterConfig adapter) {
    try (Backend backend = backend(graph);
        ModelFolder model = ModelFolder.open(folder, backend.cache());
        TextModel text = backend.open(model, new Trainables.Adapter(adapter))) {
      Random random = new Random(8);
      MemorySegment weights = text.weights().segment();
      for (long i = 0; i < weights.byteSize() / Float.BYTES; i++) {
        weights.setAtIndex(ValueLayout.JAVA_FLOAT, i, 0.3f * (float) random.nextGaussian());
      }
      return text.decoder().decode(prompts(), TOKENS);
    }
  }

  private Backend backend(String graph) {
    Path cache = temporary.resolve("cache");
    return graph.equals("packed") ? TestBackend.withOperators(cache) : TestBackend.open(cache);
  }

  private static long[] cut(long[] answer, List<Integer> endTokens) {
    for (int i = 0; i < answer.length; i++) {
      if (endTokens.contains((int) answer[i])) {
        return Arrays.copyOf(answer, i + 1);
      }
    }
    return answer;
  }

  private static void assertSame(List<long[]> expected, List<long[]> found) {
    assertEquals(expected.size(), found.size());
    for (int row = 0; row < expected.size(); row++) {
      assertArrayEquals(expected.get(row), found.get(row), "row " + row);
    }
  }

  @Test
  void noPromptsHaveNoAnswers() throws IOException {
    assertEquals(List.of(), decode(model("qwen2", List.of(NEVER)), "padded", List.of(List.of())));
  }
}
