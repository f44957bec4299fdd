package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.ContinualMethod;
import io.github.recurrentkif.continual.Observer;
import io.github.recurrentkif.continual.RecurrentKif;
import io.github.recurrentkif.continual.RecurrentKifSettings;
import io.github.recurrentkif.continual.TaskPlan;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.StoredAdapter;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.GradientSum;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.TextModel;
import io.github.recurrentkif.training.Update;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * Does what lines of JSON ask for and says how long it took: how another program measures updates,
 * cycles and decoding on batches of its own. Model, adapter and optimiser stay from one request to
 * the next.
 *
 * <pre>
 * {"do": "gradient", "update": [BATCH, ...], "file": FOLDER}   adapter of gradients, in PEFT's form
 * {"do": "updates", "updates": [[BATCH, ...], ...]}            one step of AdamW each
 * {"do": "cycle", "inner": [[BATCH, ...], ...], "outer": [BATCH, ...]}    Recurrent-KIF, fusion included
 * {"do": "decode", "prompts": [[ID, ...], ...], "tokens": N}
 * {"do": "save", "file": FOLDER}                               the adapter as it is now
 * </pre>
 *
 * A BATCH has {@code input_ids}, {@code attention_mask} and {@code labels}, each a list of rows of
 * one length. Answers hold {@code seconds}, measured around the work alone.
 */
public final class TrainingRequests implements AutoCloseable {

  private static final double LEARNING_RATE = 3e-4;

  private final ObjectMapper json = new ObjectMapper();
  private final Backend backend;
  private final ModelFolder model;
  private final StoredAdapter adapter;
  private final TextModel text;
  private final int tokensPerPass;
  private @Nullable Learner<Batch> learner;
  private RandomKey randomness = RandomKey.ofSeed(0);

  /**
   * Opens a model with an adapter.
   *
   * @param dropout whether the model and the adapter drop as their configurations say
   * @param tokensPerPass the setting of that name
   */
  public TrainingRequests(
      Backend backend,
      Path folder,
      Path adapter,
      boolean dropout,
      int tokensPerPass,
      Precision precision) {
    this.tokensPerPass = tokensPerPass;
    this.backend = backend;
    this.adapter = StoredAdapter.open(adapter);
    this.model = ModelFolder.open(folder, backend.cache());
    Trainables trainables = new Trainables.Adapter(this.adapter.config());
    this.text =
        dropout
            ? backend.open(model, trainables, precision)
            : backend.openWithoutDropout(model, trainables, precision);
    this.adapter.load(text.weights());
  }

  /** Only where something is learned: decoding needs no training graph. */
  private Learner<Batch> learner() {
    if (learner == null) {
      learner =
          new Learner<>(
              text.weights(),
              backend.kernels(),
              text.objective(tokensPerPass),
              OptimizerSettings.reference());
    }
    return learner;
  }

  /**
   * Does one request.
   *
   * @throws InputException if it cannot be understood
   */
  public String answer(String line) {
    try {
      JsonNode request = json.readTree(line);
      String what = request.path("do").asString("");
      Map<String, Object> answer =
          switch (what) {
            case "gradient" -> gradient(request);
            case "updates" -> updates(request);
            case "cycle" -> cycle(request);
            case "decode" -> decode(request);
            case "save" -> save(text.weights(), request);
            default -> throw new InputException("unknown request '" + what + "'");
          };
      return json.writeValueAsString(answer);
    } catch (JacksonException e) {
      throw new InputException("a request is not valid JSON: " + e.getOriginalMessage(), e);
    }
  }

  private Map<String, Object> gradient(JsonNode request) {
    Update<Batch> update = update(batches(request.path("update")));
    try (GradientSum sum = new GradientSum(text.weights(), backend.kernels())) {
      List<Double> losses = text.objective(tokensPerPass).gradient(update, sum);
      Map<String, Object> answer = save(sum.total(), request);
      answer.put("losses", losses);
      return answer;
    }
  }

  private Map<String, Object> save(ParameterVector vector, JsonNode request) {
    StoredAdapter.write(
        Path.of(request.path("file").asString("")),
        adapter.config(),
        model.config(),
        model.folder().toString(),
        vector);
    return new LinkedHashMap<>();
  }

