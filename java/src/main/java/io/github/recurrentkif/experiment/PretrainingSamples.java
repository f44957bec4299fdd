package io.github.recurrentkif.experiment;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.EncodedSample;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.SpanCorruption;
import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.data.TaskFiles;
import io.github.recurrentkif.data.TaskReader;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.data.world.Practice;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelConfig;
import io.github.recurrentkif.model.T5Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;

/**
 * What a model is pretrained on: texts, with hidden spans for a T5 and token by token for a LLaMA,
 * and prompts of tasks; both are the generated world's where the recipe names no others. Which
 * sample comes when follows from its key alone.
 */
final class PretrainingSamples {

  /** Places below a sample's key. */
  private static final long KIND = 0;

  private static final long CONTENT = 1;
  private static final long SPANS = 2;

  /** Places below the key of a prompt's content. */
  private static final long TASK = 0;

  private static final long SAMPLE = 1;

  /** What is to be learned of a text. */
  @FunctionalInterface
  private interface TextLesson {

    /**
     * @param ids the text's tokens, as the tokenizer gives them
     */
    EncodedSample of(long[] ids, RandomKey key);
  }

  private final Tokenizer tokenizer;
  private final PretrainingSettings settings;
  private final ModelConfig config;
  private final SampleFormat format;
  private final TextLesson lesson;
  private final List<String> texts;
  private final int trained;

  /** Empty where the prompts are those of the generated world. */
  private final List<Task> tasks;

  /**
   * @throws InputException if a text file or a task cannot be read, the lines are too few, or the
   *     tokenizer has no sentinels
   */
  PretrainingSamples(PretrainingRecipe recipe, Tokenizer tokenizer, ModelConfig config) {
    this.tokenizer = tokenizer;
    this.settings = recipe.settings();
    this.config = config;
    String maximum = String.valueOf(settings.get(PretrainingSettings.MAXIMUM_TOKENS));
    this.format =
        new SampleFormat(
            config,
            tokenizer,
            Settings.defaults()
                .with(
                    Map.of(
                        Settings.PROMPT_FORMAT.name(), "plain",
                        Settings.MAXIMUM_SOURCE_TOKENS.name(), maximum,
                        Settings.MAXIMUM_TARGET_TOKENS.name(), maximum,
                        Settings.MAXIMUM_TOKENS.name(), maximum))
                .forModel(config));
    this.lesson =
        switch (config) {
          case T5Config t5 -> hiddenSpans(recipe, t5);
          case LlamaConfig _ -> this::everyToken;
        };
    this.texts = lines(recipe.texts());
    this.tasks = recipe.tasks().map(PretrainingSamples::tasks).orElse(List.of());
    this.trained = texts.size() - settings.get(PretrainingSettings.HELD_OUT_SAMPLES);
    if (!texts.isEmpty() && trained < 1) {
      throw new InputException(
          "the text files have %d usable lines, and %d are held out; give more text or set held-out-samples lower"
              .formatted(texts.size(), settings.get(PretrainingSettings.HELD_OUT_SAMPLES)));
    }
  }

  private TextLesson hiddenSpans(PretrainingRecipe recipe, T5Config t5) {
    int sentinels = 0;
    int first = sentinel(0);
    while (sentinel(sentinels) == first - sentinels) {
      sentinels++;
    }
    if (sentinels == 0) {
      throw new InputException(
          recipe.tokenizer()
              + ": the tokenizer has no token <extra_id_0>, which span corruption needs; make one"
              + " with sentinels, the first having the highest id");
    }
    SpanCorruption corruption =
        new SpanCorruption(
            settings.get(PretrainingSettings.NOISE_DENSITY),
            settings.get(PretrainingSettings.MEAN_SPAN),
            first,
            sentinels,
            t5.endTokens().getFirst());
    return (ids, key) -> {
      // Without the end token; a line of one token has nothing to leave visible.
      long[] tokens = Arrays.copyOf(ids, ids.length - 1);
      return tokens.length < 2 ? new EncodedSample(ids, ids) : corruption.corrupt(tokens, key);
    };
  }

  /** All tokens after the first one, the end too. */
  private EncodedSample everyToken(long[] ids, RandomKey key) {
    long[] tokens = tokenizer.withoutEnd(ids);
    long[] labels = Arrays.copyOfRange(tokens, 1, tokens.length + 1);
    labels[labels.length - 1] = tokenizer.endOfSequence();
    return new EncodedSample(new long[] {tokens[0]}, labels);
  }

