package io.github.recurrentkif.experiment;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.EncodedSample;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.ModelConfig;
import io.github.recurrentkif.model.ModelWriter;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.model.TrainingArtifacts;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.LearningRateSchedule;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.PaddedObjective;
import io.github.recurrentkif.training.Update;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * Trains all weights of a model from scratch and leaves a Hugging Face folder. The folder {@code
 * pretraining/} in it holds the recipe as resolved, the log and the newest checkpoint, from which a
 * killed pretraining goes on to the same bits.
 */
public final class Pretraining implements AutoCloseable {

  /** Places below the seed's key. */
  private static final long INITIAL_WEIGHTS = 0;

  private static final long SAMPLES = 1;
  private static final long DROPOUT = 2;
  private static final long HELD_OUT = 3;

  /** Updates between two lines of the log. */
  private static final int LOGGED = 20;

  private static final List<String> TOKENIZER_FILES =
      List.of("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json");

  private final Path output;
  private final PretrainingSettings settings;
  private final Optional<Path> given;
  private final Backend backend;
  private final RunFolder folder;
  private final ModelConfig config;
  private final Tokenizer tokenizer;
  private final PretrainingSamples samples;

  private Pretraining(
      Path output,
      PretrainingRecipe recipe,
      Backend backend,
      RunFolder folder,
      ModelConfig config) {
    this.output = output;
    this.settings = recipe.settings();
    this.given = recipe.weights();
    this.backend = backend;
    this.folder = folder;
    this.config = config;
    this.tokenizer = Tokenizer.open(output);
    try {
      this.samples = new PretrainingSamples(recipe, tokenizer, config);
    } catch (RuntimeException e) {
      tokenizer.close();
      throw e;
    }
  }

  /**
   * Prepares a new pretraining.
   *
   * @param output the folder that becomes the model
   * @throws InputException if the recipe cannot be followed, or the folder holds a model already
   */
  public static Pretraining begin(Path output, PretrainingRecipe recipe, Backend backend) {
    ModelConfig config = ModelConfig.parse(recipe.config(), Path.of("the recipe's 'config'"));
    if (Files.exists(output.resolve("model.safetensors"))) {
      throw new InputException(
          output + ": already holds a model.safetensors; name another folder for the new model");
    }
    RunFolder folder = RunFolder.create(output.resolve("pretraining"));
    try {
      writeConfig(output, recipe.config());
      for (String name : TOKENIZER_FILES) {
        Path file = recipe.tokenizer().resolve(name);
        if (Files.isRegularFile(file)) {
          AtomicFile.write(output.resolve(name), Files.readAllBytes(file));
        }
      }
      Pretraining pretraining = new Pretraining(output, recipe, backend, folder, config);
      folder.writeConfiguration(recipe.toJson());
      return pretraining;
    } catch (IOException e) {
      folder.close();
      throw InputException.unreadable(recipe.tokenizer(), e);
    } catch (RuntimeException e) {
      folder.close();
      throw e;
    }
  }

  /**
   * Prepares to go on with a pretraining.
   *
   * @throws InputException if the folder holds none
   */
  public static Pretraining resume(Path output, Backend backend) {
    RunFolder folder = RunFolder.open(output.resolve("pretraining"));
    try {
      PretrainingRecipe recipe = PretrainingRecipe.fromJson(folder.configuration(), output);
      return new Pretraining(
          output,
          recipe,
          backend,
          folder,
          ModelConfig.parse(recipe.config(), output.resolve("config.json")));
    } catch (RuntimeException e) {
      folder.close();
      throw e;
    }
  }

  private static void writeConfig(Path output, JsonNode config) {
    JsonMapper json = JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();
    AtomicFile.write(output.resolve("config.json"), json.writeValueAsBytes(config));
    Map<String, Object> generation = new LinkedHashMap<>();
    for (String key :
        List.of("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id")) {
      if (config.has(key)) {
        generation.put(key, config.get(key));
      }
    }
    AtomicFile.write(output.resolve("generation_config.json"), json.writeValueAsBytes(generation));
  }

  /**
   * Trains to the end and writes {@code model.safetensors}.
   *
   * @param stop asked after every update
   * @throws CancellationException if asked to stop; the pretraining can be resumed
   */
  public void run(RunListener listener, BooleanSupplier stop) {
    TrainingArtifacts trained =
        TrainingArtifacts.prepare(config, new Trainables.EveryWeight(), true, backend.cache());
    TrainingArtifacts measured =
        TrainingArtifacts.prepare(config, new Trainables.EveryWeight(), false, backend.cache());
    try (ParameterVector weights =
            new ParameterVector(trained.layout(), backend.kernels().device());
        PaddedObjective objective = objective(trained, weights);
        PaddedObjective measure = objective(measured, weights);
        Learner<Batch> learner =
            new Learner<>(weights, backend.kernels(), objective, optimizer())) {
      new Session(learner, measure, listener, stop).run();
    }
  }

  private PaddedObjective objective(TrainingArtifacts artifacts, ParameterVector weights) {
    return new PaddedObjective(
        config,
        backend.runtime().session(artifacts.training().file(), backend.options()),
        artifacts.dropoutPlaces(),
        weights,
        backend.kernels(),
        backend.options().provider().records());
  }

  private OptimizerSettings optimizer() {
    return OptimizerSettings.reference(
        settings.get(PretrainingSettings.WEIGHT_DECAY),
        settings.get(PretrainingSettings.MAXIMUM_GRADIENT_NORM));
  }

  @Override
  public void close() {
    tokenizer.close();
    folder.close();
  }

