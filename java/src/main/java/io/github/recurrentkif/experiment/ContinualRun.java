package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.continual.ContinualMethod;
import io.github.recurrentkif.continual.ExactMatch;
import io.github.recurrentkif.continual.LearningEvent;
import io.github.recurrentkif.continual.MemoryUse;
import io.github.recurrentkif.continual.Observer;
import io.github.recurrentkif.continual.SampledPlan;
import io.github.recurrentkif.continual.TaskPlan;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.EncodedSample;
import io.github.recurrentkif.data.MemorySampler;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.SampleLimits;
import io.github.recurrentkif.data.Split;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.data.TaskFiles;
import io.github.recurrentkif.data.TaskReader;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.LoraInitialization;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.PeftAdapter;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.model.TrainingArtifacts;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.LearningRateSchedule;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Outcome;
import io.github.recurrentkif.training.TextModel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.ObjectMapper;

/**
 * One run: learns the tasks of a stream one after another, examines the model after each, and keeps
 * a folder from which it can go on after being killed at any moment, to the same bits.
 */
public final class ContinualRun implements AutoCloseable {

  /** Places below the seed's key, one for each thing drawn. */
  private static final long INITIAL_WEIGHTS = 0;

  private static final long LEARNING = 1;
  private static final long MEMORY = 2;

  private final RunConfiguration configuration;
  private final Settings settings;
  private final Backend backend;
  private final RunFolder folder;
  private final Inputs inputs;

  /** What a run reads: opened and checked before anything is written. */
  private record Inputs(ModelFolder model, Tokenizer tokenizer, List<Task> tasks)
      implements AutoCloseable {

    static Inputs open(RunConfiguration configuration) {
      TaskReader reader = new TaskReader(new TaskFiles(configuration.data()));
      Settings settings = configuration.settings();
      SampleLimits limits =
          new SampleLimits(
              limit(settings.get(Settings.MAXIMUM_TRAIN_SAMPLES)),
              limit(settings.get(Settings.MAXIMUM_TEST_SAMPLES)));
      List<Task> tasks =
          configuration.tasks().stream().map(name -> reader.read(name, limits)).toList();
      ModelFolder model = ModelFolder.open(configuration.model());
      try {
        return new Inputs(model, Tokenizer.open(configuration.model()), tasks);
      } catch (RuntimeException e) {
        model.close();
        throw e;
      }
    }

    private static int limit(int setting) {
      return setting == 0 ? Integer.MAX_VALUE : setting;
    }

    @Override
    public void close() {
      tokenizer.close();
      model.close();
    }
  }

  private ContinualRun(
      RunConfiguration configuration, Backend backend, RunFolder folder, Inputs inputs) {
    this.configuration = configuration;
    this.settings = configuration.settings();
    this.backend = backend;
    this.folder = folder;
    this.inputs = inputs;
  }

  /**
   * Prepares a new run in a new folder. Nothing is written if the model, the data or a setting
   * cannot be used.
   *
   * @throws InputException if something cannot be used
   */
  public static ContinualRun begin(Path output, RunConfiguration asked, Backend backend) {
    Inputs inputs = Inputs.open(asked);
    try {
      RunConfiguration configuration = asked.forModel(inputs.model().config());
      SampleFormat format = formatOf(configuration, inputs);
      inputs.tasks().forEach(task -> format.prompt(task.train().getFirst()));
      TrainingArtifacts artifacts =
          TrainingArtifacts.prepare(
              inputs.model().config(),
              new Trainables.Adapter(configuration.settings().lora()),
              true,
              backend.cache());
      // Whether every weight is there, before anything is written.
      artifacts.training().frozen().forEach(inputs.model()::weight);
      Provenance provenance = Provenance.of(configuration, inputs.tasks(), backend);
      RunFolder folder = RunFolder.create(output);
      try {
        folder.writeProvenance(provenance.toJson());
        folder.writeConfiguration(configuration.toJson());
      } catch (RuntimeException e) {
        folder.close();
        throw e;
      }
      return new ContinualRun(configuration, backend, folder, inputs);
    } catch (RuntimeException e) {
      inputs.close();
      throw e;
    }
  }