  /** The id of a sentinel, or a negative number if the text becomes something else. */
  private int sentinel(int number) {
    long[] ids = tokenizer.encode("<extra_id_" + number + ">", Integer.MAX_VALUE);
    // The sentinel and the end token.
    return ids.length == 2 ? (int) ids[0] : Integer.MIN_VALUE / 2;
  }

  private static List<Task> tasks(Path folder) {
    TaskFiles files = new TaskFiles(folder);
    TaskReader reader = new TaskReader(files);
    List<Task> tasks = files.names().stream().map(reader::read).toList();
    if (tasks.isEmpty()) {
      throw new InputException(
          folder + ": expected tasks in train/, found none; check 'tasks' in the recipe");
    }
    return tasks;
  }

  private static List<String> lines(List<Path> files) {
    List<String> lines = new ArrayList<>();
    for (Path file : files) {
      try {
        Files.readAllLines(file).stream().filter(line -> !line.isBlank()).forEach(lines::add);
      } catch (IOException e) {
        throw new InputException(
            file
                + ": the text cannot be read: "
                + InputException.reason(file, e)
                + "; check the recipe",
            e);
      }
    }
    return lines;
  }

  /** A sample of either kind, in the share that is set. */
  EncodedSample draw(RandomKey key) {
    double uniform = key.at(KIND).uniform();
    return uniform < settings.get(PretrainingSettings.TEXT_SHARE)
        ? learned(
            texts.isEmpty()
                ? Practice.passage(key.at(CONTENT))
                : texts.get(key.at(CONTENT).below(trained)),
            key)
        : format.encode(prompt(key.at(CONTENT)));
  }

  /** A sample of a task; all tasks are as likely, however many samples they have. */
  private Sample prompt(RandomKey key) {
    if (tasks.isEmpty()) {
      return Practice.prompt(key);
    }
    List<Sample> samples = tasks.get(key.at(TASK).below(tasks.size())).train();
    return samples.get(key.at(SAMPLE).below(samples.size()));
  }

  /** Held-out texts; those of the generated world are held out by their key. */
  List<EncodedSample> heldOutTexts(RandomKey key) {
    List<EncodedSample> samples = new ArrayList<>();
    for (int i = 0; i < settings.get(PretrainingSettings.HELD_OUT_SAMPLES); i++) {
      RandomKey sample = key.at(i);
      samples.add(
          learned(
              texts.isEmpty() ? Practice.passage(sample.at(CONTENT)) : texts.get(trained + i),
              sample));
    }
    return samples;
  }

  /**
   * Held-out prompts of every kind; none where all samples are texts. Those of a task are its
   * development or test samples, those of the generated world are held out by their key.
   */
  SequencedMap<String, List<EncodedSample>> heldOutPrompts(RandomKey key) {
    int wanted = settings.get(PretrainingSettings.HELD_OUT_SAMPLES);
    SequencedMap<String, List<EncodedSample>> samples = new LinkedHashMap<>();
    if (settings.get(PretrainingSettings.TEXT_SHARE) >= 1) {
      return samples;
    }
    for (Task task : tasks) {
      samples.put(
          task.name(), task.evaluation().stream().limit(wanted).map(format::encode).toList());
    }
    if (!tasks.isEmpty()) {
      return samples;
    }
    Practice.kinds().forEach(kind -> samples.put(kind, new ArrayList<>()));
    int missing = samples.size();
    for (int i = 0; missing > 0; i++) {
      Sample sample = Practice.prompt(key.at(i));
      List<EncodedSample> kind = Objects.requireNonNull(samples.get(sample.id()));
      if (kind.size() < wanted) {
        kind.add(format.encode(sample));
        missing -= kind.size() == wanted ? 1 : 0;
      }
    }
    return samples;
  }

  /** Samples side by side. */
  Batch batch(List<EncodedSample> drawn) {
    return format.batch(drawn);
  }

  /** By how many places the logits of a label stand before it in a batch. */
  int logitsBefore() {
    return switch (config) {
      case T5Config _ -> 0;
      case LlamaConfig _ -> 1;
    };
  }

  private EncodedSample learned(String text, RandomKey key) {
    return lesson.of(
        tokenizer.encode(text, settings.get(PretrainingSettings.MAXIMUM_TOKENS)), key.at(SPANS));
  }
}
