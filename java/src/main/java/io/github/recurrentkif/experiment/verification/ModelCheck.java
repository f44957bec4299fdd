package io.github.recurrentkif.experiment.verification;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.StoredAdapter;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.TextModel;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Compares loss, logits, gradients and greedy answers of a model with recorded ones: a Hugging Face
 * folder with an adapter, a {@code fixture.json} and the gradients of the adapter and of all
 * weights, computed in float64.
 *
 * <p>A tensor agrees when its largest deviation is at most {@value #TORCH_DEVIATIONS} times that of
 * torch's own float32 run plus {@value #OF_LARGEST} of its largest magnitude.
 */
public final class ModelCheck {

  private static final double TORCH_DEVIATIONS = 5;
  private static final double OF_LARGEST = 2e-6;
  private static final double LOSS_TOLERANCE = 1e-5;

  private final Path folder;
  private final Backend backend;
  private final JsonFile fixture;
  private final List<Measure> measures = new ArrayList<>();

  private ModelCheck(Path folder, Backend backend) {
    this.folder = folder;
    this.backend = backend;
    this.fixture = JsonFile.read(folder.resolve("fixture.json"));
  }

  /**
   * Runs the comparison.
   *
   * @return one measure for each tensor, the losses and the answers; deviations in the tensors' own
   *     units
   */
  public static List<Measure> run(Path folder, Backend backend) {
    ModelCheck check = new ModelCheck(folder, backend);
    try (ModelFolder model = ModelFolder.open(folder, backend.cache())) {
      check.adapter(model);
      check.everyWeight(model);
    } catch (IOException e) {
      throw InputException.unreadable(folder, e);
    }
    return check.measures;
  }

  private void adapter(ModelFolder model) throws IOException {
    StoredAdapter adapter = StoredAdapter.open(folder.resolve("adapter"));
    try (TextModel text =
        backend.openWithoutDropout(model, new Trainables.Adapter(adapter.config()))) {
      adapter.load(text.weights());
      compare(
          model,
          text,
          "lora",
          "lora_gradients.safetensors",
          "base_model.model.",
          ".default.weight");
      compareAnswers(text, model.config().padToken());
    }
  }

  private void everyWeight(ModelFolder model) throws IOException {
    try (TextModel text = backend.openWithoutDropout(model, new Trainables.EveryWeight())) {
      model.load(text.weights());
      compare(model, text, "full", "full_gradients.safetensors", "", ".weight");
    }
  }

  private void compare(
      ModelFolder model,
      TextModel text,
      String key,
      String gradientsFile,
      String prefix,
      String suffix)
      throws IOException {
    JsonFile expected = fixture.at(key);
    Batch batch = batch();
    try (SafetensorsFile truth = SafetensorsFile.open(folder.resolve(gradientsFile));
        ParameterVector gradient =
            new ParameterVector(text.weights().layout(), backend.kernels().device());
        Arena arena = Arena.ofConfined()) {
      double loss = text.objective().gradient(batch, RandomKey.ofSeed(0), gradient);
      measures.add(
          new Measure(
              key + " loss", Math.abs(loss - expected.at("loss").number()), LOSS_TOLERANCE, ""));
      MemorySegment logits = text.paddedObjective().logits(batch, arena);
      MemorySegment expectedLogits = truth.float32("logits", arena);
      if (model.config() instanceof LlamaConfig) {
        clearPadding(logits, batch);
      }
      compareTensor(key, "logits", expected, expectedLogits, logits);
      for (ParameterLayout.Tensor tensor : gradient.layout().tensors()) {
        String name = prefix + tensor.name().replaceFirst("\\.weight$", suffix);
        MemorySegment found = MemorySegment.ofArray(gradient.download(tensor.name()));
        compareTensor(key, name, expected, truth.float32(name, arena), found);
      }
    }
  }

  /** Logits of padding mean nothing; a decoder-only model has them, recorded as zero. */
  private static void clearPadding(MemorySegment logits, Batch batch) {
    long rowBytes = logits.byteSize() / batch.attentionMask().length;
    for (int row = 0; row < batch.attentionMask().length; row++) {
      if (batch.attentionMask()[row] == 0) {
        logits.asSlice(row * rowBytes, rowBytes).fill((byte) 0);
      }
    }
  }

  private void compareTensor(
      String key, String name, JsonFile expected, MemorySegment truth, MemorySegment found) {
    JsonFile bounds = expected.at("tensors").at(name);
    double limit =
        TORCH_DEVIATIONS * bounds.at("torch_float32_deviation").number()
            + OF_LARGEST * bounds.at("largest").number();
    double largest = 0;
    for (long i = 0; i < truth.byteSize() / JAVA_FLOAT.byteSize(); i++) {
      double deviation =
          Math.abs(
              (double) truth.getAtIndex(JAVA_FLOAT_UNALIGNED, i)
                  - found.getAtIndex(JAVA_FLOAT_UNALIGNED, i));
      largest = deviation > largest || Double.isNaN(deviation) ? deviation : largest;
    }
    String what = name.equals("logits") ? key + " logits" : Graph.gradientName(name);
    measures.add(new Measure(what, largest, limit, key));
  }

  private Batch batch() {
    JsonFile batch = fixture.at("batch");
    long[][] ids = rows(batch.at("input_ids"));
    long[][] mask = rows(batch.at("attention_mask"));
    long[][] labels = rows(batch.at("labels"));
    return new Batch(
        ids.length, ids[0].length, labels[0].length, flat(ids), flat(mask), flat(labels));
  }

  private static long[][] rows(JsonFile json) {
    return json.elements().stream().map(JsonFile::longs).toArray(long[][]::new);
  }

  private static long[] flat(long[][] rows) {
    return Arrays.stream(rows).flatMapToLong(Arrays::stream).toArray();
  }

  private void compareAnswers(TextModel text, long padToken) {
    List<long[]> sources = new ArrayList<>();
    if (fixture.has("greedy_prompt_ids")) {
      // Padded on the left; no prompt holds the padding token itself.
      for (long[] row : rows(fixture.at("greedy_prompt_ids"))) {
        sources.add(Arrays.stream(row).dropWhile(id -> id == padToken).toArray());
      }
    } else {
      JsonFile batch = fixture.at("batch");
      long[][] ids = rows(batch.at("input_ids"));
      long[][] mask = rows(batch.at("attention_mask"));
      for (int row = 0; row < ids.length; row++) {
        int length = (int) Arrays.stream(mask[row]).sum();
        sources.add(Arrays.copyOf(ids[row], length));
      }
    }
    long[][] expected = rows(fixture.at("greedy"));
    List<long[]> found = text.decoder().decode(sources, expected[0].length);
    int differing = 0;
    for (int row = 0; row < expected.length; row++) {
      // Rows that end early are recorded padded to the length of the longest.
      long[] answer = Arrays.copyOf(found.get(row), expected[row].length);
      if (!Arrays.equals(answer, expected[row])) {
        differing++;
      }
    }
    measures.add(new Measure("greedy answers that differ", differing, 0, ""));
  }
}
