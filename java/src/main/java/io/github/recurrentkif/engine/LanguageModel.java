package io.github.recurrentkif.engine;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.continual.ContinualMethod;
import io.github.recurrentkif.continual.ExactMatch;
import io.github.recurrentkif.continual.Observer;
import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.experiment.Backend;
import io.github.recurrentkif.experiment.Evaluation;
import io.github.recurrentkif.experiment.SampleFormat;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.experiment.TaskPlans;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.AdapterConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.StoredAdapter;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.TextModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A language model with an adapter: it learns tasks one after another, answers, and gives the
 * adapter away. What it draws follows from the setting {@code seed}.
 */
public final class LanguageModel implements AutoCloseable {

  /** Places below the seed's key, as in a run. */
  private static final long INITIAL_WEIGHTS = 0;

  private static final long LEARNING = 1;
  private static final long MEMORY = 2;

  private final Backend backend;
  private final Path path;
  private final Settings settings;
  private final AdapterConfig adapter;
  private final ModelFolder folder;
  private final Tokenizer tokenizer;
  private final TextModel text;
  private final SampleFormat format;
  private final RandomKey key;

  private LanguageModel(
      Backend backend,
      Path path,
      Settings settings,
      AdapterConfig adapter,
      ModelFolder folder,
      Tokenizer tokenizer) {
    this.backend = backend;
    this.path = path;
    this.settings = settings;
    this.adapter = adapter;
    this.folder = folder;
    this.tokenizer = tokenizer;
    this.text =
        backend.open(folder, new Trainables.Adapter(adapter), settings.get(Settings.PRECISION));
    this.format = new SampleFormat(folder.config(), tokenizer, settings);
    this.key = RandomKey.ofSeed(settings.get(Settings.SEED));
  }

  static LanguageModel withNewAdapter(Backend backend, Path path, Settings settings) {
    LanguageModel model = open(backend, path, settings, null);
    model.text.initialize(model.key.at(INITIAL_WEIGHTS));
    return model;
  }

  static LanguageModel withAdapter(Backend backend, Path path, Path adapter, Settings settings) {
    StoredAdapter peft = StoredAdapter.open(adapter);
    LanguageModel model = open(backend, path, settings, peft.config());
    try {
      peft.load(model.weights());
      return model;
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  /**
   * @param adapter null for what the settings say
   */
  private static LanguageModel open(
      Backend backend, Path path, Settings asked, @Nullable AdapterConfig adapter) {
    ModelFolder folder = ModelFolder.open(path, backend.cache());
    try {
      Settings settings = asked.forModel(folder.config());
      Tokenizer tokenizer = Tokenizer.open(path);
      try {
        return new LanguageModel(
            backend,
            path,
            settings,
            adapter != null ? adapter : settings.lora(),
            folder,
            tokenizer);
      } catch (RuntimeException e) {
        tokenizer.close();
        throw e;
      }
    } catch (RuntimeException e) {
      folder.close();
      throw e;
    }
  }

  /** The adapter: every matrix of it, in one flat vector. */
  public ParameterVector weights() {
    return text.weights();
  }

  /**
   * Learns the tasks one after another, and answers the questions of all learned so far, and of the
   * next, after each.
   *
   * @param method over the layout of {@link #weights()}; it stays the caller's
   * @param observer told of every update; may stop
   * @return the accuracies, also if the observer stopped: then of the tasks that were finished
   */
  public AccuracyMatrix learn(List<Task> tasks, ContinualMethod<Batch> method, Observer observer) {
    TaskPlans plans =
        new TaskPlans(settings, format, method.memoryUse(), key.at(LEARNING), key.at(MEMORY));
    AccuracyMatrix matrix = AccuracyMatrix.EMPTY;
    OptimizerSettings optimizer =
        OptimizerSettings.reference(
            settings.get(Settings.WEIGHT_DECAY), settings.get(Settings.MAXIMUM_GRADIENT_NORM));
    try (Learner<Batch> learner =
        new Learner<>(
            weights(),
            backend.kernels(),
            text.objective(settings.get(Settings.TOKENS_PER_PASS)),
            optimizer)) {
      for (int number = 0; number < tasks.size(); number++) {
        var plan = plans.plan(number, tasks);
        method.beginTask(number, learner);
        if (method.learn(plan, 0, learner, observer) < plan.updates()) {
          return matrix;
        }
        List<Double> accuracies = new ArrayList<>();
        for (int asked = 0; asked < Math.min(number + 2, tasks.size()); asked++) {
          method.beforeQuestions(asked, learner);
          accuracies.add(accuracy(tasks.get(asked).evaluation()));
        }
        method.beforeQuestions(number, learner);
        matrix = matrix.with(accuracies);
        plans.remember(number, tasks.get(number));
      }
    }
    return matrix;
  }

  /** The greedy answers to samples, in their order. */
  public List<String> answers(List<Sample> samples) {
    Evaluation evaluation =
        new Evaluation(
            tokenizer,
            format::prompt,
            text::decoder,
            settings.get(Settings.EVALUATION_BATCH_SIZE),
            settings.get(Settings.MAXIMUM_NEW_TOKENS));
    return evaluation.answers(samples, answered -> {}, () -> false);
  }

  /** The share of samples whose answer is exactly their target, in [0, 1]. */
  public double accuracy(List<Sample> samples) {
    return ExactMatch.accuracy(answers(samples), samples.stream().map(Sample::target).toList());
  }

  /**
   * Writes the adapter, a LoRA as PEFT loads it.
   *
   * @throws InputException if the folder cannot be written
   */
  public void saveAdapter(Path output) {
    StoredAdapter.write(
        output, adapter, folder.config(), path.toAbsolutePath().normalize().toString(), weights());
  }

  @Override
  public void close() {
    text.close();
    tokenizer.close();
    folder.close();
  }
}
