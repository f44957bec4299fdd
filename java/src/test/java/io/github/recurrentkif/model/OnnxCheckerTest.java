package io.github.recurrentkif.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.graph.operators.Activation;
import io.github.recurrentkif.graph.operators.Precision;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The models we write, through the checker of the onnx package, where Python has it. */
class OnnxCheckerTest {

  /** {@code KIF_PYTHON}, else {@code python3}. */
  private static final String PYTHON = System.getenv().getOrDefault("KIF_PYTHON", "python3");

  @TempDir Path folder;

  @Test
  void everyGraphOfEveryKindOfModelIsValid() throws Exception {
    if (run(List.of(PYTHON, "-c", "import onnx")).status() != 0) {
      String reason = "SKIPPED: " + PYTHON + " has no onnx package; KIF_PYTHON names another";
      System.out.println(reason);
      abort(reason);
    }
    List<TrainingArtifacts.GraphFile> graphs = new ArrayList<>();
    for (ModelConfig config :
        List.of(config(false), config(true), llama("llama"), llama("qwen3"))) {
      List<String> targets =
          config instanceof T5Config ? List.of("q", "v", "wo") : List.of("q_proj", "down_proj");
      Trainables prompts = new Trainables.Adapter(new PromptPoolConfig(3, 2, 1, 0.5));
      List<Trainables> choices =
          List.of(
              new Trainables.Adapter(new LoraConfig(4, 8, 0.1, new LinkedHashSet<>(targets))),
              new Trainables.EveryWeight(),
              new Trainables.Nothing());
      for (Trainables trainables : choices) {
        add(graphs, TrainingArtifacts.prepare(config, trainables, true, folder));
      }
      Precisions bf16 = Precisions.onGpu(Precision.BF16);
      add(graphs, TrainingArtifacts.prepare(config, choices.getFirst(), true, bf16, folder));
      add(graphs, TrainingArtifacts.prepare(config, prompts, true, bf16, folder));
    }
    // On the stock runtime of a T5 each time 3, of a LLaMA 2, one more where prompts hold their
    // answers; packed ones of a T5 4, none, 2, 4 and 4, of a LLaMA 2, none, 1, 2 and 2.
    assertEquals(2 * (5 * 3 + 1 + 14) + 2 * (5 * 2 + 1 + 7), graphs.size());
    List<String> command = new ArrayList<>();
    command.add(PYTHON);
    command.add(SharedFolder.repository().resolve("bench/python/check_onnx.py").toString());
    graphs.forEach(graph -> command.add(graph.file().toString()));
    Outcome outcome = run(command);
    assertEquals(0, outcome.status(), outcome.said());
    assertEquals(
        graphs.size(), outcome.said().lines().filter(line -> line.startsWith("valid ")).count());
  }

  private static void add(List<TrainingArtifacts.GraphFile> graphs, TrainingArtifacts artifacts) {
    TrainingArtifacts.Decoding packed = artifacts.packedDecoding();
    graphs.addAll(
        Stream.of(
                artifacts.training(),
                artifacts.packedTraining(),
                artifacts.packedTrainingOfShortAnswers(),
                artifacts.holding(),
                artifacts.decoding().encoder(),
                artifacts.decoding().step(),
                packed == null ? null : packed.encoder(),
                packed == null ? null : packed.step())
            .filter(Objects::nonNull)
            .toList());
  }

  private static T5Config config(boolean newer) {
    return new T5Config(
        16,
        4,
        3,
        24,
        2,
        1,
        50,
        8,
        20,
        1e-6f,
        0.1,
        newer ? Activation.Function.GELU_TANH : Activation.Function.RELU,
        newer,
        !newer,
        !newer,
        0,
        List.of(1),
        0);
  }

  /** Grouped queries; one with every bias, one with norms of the heads. */
  static LlamaConfig llama(String type) {
    boolean biased = type.equals("llama");
    return new LlamaConfig(
        type,
        16,
        6,
        4,
        2,
        24,
        2,
        50,
        1e-6f,
        new RotaryScaling.Frequencies(10_000, new RotaryScaling.None()),
        new LlamaConfig.Biases(biased, biased, biased),
        !biased,
        0.1,
        biased,
        0,
        List.of(2));
  }

  private record Outcome(int status, String said) {}

  private static Outcome run(List<String> command) throws IOException, InterruptedException {
    Process process;
    try {
      process = new ProcessBuilder(command).redirectErrorStream(true).start();
    } catch (IOException e) {
      return new Outcome(127, String.valueOf(e.getMessage()));
    }
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Outcome(process.waitFor(), said);
  }
}
