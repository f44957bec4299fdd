package io.github.recurrentkif.data;

import io.github.recurrentkif.memory.InputException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * How a decoder-only model reads a sample: prompt and answer are one text, cut to tokens together,
 * and the token that ends a text follows.
 *
 * @param maximumTokens of prompt and answer together when training
 * @param cut what a sample loses that is longer
 */
public record CausalEncoding(PromptFormat format, Tokenizer tokenizer, int maximumTokens, Cut cut) {

  /** What a long sample loses. */
  public enum Cut {
    /** The end of its input; never the answer. */
    INPUT,
    /**
     * The end of everything, so that the answers to long inputs go first and such samples teach
     * nothing: as released for LLaMA.
     */
    ANSWER
  }

  /** A prompt to answer, whatever its length. */
  public long[] prompt(Sample sample) {
    return tokenizer.withoutEnd(tokenizer.encode(format.prompt(sample), Integer.MAX_VALUE));
  }

  /**
   * A sample to learn from; its labels may be empty if answers are cut.
   *
   * @throws InputException if the sample is too long without any input
   */
  public EncodedSample encode(Sample sample) {
    EncodedSample whole = uncut(sample);
    if (whole.source().length + whole.labels().length <= maximumTokens) {
      return whole;
    }
    return switch (cut) {
      case ANSWER -> withEndCut(whole);
      case INPUT -> withInputCut(sample);
    };
  }

  private EncodedSample uncut(Sample sample) {
    String prompt = format.prompt(sample);
    long[] source = tokenizer.withoutEnd(tokenizer.encode(prompt, Integer.MAX_VALUE));
    long[] text =
        tokenizer.withoutEnd(tokenizer.encode(prompt + sample.target(), Integer.MAX_VALUE));
    // The border is where the prompt alone would end, as many tokens from the start.
    int border = Math.min(source.length, text.length);
    long[] labels = Arrays.copyOfRange(text, border, text.length + 1);
    labels[labels.length - 1] = tokenizer.endOfSequence();
    return new EncodedSample(Arrays.copyOf(text, border), labels);
  }

  private EncodedSample withEndCut(EncodedSample whole) {
    int source = Math.min(whole.source().length, maximumTokens);
    return new EncodedSample(
        Arrays.copyOf(whole.source(), source),
        Arrays.copyOf(whole.labels(), Math.min(whole.labels().length, maximumTokens - source)));
  }

  /** The longest beginning of the input that fits, by halving. */
  private EncodedSample withInputCut(Sample sample) {
    String input = sample.input();
    EncodedSample best = fitting(sample.withInput(""));
    if (best == null) {
      throw new InputException(
          "sample '%s': prompt and answer need more than %d tokens even without any input; raise maximum-tokens"
              .formatted(sample.id(), maximumTokens));
    }
    int fits = 0;
    int tooLong = input.codePointCount(0, input.length());
    while (tooLong - fits > 1) {
      int middle = (fits + tooLong) >>> 1;
      EncodedSample candidate =
          fitting(sample.withInput(input.substring(0, input.offsetByCodePoints(0, middle))));
      if (candidate == null) {
        tooLong = middle;
      } else {
        fits = middle;
        best = candidate;
      }
    }
    return best;
  }

  private @Nullable EncodedSample fitting(Sample sample) {
    EncodedSample encoded = uncut(sample);
    return encoded.source().length + encoded.labels().length <= maximumTokens ? encoded : null;
  }
}
