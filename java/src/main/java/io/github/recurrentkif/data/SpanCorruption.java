package io.github.recurrentkif.data;

import io.github.recurrentkif.kernels.RandomKey;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The training objective of T5 (Raffel et al., 2020, section 3.1.4): spans of a text are replaced
 * by one sentinel each, and the answer is every sentinel followed by what it hides.
 *
 * <p>Of n tokens round(n * density) are hidden, at least one and not all, in round(hidden /
 * meanSpan) spans; the first span never begins the text. The lengths of hidden and visible spans
 * are random compositions of their totals.
 *
 * @param firstSentinel id of {@code <extra_id_0>}; the next sentinel is one lower
 * @param sentinels how many there are
 * @param endToken put behind text and answer
 */
public record SpanCorruption(
    double density, double meanSpan, int firstSentinel, int sentinels, long endToken) {

  /** Places below a text's key. */
  private static final long HIDDEN = 0;

  private static final long VISIBLE = 1;

  public SpanCorruption {
    if (!(density > 0 && density < 1) || !(meanSpan >= 1) || sentinels < 1) {
      throw new IllegalArgumentException(
          "span corruption needs a density in (0, 1), a mean span of at least 1 and sentinels,"
              + " got %s, %s, %d".formatted(density, meanSpan, sentinels));
    }
  }

  /**
   * Hides spans of a text.
   *
   * @param tokens without an end token; at least two
   */
  public EncodedSample corrupt(long[] tokens, RandomKey key) {
    if (tokens.length < 2) {
      throw new IllegalArgumentException("a text of " + tokens.length + " tokens hides nothing");
    }
    int hidden = Math.clamp(Math.round(tokens.length * density), 1, tokens.length - 1);
    int visible = tokens.length - hidden;
    int spans =
        Math.clamp(
            Math.round(hidden / meanSpan), 1, Math.min(sentinels, Math.min(hidden, visible)));
    int[] hiddenLengths = composition(hidden, spans, key.at(HIDDEN));
    int[] visibleLengths = composition(visible, spans, key.at(VISIBLE));
    List<Long> source = new ArrayList<>();
    List<Long> target = new ArrayList<>();
    int position = 0;
    for (int span = 0; span < spans; span++) {
      long sentinel = (long) firstSentinel - span;
      for (int i = 0; i < visibleLengths[span]; i++) {
        source.add(tokens[position++]);
      }
      source.add(sentinel);
      target.add(sentinel);
      for (int i = 0; i < hiddenLengths[span]; i++) {
        target.add(tokens[position++]);
      }
    }
    source.add(endToken);
    target.add(endToken);
    return new EncodedSample(array(source), array(target));
  }

  private static long[] array(List<Long> tokens) {
    return tokens.stream().mapToLong(Long::longValue).toArray();
  }

  /** Splits a total into positive parts; every way to do so is equally likely. */
  private static int[] composition(int total, int parts, RandomKey key) {
    int[] order = Shuffle.permutation(key, total - 1);
    int[] cuts = Arrays.copyOf(order, parts - 1);
    Arrays.sort(cuts);
    int[] lengths = new int[parts];
    int start = 0;
    for (int part = 0; part < parts - 1; part++) {
      lengths[part] = cuts[part] + 1 - start;
      start = cuts[part] + 1;
    }
    lengths[parts - 1] = total - start;
    return lengths;
  }
}