  /**
   * Prepares to go on with a run. The folder is closed with it, or if it cannot be had.
   *
   * @throws InputException if the folder holds none, or the model or the data are not what they
   *     were
   */
  public static ContinualRun resume(RunFolder folder, Backend backend) {
    try {
      RunConfiguration configuration = configurationOf(folder);
      Inputs inputs = Inputs.open(configuration);
      try {
        Provenance.of(configuration, inputs.tasks(), backend).requireSameInputs(folder);
        return new ContinualRun(configuration, backend, folder, inputs);
      } catch (RuntimeException e) {
        inputs.close();
        throw e;
      }
    } catch (RuntimeException e) {
      folder.close();
      throw e;
    }
  }

  private static SampleFormat formatOf(RunConfiguration configuration, Inputs inputs) {
    return new SampleFormat(inputs.model().config(), inputs.tokenizer(), configuration.settings());
  }

  /**
   * What was asked of a run.
   *
   * @throws InputException if its configuration was changed to something that cannot be used
   */
  public static RunConfiguration configurationOf(RunFolder folder) {
    try {
      return RunConfiguration.fromJson(folder.configuration());
    } catch (InputException e) {
      throw new InputException(folder.resolve("configuration.json") + ": " + e.getMessage(), e);
    }
  }

  /**
   * Runs to the end.
   *
   * @param stop asked after every update and between batches of an evaluation
   * @throws CancellationException if asked to stop; the run can be resumed
   */
  public RunResult run(RunListener listener, BooleanSupplier stop) {
    try (TextModel text = backend.open(inputs.model(), new Trainables.Adapter(settings.lora()));
        Learner<Batch> learner =
            new Learner<>(text.weights(), backend.kernels(), text.objective(), optimizer());
        ContinualMethod<Batch> method =
            configuration.method().create(settings, text.weights().layout(), backend.kernels())) {
      return new Session(text, learner, method, listener, stop).run();
    }
  }

  private OptimizerSettings optimizer() {
    OptimizerSettings reference = OptimizerSettings.reference();
    return new OptimizerSettings(
        reference.beta1(),
        reference.beta2(),
        reference.epsilon(),
        settings.get(Settings.WEIGHT_DECAY),
        settings.get(Settings.MAXIMUM_GRADIENT_NORM).floatValue());
  }

  @Override
  public void close() {
    inputs.close();
    folder.close();
  }

  /** The run while it has a learner and a method. */
  private final class Session {

    private final TextModel text;
    private final Learner<Batch> learner;
    private final ContinualMethod<Batch> method;
    private final RunListener listener;
    private final BooleanSupplier stop;
    private final RandomKey key = RandomKey.ofSeed(settings.get(Settings.SEED));
    private final SampleFormat format = formatOf(configuration, inputs);
    private final List<EncodedSample> memory = new ArrayList<>();

    Session(
        TextModel text,
        Learner<Batch> learner,
        ContinualMethod<Batch> method,
        RunListener listener,
        BooleanSupplier stop) {
      this.text = text;
      this.learner = learner;
      this.method = method;
      this.listener = listener;
      this.stop = stop;
    }

    RunResult run() {
      Checkpoint state =
          Checkpoint.read(folder.checkpoint(), learner, method).orElse(Checkpoint.START);
      if (state.equals(Checkpoint.START)) {
        LoraInitialization.initialize(text.weights(), key.at(INITIAL_WEIGHTS));
      }
      AccuracyMatrix matrix = state.matrix();
      try (EventLog events = EventLog.open(folder.events(), state.eventBytes())) {
        for (int task = 0; task < inputs.tasks().size(); task++) {
          if (task >= state.task()) {
            boolean resumed = task == state.task() && state.begun();
            learn(task, resumed ? state.completed() : 0, resumed, matrix, events);
            matrix = matrix.with(examine(task, events));
            writeAdapter(task);
            save(new Checkpoint(task + 1, false, 0, matrix, events.saved()));
          }
          remember(task);
        }
      }
      RunResult result =
          RunResult.of(configuration, inputs.tasks(), matrix, learner, text.weights());
      folder.writeResult(result.toJson());
      return result;
    }

