package io.github.recurrentkif;

import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.SafetensorsWriter;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.memory.StoredTensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import tools.jackson.databind.json.JsonMapper;

/** Writes a random T5 of a few thousand weights, its tokenizer, and tasks it can be trained on. */
public final class SmallModel {

  public static final List<String> TASKS = List.of("alpha", "beta", "gamma", "delta");

  private static final int WIDTH = 16;
  private static final int INNER = 8;
  private static final int FEED_FORWARD = 12;
  private static final int WORDS = 24;
  private static final List<String> ANSWERS = List.of("red", "green", "blue");
  private static final int VOCABULARY = 3 + WORDS + ANSWERS.size() + 2;

  private final Random random = new Random(7);
  private final List<StoredTensor> tensors = new ArrayList<>();

  private SmallModel() {}

  /** A Hugging Face folder. */
  public static Path writeModel(Path folder) {
    new SmallModel().write(folder);
    return folder;
  }

  private void write(Path folder) {
    embedding("shared.weight", VOCABULARY, WIDTH, 1);
    stack("encoder", 1);
    stack("decoder", 2);
    try {
      Files.createDirectories(folder);
      SafetensorsWriter.write(folder.resolve("model.safetensors"), tensors, new LinkedHashMap<>());
      Files.writeString(
          folder.resolve("config.json"),
          """
          {"model_type": "t5", "d_model": 16, "d_kv": 4, "num_heads": 2, "d_ff": 12,
           "num_layers": 1, "num_decoder_layers": 1, "vocab_size": %d, "dropout_rate": 0.1,
           "relative_attention_num_buckets": 8, "pad_token_id": 0, "eos_token_id": 1,
           "decoder_start_token_id": 0}
          """
              .formatted(VOCABULARY));
      Files.writeString(
          folder.resolve("tokenizer.json"), new JsonMapper().writeValueAsString(tokenizer()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void stack(String stack, int attentions) {
    String block = stack + ".block.0.layer.";
    for (int layer = 0; layer < attentions; layer++) {
      String attention = block + layer + (layer == 0 ? ".SelfAttention." : ".EncDecAttention.");
      for (String projection : new String[] {"q", "k", "v"}) {
        embedding(attention + projection + ".weight", INNER, WIDTH, 0.3);
      }
      embedding(attention + "o.weight", WIDTH, INNER, 0.3);
      if (layer == 0) {
        embedding(attention + "relative_attention_bias.weight", 8, 2, 0.3);
      }
      norm(block + layer + ".layer_norm.weight");
    }
    String feedForward = block + attentions;
    embedding(feedForward + ".DenseReluDense.wi.weight", FEED_FORWARD, WIDTH, 0.3);
    embedding(feedForward + ".DenseReluDense.wo.weight", WIDTH, FEED_FORWARD, 0.3);
    norm(feedForward + ".layer_norm.weight");
    norm(stack + ".final_layer_norm.weight");
  }

  private void embedding(String name, int rows, int columns, double deviation) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    add(name, Shape.of(rows, columns), values);
  }

  private void norm(String name) {
    float[] ones = new float[WIDTH];
    java.util.Arrays.fill(ones, 1);
    add(name, Shape.of(WIDTH), ones);
  }

  private void add(String name, Shape shape, float[] values) {
    tensors.add(new StoredTensor(name, DataType.F32, shape, MemorySegment.ofArray(values)));
  }

  /** Words between spaces; nothing is marked as special, as in older files. */
  private static Map<String, Object> tokenizer() {
    Map<String, Object> vocabulary = new LinkedHashMap<>();
    List<String> tokens = new ArrayList<>(List.of("<pad>", "</s>", "<unk>"));
    tokens.addAll(ANSWERS);
    for (int word = 0; word < WORDS; word++) {
      tokens.add("w" + word);
    }
    tokens.forEach(token -> vocabulary.put(token, vocabulary.size()));
    Map<String, Object> end = Map.of("id", "</s>", "ids", List.of(1), "tokens", List.of("</s>"));
    List<Object> single =
        List.of(
            Map.of("Sequence", Map.of("id", "A", "type_id", 0)),
            Map.of("SpecialToken", Map.of("id", "</s>", "type_id", 0)));
    Map<String, Object> tokenizer = new LinkedHashMap<>();
    tokenizer.put("version", "1.0");
    tokenizer.put("added_tokens", List.of());
    tokenizer.put("pre_tokenizer", Map.of("type", "WhitespaceSplit"));
    tokenizer.put(
        "post_processor",
        Map.of(
            "type",
            "TemplateProcessing",
            "single",
            single,
            "pair",
            single,
            "special_tokens",
            Map.of("</s>", end)));
    tokenizer.put("model", Map.of("type", "WordLevel", "vocab", vocabulary, "unk_token", "<unk>"));
    return tokenizer;
  }

  /** A data folder with every one of {@link #TASKS}. */
  public static Path writeTasks(Path folder) {
    Random random = new Random(11);
    for (String task : TASKS) {
      writeTask(folder.resolve("train").resolve(task + ".json"), task, 26, random);
      writeTask(folder.resolve("test").resolve(task + ".json"), task, 9, random);
    }
    return folder;
  }

  private static void writeTask(Path file, String task, int samples, Random random) {
    List<Map<String, String>> records = new ArrayList<>();
    int shift = TASKS.indexOf(task);
    for (int i = 0; i < samples; i++) {
      int first = random.nextInt(WORDS);
      StringBuilder input = new StringBuilder("w" + first);
      for (int j = random.nextInt(6); j > 0; j--) {
        input.append(" w").append(random.nextInt(WORDS));
      }
      Map<String, String> sample = new LinkedHashMap<>();
      sample.put("id", task + "_" + i);
      sample.put("instruction", "w0 w1 ");
      sample.put("input", input.toString());
      sample.put("output", ANSWERS.get((first + shift) % ANSWERS.size()));
      records.add(sample);
    }
    try {
      Files.createDirectories(file.getParent());
      Files.write(file, new JsonMapper().writeValueAsBytes(records));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