  private Map<String, Object> updates(JsonNode request) {
    List<Double> seconds = new ArrayList<>();
    List<Double> losses = new ArrayList<>();
    Learner<Batch> trained = learner();
    for (JsonNode one : request.path("updates")) {
      Update<Batch> update = update(batches(one));
      long start = System.nanoTime();
      Outcome outcome = trained.update(update);
      seconds.add((System.nanoTime() - start) / 1e9);
      losses.add(outcome.meanLoss());
    }
    return answer("seconds", seconds, "losses", losses);
  }

  private Map<String, Object> cycle(JsonNode request) {
    List<Update<Batch>> inner = new ArrayList<>();
    request.path("inner").forEach(update -> inner.add(update(batches(update))));
    List<Batch> outer = batches(request.path("outer"));
    RecurrentKifSettings settings = RecurrentKifSettings.reference();
    if (inner.size() != settings.cycleLength() || outer.size() != settings.outerSteps()) {
      throw new InputException(
          "a cycle has %d inner and %d outer updates, got %d and %d"
              .formatted(
                  settings.cycleLength(), settings.outerSteps(), inner.size(), outer.size()));
    }
    float outerScale = 1f / inner.getFirst().microBatches().size();
    List<Update<Batch>> replays =
        outer.stream()
            .map(batch -> new Update<>(List.of(batch), outerScale, LEARNING_RATE, nextRandomness()))
            .toList();
    try (ContinualMethod<Batch> method =
        new RecurrentKif<>(settings, text.weights().layout(), backend.kernels())) {
      Learner<Batch> trained = learner();
      method.beginTask(0, trained);
      long start = System.nanoTime();
      method.learn(new Cycle(inner, replays), 0, trained, Observer.none());
      return answer("seconds", (System.nanoTime() - start) / 1e9, "updates", inner.size());
    }
  }

  private record Cycle(List<Update<Batch>> inners, List<Update<Batch>> outers)
      implements TaskPlan<Batch> {

    @Override
    public long updates() {
      return inners.size();
    }

    @Override
    public Update<Batch> inner(long completed) {
      return inners.get((int) completed);
    }

    @Override
    public boolean hasMemory() {
      return true;
    }

    @Override
    public Update<Batch> outer(long completed, int repeat) {
      return outers.get(repeat);
    }
  }

  private Map<String, Object> decode(JsonNode request) {
    List<long[]> prompts = elements(request.path("prompts")).map(TrainingRequests::longs).toList();
    int tokens = request.path("tokens").asInt();
    text.decoder();
    long start = System.nanoTime();
    List<long[]> answers = text.decoder().decode(prompts, tokens);
    return answer("seconds", (System.nanoTime() - start) / 1e9, "answers", answers);
  }

  private static Map<String, Object> answer(String a, Object first, String b, Object second) {
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put(a, first);
    answer.put(b, second);
    return answer;
  }

  private RandomKey nextRandomness() {
    randomness = randomness.at(1);
    return randomness;
  }

  private Update<Batch> update(List<Batch> microBatches) {
    return new Update<>(microBatches, 1f / microBatches.size(), LEARNING_RATE, nextRandomness());
  }

  private static List<Batch> batches(JsonNode list) {
    return elements(list).map(TrainingRequests::batch).toList();
  }

  private static Batch batch(JsonNode batch) {
    JsonNode ids = batch.path("input_ids");
    JsonNode labels = batch.path("labels");
    if (ids.isEmpty() || labels.isEmpty()) {
      throw new InputException("a batch needs rows of input_ids, attention_mask and labels");
    }
    return new Batch(
        ids.size(),
        ids.get(0).size(),
        labels.get(0).size(),
        flat(ids),
        flat(batch.path("attention_mask")),
        flat(labels));
  }

  private static long[] flat(JsonNode rows) {
    return elements(rows).map(TrainingRequests::longs).flatMapToLong(Arrays::stream).toArray();
  }

  private static long[] longs(JsonNode row) {
    return elements(row).mapToLong(JsonNode::asLong).toArray();
  }

  private static Stream<JsonNode> elements(JsonNode list) {
    return StreamSupport.stream(list.spliterator(), false);
  }

  @Override
  public void close() {
    if (learner != null) {
      learner.close();
    }
    text.close();
    model.close();
  }
}
