package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.continual.ContinualMethod;
import io.github.recurrentkif.continual.TaskPlan;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.model.AdapterInitialization;
import io.github.recurrentkif.model.StoredAdapter;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.Objective;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.TextModel;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;

/**
 * One run: learns the tasks of a stream one after another, examines the model after each, and keeps
 * a folder from which it can go on after being killed at any moment, to the same bits.
 */
public final class ContinualRun implements AutoCloseable {

  /** Places below the seed's key, one for each thing drawn. */
  private static final long INITIAL_WEIGHTS = 0;

  private static final long LEARNING = 1;
  private static final long MEMORY = 2;
  private static final long FRESH_ADAPTERS = 3;
  private static final long METHOD = 4;

  private final RunConfiguration configuration;
  private final Settings settings;
  private final Backend backend;
  private final RunFolder folder;
  private final RunInputs inputs;

  private ContinualRun(
      RunConfiguration configuration, Backend backend, RunFolder folder, RunInputs inputs) {
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
    RunInputs inputs = RunInputs.open(asked, backend.cache());
    try {
      RunConfiguration configuration = asked.forModel(inputs.model().config());
      SampleFormat format = formatOf(configuration, inputs);
      inputs.tasks().forEach(task -> format.prompt(task.train().getFirst()));
      // Before anything of the run is written.
      backend.prepare(
          inputs.model(),
          new Trainables.Adapter(configuration.adapter()),
          configuration.settings().get(Settings.PRECISION));
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
      RunInputs inputs = RunInputs.open(configuration, backend.cache());
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

  private static SampleFormat formatOf(RunConfiguration configuration, RunInputs inputs) {
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
    TimeSpent times = TimeSpent.goOn(folder.times());
    try (TextModel text =
            backend.open(
                inputs.model(),
                new Trainables.Adapter(configuration.adapter()),
                settings.get(Settings.PRECISION));
        Learner<Batch> learner =
            new Learner<>(text.weights(), backend.kernels(), objective(text), optimizer());
        ContinualMethod<Batch> method = configuration.method().create(inputs(text))) {
      return new Session(text, learner, method, listener, stop, times).run();
    }
  }

  private Objective<Batch> objective(TextModel text) {
    return text.objective(settings.get(Settings.TOKENS_PER_PASS));
  }

  private MethodInputs inputs(TextModel text) {
    RandomKey seed = RandomKey.ofSeed(settings.get(Settings.SEED));
    RandomKey fresh = seed.at(FRESH_ADAPTERS);
    return new MethodInputs(
        settings,
        inputs.tasks().size(),
        text.weights().layout(),
        backend.kernels(),
        (task, weights) -> AdapterInitialization.initialize(weights, fresh.at(task)),
        text,
        seed.at(METHOD));
  }

  private OptimizerSettings optimizer() {
    return OptimizerSettings.reference(
        settings.get(Settings.WEIGHT_DECAY), settings.get(Settings.MAXIMUM_GRADIENT_NORM));
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
    private final TimeSpent times;
    private final RandomKey key = RandomKey.ofSeed(settings.get(Settings.SEED));
    private final TaskPlans plans;
    private final Examiner examiner;

    Session(
        TextModel text,
        Learner<Batch> learner,
        ContinualMethod<Batch> method,
        RunListener listener,
        BooleanSupplier stop,
        TimeSpent times) {
      this.text = text;
      this.learner = learner;
      this.method = method;
      this.listener = listener;
      this.stop = stop;
      this.times = times;
      SampleFormat format = formatOf(configuration, inputs);
      this.plans =
          new TaskPlans(settings, format, method.memoryUse(), key.at(LEARNING), key.at(MEMORY));
      Evaluation evaluation =
          new Evaluation(
              inputs.tokenizer(),
              format::prompt,
              text::decoder,
              settings.get(Settings.EVALUATION_BATCH_SIZE),
              settings.get(Settings.MAXIMUM_NEW_TOKENS));
      this.examiner = new Examiner(evaluation, inputs.tasks(), folder, listener, stop);
    }

    RunResult run() {
      Checkpoint state =
          Checkpoint.read(folder.checkpoints(), learner, method, listener::notice)
              .orElse(Checkpoint.START);
      if (state.equals(Checkpoint.START)) {
        text.initialize(key.at(INITIAL_WEIGHTS));
      }
      AccuracyMatrix matrix = state.matrix();
      try (EventLog events =
          EventLog.open(folder.events(), state.eventBytes(), folder.tensorBoard())) {
        for (int number = 0; number < inputs.tasks().size(); number++) {
          if (number >= state.task()) {
            boolean resumed = number == state.task() && state.begun();
            learn(number, resumed ? state.completed() : 0, resumed, matrix, events);
            matrix =
                matrix.with(
                    examiner.examine(
                        number, events, task -> method.beforeQuestions(task, learner)));
            method.beforeQuestions(number, learner);
            times.lap(name(number), TimeSpent.Part.EVALUATION);
            writeAdapter(number);
            save(number, new Checkpoint(number + 1, false, 0, matrix, events.saved()));
          }
          plans.remember(number, inputs.tasks().get(number));
        }
      }
      RunResult result =
          RunResult.of(configuration, inputs.tasks(), matrix, learner, text.weights());
      folder.writeResult(result.toJson());
      return result;
    }

    /** What the counts of fusions are counts of. */
    private void appendTensors(EventLog events) {
      List<ParameterLayout.Tensor> tensors = text.weights().layout().tensors();
      Map<String, Object> event = new LinkedHashMap<>();
      event.put("event", "tensors");
      event.put("names", tensors.stream().map(ParameterLayout.Tensor::name).toList());
      event.put("elements", tensors.stream().map(ParameterLayout.Tensor::elements).toList());
      events.append(event);
    }

    private String name(int number) {
      return inputs.tasks().get(number).name();
    }

    private void learn(
        int number, long completed, boolean resumed, AccuracyMatrix matrix, EventLog events) {
      Task task = inputs.tasks().get(number);
      TaskPlan<Batch> plan = plans.plan(number, inputs.tasks());
      if (!resumed) {
        method.beginTask(number, learner);
      }
      listener.taskBegins(number, task.name(), completed, plan.updates());
      if (number == 0 && !resumed) {
        appendTensors(events);
      }
      LongConsumer checkpoint =
          updates -> save(number, new Checkpoint(number, true, updates, matrix, events.saved()));
      Recorder recorder =
          new Recorder(
              task.name(),
              events,
              listener,
              stop,
              checkpoint,
              new CheckpointClock(settings.get(Settings.CHECKPOINT_SECONDS)),
              plans::tokens,
              times);
      times.lap(task.name(), TimeSpent.Part.PREPARATION);
      long done = method.learn(plan, completed, learner, recorder);
      checkpoint.accept(done);
      if (done < plan.updates()) {
        throw new CancellationException("stopped after update " + done + " of task " + task.name());
      }
    }

    private void save(int number, Checkpoint checkpoint) {
      // What follows the last update, or comes between two of them, belongs to updating.
      if (checkpoint.begun()) {
        times.lap(name(number), TimeSpent.Part.UPDATES);
      }
      checkpoint.write(folder.checkpoints(), learner, method);
      times.lap(name(number), TimeSpent.Part.CHECKPOINTS);
      times.save();
      listener.saved();
    }

    private void writeAdapter(int number) {
      StoredAdapter.write(
          folder.adapter(number, inputs.tasks().get(number).name()),
          configuration.adapter(),
          inputs.model().config(),
          configuration.model().toAbsolutePath().normalize().toString(),
          text.weights());
    }
  }

  /** The names of tasks whose development split stands in for a missing test split. */
  public List<String> tasksWithoutTest() {
    return inputs.tasksWithoutTest();
  }
}
