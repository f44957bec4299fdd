package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsWriter;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.memory.StoredTensor;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.T5Config;
import io.github.recurrentkif.training.Outcome;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class PretrainingTest {

  private static final RunListener SILENT = new RunListener() {};

  private static final String RECIPE =
      """
      {"config": {"model_type": "t5", "d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 24,
         "num_layers": 1, "vocab_size": 512, "dropout_rate": 0.1, "tie_word_embeddings": true},
       "tokenizer": "built-in",
       "settings": {"updates": 8, "batch-size": 4, "accumulation": 2, "warmup-updates": 2,
         "held-out-samples": 4, "held-out-interval": 4, "text-share": 0.5, "threads": 1}}
      """;

  @TempDir Path folder;
  private Backend backend;

  @BeforeEach
  void open() throws IOException {
    backend = TestBackend.open(folder.resolve("cache"));
    PretrainingRecipe builtIn = BuiltInModel.extractRecipe(folder.resolve("built-in"));
    assertTrue(builtIn.config().isObject());
    Files.writeString(folder.resolve("recipe.json"), RECIPE);
  }

  @AfterEach
  void close() {
    backend.close();
  }

  private PretrainingRecipe recipe() {
    return PretrainingRecipe.read(folder.resolve("recipe.json"));
  }

  private void finish(Path output, PretrainingRecipe recipe) {
    try (Pretraining pretraining = Pretraining.begin(output, recipe, backend)) {
      pretraining.run(SILENT, () -> false);
    }
  }

  @Test
  void a_pretraining_that_is_stopped_and_resumed_ends_in_the_same_bits() throws IOException {
    Path whole = folder.resolve("whole");
    Path parts = folder.resolve("parts");
    finish(whole, recipe());

    List<Long> updates = new ArrayList<>();
    RunListener counting = countingInto(updates);
    try (Pretraining pretraining = Pretraining.begin(parts, recipe(), backend)) {
      assertThrows(
          CancellationException.class, () -> pretraining.run(counting, () -> updates.size() == 3));
    }
    assertFalse(Files.exists(parts.resolve("model.safetensors")));
    try (Pretraining pretraining = Pretraining.resume(parts, backend)) {
      pretraining.run(counting, () -> false);
    }

    assertEquals(List.of(1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L), updates);
    for (String file : List.of("model.safetensors", "pretraining/events.jsonl")) {
      assertArrayEquals(
          Files.readAllBytes(whole.resolve(file)), Files.readAllBytes(parts.resolve(file)), file);
    }
  }

  @Test
  void the_result_is_a_model_that_has_learned_something_and_another_seed_makes_another()
      throws IOException {
    Path output = folder.resolve("model");
    finish(output, recipe().with(Map.of("updates", "40", "learning-rate", "0.01")));

    try (ModelFolder model = ModelFolder.open(output, output.resolve("cache"))) {
      assertEquals(16, assertInstanceOf(T5Config.class, model.config()).modelWidth());
    }
    List<String> heldOut = heldOut(output);
    assertEquals(10, heldOut.size());
    assertTrue(
        loss(heldOut.getLast(), "prompt_loss") < 0.8 * loss(heldOut.getFirst(), "prompt_loss"));

    Path other = folder.resolve("other");
    finish(other, recipe().with(Map.of("seed", "2")));
    Path same = folder.resolve("same");
    finish(same, recipe());
    assertFalse(
        Arrays.equals(
            Files.readAllBytes(other.resolve("model.safetensors")),
            Files.readAllBytes(same.resolve("model.safetensors"))));
  }

  /** What was said of held-out samples, from the beginning to the end. */
  private static List<String> heldOut(Path output) throws IOException {
    return Files.readAllLines(output.resolve("pretraining/events.jsonl")).stream()
        .filter(line -> line.contains("held-out"))
        .toList();
  }

  private static RunListener countingInto(List<Long> updates) {
    return new RunListener() {
      @Override
      public void updated(long completed, Outcome outcome) {
        updates.add(completed);
      }
    };
  }

  private static double loss(String line, String kind) {
    return new tools.jackson.databind.ObjectMapper().readTree(line).get(kind).doubleValue();
  }

  @Test
  void a_llama_learns_texts_token_by_token_and_the_answers_of_prompts() throws IOException {
    Files.writeString(
        folder.resolve("recipe.json"),
        RECIPE.replace(
            """
            {"model_type": "t5", "d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 24,
               "num_layers": 1, "vocab_size": 512, "dropout_rate": 0.1, "tie_word_embeddings": true}\
            """,
            """
            {"model_type": "llama", "hidden_size": 16, "num_attention_heads": 2, "eos_token_id": 1,
               "intermediate_size": 24, "num_hidden_layers": 1, "vocab_size": 512, "pad_token_id": 0}\
            """));
    Path output = folder.resolve("model");
    finish(output, recipe().with(Map.of("updates", "40", "learning-rate", "0.01")));

    try (ModelFolder model = ModelFolder.open(output, output.resolve("cache"))) {
      assertEquals(16, assertInstanceOf(LlamaConfig.class, model.config()).modelWidth());
    }
    List<String> heldOut = heldOut(output);
    for (String loss : List.of("prompt_loss", "text_loss")) {
      double first = loss(heldOut.getFirst(), loss);
      double last = loss(heldOut.getLast(), loss);
      assertTrue(last < 0.9 * first, loss + " from " + first + " to " + last);
      // What a model that knows nothing would have; more means that labels and logits are not those
      // of the same token.
      assertTrue(first < 1.02 * Math.log(512), loss + " at first " + first);
    }

    InputException mimetic =
        assertThrows(
            InputException.class,
            () ->
                finish(
                    folder.resolve("other"), recipe().with(Map.of("initialization", "mimetic"))));
    assertTrue(String.valueOf(mimetic.getMessage()).contains("initialization=standard"));
  }

  @Test
  void text_comes_from_files_where_the_recipe_names_them() throws IOException {
    Files.writeString(folder.resolve("text.txt"), "the red ball was in Oslo.\n".repeat(12));
    Files.writeString(
        folder.resolve("recipe.json"),
        RECIPE.replace("\"tokenizer\"", "\"text\": [\"text.txt\"], \"tokenizer\""));
    finish(folder.resolve("model"), recipe().with(Map.of("text-share", "1", "updates", "2")));

    InputException tooLittle =
        assertThrows(
            InputException.class,
            () ->
                Pretraining.begin(
                    folder.resolve("other"),
                    recipe().with(Map.of("held-out-samples", "12")),
                    backend));
    assertTrue(String.valueOf(tooLittle.getMessage()).contains("12 usable lines"));
  }

  @Test
  void prompts_come_from_the_tasks_that_the_recipe_names() throws IOException {
    for (String split : List.of("train", "dev")) {
      Files.createDirectories(folder.resolve("tasks").resolve(split));
      Files.writeString(
          folder.resolve("tasks").resolve(split).resolve("colour.json"),
          """
          [{"id": "1", "instruction": "Which colour? ", "input": "The ball is red.", "output": "red"},
           {"id": "2", "instruction": "Which colour? ", "input": "The bus is blue.", "output": "blue"}]
          """);
    }
    Files.writeString(
        folder.resolve("recipe.json"),
        RECIPE.replace("\"tokenizer\"", "\"tasks\": \"tasks\", \"tokenizer\""));
    Path output = folder.resolve("model");
    PretrainingRecipe named =
        recipe().with(Map.of("updates", "60", "learning-rate", "0.01", "text-share", "0"));
    List<Long> updates = new ArrayList<>();
    RunListener counting = countingInto(updates);
    try (Pretraining pretraining = Pretraining.begin(output, named, backend)) {
      assertThrows(
          CancellationException.class, () -> pretraining.run(counting, () -> updates.size() == 3));
    }
    try (Pretraining pretraining = Pretraining.resume(output, backend)) {
      pretraining.run(counting, () -> false);
    }

    String heldOut = Files.readAllLines(output.resolve("pretraining/events.jsonl")).getLast();
    assertTrue(heldOut.contains("\"accuracy\":{\"colour\":1.0}"), heldOut);
  }

  @Test
  void weights_begin_as_those_of_the_file_that_the_recipe_names() throws IOException {
    Files.writeString(
        folder.resolve("recipe.json"),
        RECIPE.replace("\"tokenizer\"", "\"weights\": \"begin.safetensors\", \"tokenizer\""));
    // Too small a step to change what is 0.5 as bfloat16.
    PretrainingRecipe named = recipe().with(Map.of("updates", "1", "learning-rate", "1e-30"));
    float[] halves = new float[512 * 16];
    Arrays.fill(halves, 0.5f);
    writeWeights("shared.weight", Shape.of(512, 16), halves);
    Path output = folder.resolve("model");
    finish(output, named);
    try (ModelFolder model = ModelFolder.open(output, output.resolve("cache"))) {
      MemorySegment made = model.weight("shared.weight", Shape.of(512, 16));
      assertArrayEquals(halves, made.toArray(ValueLayout.JAVA_FLOAT));
    }

    writeWeights("shared.weight", Shape.of(16, 512), halves);
    String shape = refusal(() -> finish(folder.resolve("shape"), named));
    assertTrue(shape.contains("begin.safetensors: tensor 'shared.weight' has shape"), shape);
    writeWeights("embedding", Shape.of(512, 16), halves);
    String unknown = refusal(() -> finish(folder.resolve("unknown"), named));
    assertTrue(unknown.contains("'embedding'"), unknown);
  }

  private void writeWeights(String name, Shape shape, float[] values) throws IOException {
    StoredTensor tensor =
        new StoredTensor(name, DataType.F32, shape, MemorySegment.ofArray(values));
    SafetensorsWriter.write(
        folder.resolve("begin.safetensors"), List.of(tensor), new LinkedHashMap<>());
  }

  private static String refusal(Executable refused) {
    return String.valueOf(assertThrows(InputException.class, refused).getMessage());
  }

  @Test
  void a_recipe_says_what_is_wrong_with_it() throws IOException {
    Files.writeString(folder.resolve("recipe.json"), "{\"config\": {}, \"texts\": []}");
    InputException unknownKey = assertThrows(InputException.class, this::recipe);
    assertTrue(String.valueOf(unknownKey.getMessage()).contains("'texts'"));

    Files.writeString(folder.resolve("recipe.json"), RECIPE.replace("updates", "steps"));
    InputException unknownSetting = assertThrows(InputException.class, this::recipe);
    assertTrue(String.valueOf(unknownSetting.getMessage()).contains("'steps'"));
  }

  @Test
  void a_folder_with_a_model_is_never_overwritten() {
    Path output = folder.resolve("model");
    finish(output, recipe().with(Map.of("updates", "1")));

    assertThrows(InputException.class, () -> Pretraining.begin(output, recipe(), backend));
  }
}