  /** The pretraining while it has weights. */
  private final class Session {

    private final Learner<Batch> learner;
    private final PaddedObjective measure;
    private final RunListener listener;
    private final BooleanSupplier stop;
    private final RandomKey key = RandomKey.ofSeed(settings.get(PretrainingSettings.SEED));
    private final long updates = settings.get(PretrainingSettings.UPDATES);

    Session(
        Learner<Batch> learner,
        PaddedObjective measure,
        RunListener listener,
        BooleanSupplier stop) {
      this.learner = learner;
      this.measure = measure;
      this.listener = listener;
      this.stop = stop;
    }

    void run() {
      long completed = 0;
      long eventBytes = 0;
      Optional<JsonNode> saved = folder.checkpoints().read(learner.vectors(), listener::notice);
      if (saved.isPresent()) {
        JsonNode state = saved.get();
        learner.restore(Checkpoint.counters(state.required("learner")));
        completed = state.required("completed").longValue();
        eventBytes = state.required("events").longValue();
      } else {
        settings
            .get(PretrainingSettings.INITIALIZATION)
            .initialize(learner.weights(), config, key.at(INITIAL_WEIGHTS));
        given.ifPresent(this::beginWith);
      }
      int schedule = settings.get(PretrainingSettings.SCHEDULE_UPDATES);
      LearningRateSchedule rates =
          new LearningRateSchedule.WarmupLinear(
              settings.get(PretrainingSettings.LEARNING_RATE),
              settings.get(PretrainingSettings.WARMUP_UPDATES),
              schedule == 0 ? updates : schedule);
      CheckpointClock clock =
          new CheckpointClock(settings.get(PretrainingSettings.CHECKPOINT_SECONDS));
      listener.taskBegins(0, "pretraining", completed, updates);
      try (EventLog events = EventLog.open(folder.events(), eventBytes, folder.tensorBoard())) {
        while (completed < updates) {
          Outcome outcome = learner.update(update(completed, rates));
          completed++;
          listener.updated(completed, outcome);
          log(completed, outcome, events);
          boolean stopping = stop.getAsBoolean();
          if (stopping || completed == updates || clock.due()) {
            save(completed, events.saved());
            clock.taken();
          }
          if (stopping && completed < updates) {
            throw new CancellationException("stopped after update " + completed);
          }
        }
      }
      finish();
    }

    /** Overwrites the weights that a file holds. */
    private void beginWith(Path file) {
      ParameterLayout layout = learner.weights().layout();
      try (SafetensorsFile weights = SafetensorsFile.open(file);
          Arena arena = Arena.ofConfined()) {
        for (String name : weights.names()) {
          if (!layout.contains(name)) {
            throw new InputException(
                "%s: tensor '%s' has no place in this model; check 'weights' in the recipe"
                    .formatted(file, name));
          }
          Shape expected = layout.tensor(name).shape();
          if (!weights.shape(name).equals(expected)) {
            throw new InputException(
                "%s: tensor '%s' has shape %s, expected %s as the recipe's 'config' has it"
                    .formatted(file, name, weights.shape(name), expected));
          }
          learner.weights().upload(name, weights.float32(name, arena));
        }
      } catch (IOException e) {
        throw InputException.unreadable(file, e);
      }
    }

    private Update<Batch> update(long completed, LearningRateSchedule rates) {
      int passes = settings.get(PretrainingSettings.ACCUMULATION);
      int rows = settings.get(PretrainingSettings.BATCH_SIZE);
      List<Batch> batches = new ArrayList<>(passes);
      for (int pass = 0; pass < passes; pass++) {
        RandomKey passKey = key.at(SAMPLES).at(completed).at(pass);
        List<EncodedSample> drawn = new ArrayList<>(rows);
        for (int row = 0; row < rows; row++) {
          drawn.add(samples.draw(passKey.at(row)));
        }
        batches.add(samples.batch(drawn));
      }
      return new Update<>(batches, 1f / passes, rates.at(completed), key.at(DROPOUT).at(completed));
    }

    private void log(long completed, Outcome outcome, EventLog events) {
      boolean measured =
          completed % settings.get(PretrainingSettings.HELD_OUT_INTERVAL) == 0
              || completed == updates;
      if (completed % LOGGED == 0 || outcome.refused() || completed == updates) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("event", "update");
        line.put("update", completed);
        line.put("loss", outcome.meanLoss());
        line.put("gradient_norm", outcome.gradientNorm());
        line.put("learning_rate", outcome.learningRate());
        if (outcome.refused()) {
          line.put("refused", true);
          listener.notice("update " + completed + " was refused: its gradient is not finite");
        }
        events.append(line);
      }
      if (measured) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("event", "held-out");
        line.put("update", completed);
        line.putAll(HeldOut.measure(measure, samples, key.at(HELD_OUT)));
        events.append(line);
        listener.notice("held out, update " + completed + ": " + HeldOut.text(line));
      }
    }

    private void save(long completed, long eventBytes) {
      Map<String, Object> json = new LinkedHashMap<>();
      json.put("completed", completed);
      json.put("events", eventBytes);
      json.put("learner", learner.counters());
      folder.checkpoints().write(learner.vectors(), json);
      listener.saved();
    }

    private void finish() {
      try {
        ModelWriter.writeBfloat16(output.resolve("model.safetensors"), learner.weights());
      } catch (IOException e) {
        throw new InputException(
            output
                + ": the model cannot be written: "
                + InputException.reason(e)
                + "; make room and go on with 'kif pretrain --resume'",
            e);
      }
    }
  }
}