    private void learn(
        int task, long completed, boolean resumed, AccuracyMatrix matrix, EventLog events) {
      TaskPlan<Batch> plan = plan(task);
      if (!resumed) {
        method.beginTask(learner);
      }
      String name = inputs.tasks().get(task).name();
      listener.taskBegins(task, name, completed, plan.updates());
      Recorder recorder = new Recorder(task, matrix, events);
      long done = method.learn(plan, completed, learner, recorder);
      save(new Checkpoint(task, true, done, matrix, events.saved()));
      if (done < plan.updates()) {
        throw new CancellationException("stopped after update " + done + " of task " + name);
      }
    }

    private TaskPlan<Batch> plan(int task) {
      List<EncodedSample> samples = encode(inputs.tasks().get(task).train());
      List<EncodedSample> replayed = List.of();
      switch (method.memoryUse()) {
        case NONE -> {}
        case MIXED -> {
          samples = new ArrayList<>(samples);
          samples.addAll(memory);
        }
        case REPLAYED -> replayed = List.copyOf(memory);
      }
      SampledPlan.Sampling sampling =
          SampledPlan.Sampling.reference(
              settings.get(Settings.EPOCHS),
              settings.get(Settings.MICRO_BATCH_SIZE),
              settings.get(Settings.ACCUMULATION),
              settings.get(Settings.MEMORY_BATCH_SIZE));
      return new SampledPlan<>(
          sampling,
          source(samples),
          replayed.isEmpty() ? null : source(replayed),
          new LearningRateSchedule.WarmupLinear(
              settings.get(Settings.LEARNING_RATE),
              settings.get(Settings.WARMUP_UPDATES),
              sampling.updates(samples.size())),
          key.at(LEARNING).at(task));
    }

    private SampledPlan.Samples<Batch> source(List<EncodedSample> samples) {
      List<EncodedSample> all = List.copyOf(samples);
      return new SampledPlan.Samples<>(
          all.size(), numbers -> format.batch(Arrays.stream(numbers).mapToObj(all::get).toList()));
    }

    private List<EncodedSample> encode(List<Sample> samples) {
      return samples.stream().map(format::encode).toList();
    }

    /**
     * Keeps some samples of a finished task; which ones follows from the seed and the task alone.
     */
    private void remember(int task) {
      if (method.memoryUse() != MemoryUse.NONE) {
        memory.addAll(
            encode(
                MemorySampler.draw(
                    inputs.tasks().get(task).train(),
                    settings.get(Settings.MEMORY_PERCENT),
                    key.at(MEMORY).at(task))));
      }
    }

    private void save(Checkpoint checkpoint) {
      checkpoint.write(folder.checkpoint(), learner, method);
      listener.saved();
    }

    /** Accuracies on all tasks so far and, where there is one, on the next. */
    private List<Double> examine(int after, EventLog events) {
      Evaluation evaluation =
          new Evaluation(
              inputs.tokenizer(),
              format::prompt,
              text.decoder(),
              settings.get(Settings.EVALUATION_BATCH_SIZE),
              settings.get(Settings.MAXIMUM_NEW_TOKENS));
      List<Double> accuracies = new ArrayList<>();
      for (int i = 0; i < Math.min(after + 2, inputs.tasks().size()); i++) {
        Task task = inputs.tasks().get(i);
        listener.evaluationBegins(after, task.name(), task.evaluation().size());
        List<String> answers = evaluation.answers(task.evaluation(), listener::evaluated, stop);
        double accuracy = Evaluation.accuracy(task.evaluation(), answers);
        listener.evaluationEnds(after, task.name(), accuracy);
        writePredictions(after, task, answers);
        Map<String, Object> event = new LinkedHashMap<>();
        event.put("event", "evaluation");
        event.put("after", inputs.tasks().get(after).name());
        event.put("task", task.name());
        event.put("accuracy", accuracy);
        events.append(event);
        accuracies.add(accuracy);
      }
      return accuracies;
    }

