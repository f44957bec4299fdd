package io.github.recurrentkif.experiment;

import io.github.recurrentkif.data.EncodedSample;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.SpanCorruption;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.data.world.Practice;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.model.T5Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.SequencedMap;

/**
 * What a model is pretrained on: texts with hidden spans, and prompts of the generated world. Which
 * sample comes when follows from its key alone.
 */
final class PretrainingSamples {

  /** Places below a sample's key. */
  private static final long KIND = 0;

  private static final long CONTENT = 1;
  private static final long SPANS = 2;

  private final Tokenizer tokenizer;
  private final PretrainingSettings settings;
  private final SpanCorruption corruption;
  private final List<String> texts;
  private final int trained;

  /**
   * @throws InputException if a text file cannot be read or has too few lines, or the tokenizer has
   *     no sentinels
   */
  PretrainingSamples(PretrainingRecipe recipe, Tokenizer tokenizer, T5Config config) {
    this.tokenizer = tokenizer;
    this.settings = recipe.settings();
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
    this.corruption =
        new SpanCorruption(
            settings.get(PretrainingSettings.NOISE_DENSITY),
            settings.get(PretrainingSettings.MEAN_SPAN),
            first,
            sentinels,
            config.endTokens().getFirst());
    this.texts = lines(recipe.texts());
    this.trained = texts.size() - settings.get(PretrainingSettings.HELD_OUT_SAMPLES);
    if (!texts.isEmpty() && trained < 1) {
      throw new InputException(
          "the text files have %d usable lines, and %d are held out; give more text or set held-out-samples lower"
              .formatted(texts.size(), settings.get(PretrainingSettings.HELD_OUT_SAMPLES)));
    }
  }

  /** The id of a sentinel, or a negative number if the text becomes something else. */
  private int sentinel(int number) {
    long[] ids = tokenizer.encode("<extra_id_" + number + ">", Integer.MAX_VALUE);
    // The sentinel and the end token.
    return ids.length == 2 ? (int) ids[0] : Integer.MIN_VALUE / 2;
  }

  private static List<String> lines(List<Path> files) {
    List<String> lines = new ArrayList<>();
    for (Path file : files) {
      try {
        Files.readAllLines(file).stream().filter(line -> !line.isBlank()).forEach(lines::add);
      } catch (IOException e) {
        throw new InputException(
            file + ": the text cannot be read: " + RunFolder.message(e) + "; check the recipe", e);
      }
    }
    return lines;
  }

  /** A sample of either kind, in the share that is set. */
  EncodedSample draw(RandomKey key) {
    double uniform = (key.at(KIND).bits() >>> 11) * 0x1p-53;
    return uniform < settings.get(PretrainingSettings.TEXT_SHARE)
        ? hidden(
            texts.isEmpty()
                ? Practice.passage(key.at(CONTENT))
                : texts.get(
                    (int) Math.unsignedMultiplyHigh(key.at(CONTENT).bits(), (long) trained)),
            key)
        : prompt(key);
  }

  /** Held-out texts; those of the generated world are held out by their key. */
  List<EncodedSample> heldOutTexts(RandomKey key) {
    List<EncodedSample> samples = new ArrayList<>();
    for (int i = 0; i < settings.get(PretrainingSettings.HELD_OUT_SAMPLES); i++) {
      RandomKey sample = key.at(i);
      samples.add(
          hidden(
              texts.isEmpty() ? Practice.passage(sample.at(CONTENT)) : texts.get(trained + i),
              sample));
    }
    return samples;
  }

  /** Held-out prompts of every kind, as many of each; none where all samples are texts. */
  SequencedMap<String, List<EncodedSample>> heldOutPrompts(RandomKey key) {
    int wanted = settings.get(PretrainingSettings.HELD_OUT_SAMPLES);
    SequencedMap<String, List<EncodedSample>> samples = new LinkedHashMap<>();
    if (settings.get(PretrainingSettings.TEXT_SHARE) >= 1) {
      return samples;
    }
    Practice.kinds().forEach(kind -> samples.put(kind, new ArrayList<>()));
    int missing = samples.size();
    for (int i = 0; missing > 0; i++) {
      Sample sample = Practice.prompt(key.at(i));
      List<EncodedSample> kind = Objects.requireNonNull(samples.get(sample.id()));
      if (kind.size() < wanted) {
        kind.add(encoded(sample));
        missing -= kind.size() == wanted ? 1 : 0;
      }
    }
    return samples;
  }

  private EncodedSample prompt(RandomKey key) {
    return encoded(Practice.prompt(key.at(CONTENT)));
  }

  private EncodedSample encoded(Sample sample) {
    int maximum = settings.get(PretrainingSettings.MAXIMUM_TOKENS);
    return EncodedSample.of(sample, tokenizer, maximum, maximum);
  }

  private EncodedSample hidden(String text, RandomKey key) {
    long[] ids = tokenizer.encode(text, settings.get(PretrainingSettings.MAXIMUM_TOKENS));
    // Without the end token; a line of one token has nothing to leave visible.
    long[] tokens = Arrays.copyOf(ids, ids.length - 1);
    return tokens.length < 2
        ? new EncodedSample(ids, ids)
        : corruption.corrupt(tokens, key.at(SPANS));
  }
}