    private void writePredictions(int after, Task task, List<String> answers) {
      ObjectMapper json = new ObjectMapper();
      StringBuilder lines = new StringBuilder();
      for (int i = 0; i < answers.size(); i++) {
        Sample sample = task.evaluation().get(i);
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("id", sample.id());
        line.put("prediction", answers.get(i));
        line.put("target", sample.target());
        line.put("correct", ExactMatch.matches(answers.get(i), sample.target()));
        lines.append(json.writeValueAsString(line)).append('\n');
      }
      RunFolder.writeAtomically(
          folder.predictions(after, inputs.tasks().get(after).name(), task.name()),
          lines.toString().getBytes(StandardCharsets.UTF_8));
    }

    private void writeAdapter(int task) {
      PeftAdapter.write(
          folder.adapter(task, inputs.tasks().get(task).name()),
          settings.lora(),
          inputs.model().config(),
          configuration.model().toAbsolutePath().normalize().toString(),
          text.weights());
    }

    /** Writes down what a method does, takes checkpoints, and passes on the wish to stop. */
    private final class Recorder implements Observer {

      private final int task;
      private final AccuracyMatrix matrix;
      private final EventLog events;
      private final long interval =
          (long) (settings.get(Settings.CHECKPOINT_SECONDS) * 1_000_000_000L);
      private long lastSave = System.nanoTime();
      private @Nullable MaskCounts counts;

      Recorder(int task, AccuracyMatrix matrix, EventLog events) {
        this.task = task;
        this.matrix = matrix;
        this.events = events;
      }

      @Override
      public void on(LearningEvent event) {
        switch (event) {
          case LearningEvent.AfterInner e -> {
            append("update", e.completed(), e.outcome());
            listener.updated(e.completed(), e.outcome());
          }
          case LearningEvent.AfterOuter e -> append("replay", e.completed(), e.outcome());
          case LearningEvent.BeforeMerge e -> {
            counts = e.maskCounts();
            append(e, counts);
          }
          case LearningEvent.AfterFusion e -> {
            if (counts != null) {
              listener.fused(e.completed(), counts);
            }
          }
        }
      }

      private Map<String, Object> line(String kind, long completed) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("event", kind);
        line.put("task", inputs.tasks().get(task).name());
        line.put("update", completed);
        return line;
      }

      private void append(String kind, long completed, Outcome outcome) {
        Map<String, Object> line = line(kind, completed);
        line.put("loss", outcome.meanLoss());
        line.put("gradient_norm", outcome.gradientNorm());
        line.put("learning_rate", outcome.learningRate());
        if (outcome.refused()) {
          line.put("refused", true);
          listener.notice("update " + completed + " was refused: its gradient is not finite");
        }
        events.append(line);
      }

      private void append(LearningEvent.BeforeMerge e, MaskCounts classes) {
        Map<String, Object> line = line("fusion", e.completed());
        line.put("inner_threshold", e.innerThreshold().value());
        line.put("outer_threshold", e.outerThreshold().value());
        line.put("shared", classes.shared());
        line.put("new_only", classes.newOnly());
        line.put("old_only", classes.oldOnly());
        line.put("redundant", classes.redundant());
        events.append(line);
      }

      @Override
      public boolean stopsAfter(long completed) {
        if (stop.getAsBoolean()) {
          return true;
        }
        if (System.nanoTime() - lastSave >= interval) {
          save(new Checkpoint(task, true, completed, matrix, events.saved()));
          lastSave = System.nanoTime();
        }
        return false;
      }
    }
  }

  /** The names of tasks whose development split stands in for a missing test split. */
  public List<String> tasksWithoutTest() {
    return inputs.tasks().stream()
        .filter(task -> task.evaluationSplit() == Split.DEVELOPMENT)
        .map(Task::name)
        .toList();
  }

  static @Nullable Double orNull(OptionalDouble value) {
    return value.isPresent() ? value.getAsDouble() : null;
  }
}
