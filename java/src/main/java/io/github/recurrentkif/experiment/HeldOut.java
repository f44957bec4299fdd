package io.github.recurrentkif.experiment;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.data.EncodedSample;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.training.PaddedObjective;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.StringJoiner;

/**
 * How well a model does, without dropout, on samples that it is never trained on.
 *
 * @param loss summed over the tokens of the answers
 * @param tokens of the answers
 * @param right answers whose every token is the most likely one after the tokens before it, as in
 *     greedy decoding
 * @param answers how many there were
 */
record HeldOut(double loss, long tokens, int right, int answers) {

  /** Rows of a batch that is only measured. */
  private static final int ROWS = 64;

  private static final String ACCURACY = "accuracy";

  /**
   * Measures hidden spans of texts and, where prompts are trained on, those of every kind: {@code
   * text_loss} and {@code prompt_loss} per token, {@code accuracy} by kind.
   */
  static SequencedMap<String, Object> measure(
      PaddedObjective objective, PretrainingSamples samples, RandomKey key) {
    SequencedMap<String, Object> measures = new LinkedHashMap<>();
    measures.put("text_loss", of(objective, samples, samples.heldOutTexts(key.at(0))).meanLoss());
    HeldOut all = new HeldOut(0, 0, 0, 0);
    Map<String, Object> accuracy = new LinkedHashMap<>();
    for (var kind : samples.heldOutPrompts(key.at(1)).entrySet()) {
      HeldOut one = of(objective, samples, kind.getValue());
      accuracy.put(kind.getKey(), (double) one.right / one.answers);
      all = all.and(one);
    }
    if (all.answers > 0) {
      measures.put("prompt_loss", all.meanLoss());
      measures.put(ACCURACY, accuracy);
    }
    return measures;
  }

  /** What was measured, for a line of the terminal. */
  static String text(Map<String, Object> measures) {
    StringJoiner text = new StringJoiner(", ");
    measures.forEach(
        (name, value) -> {
          if (value instanceof Double loss) {
            text.add(String.format(Locale.ROOT, "%s %.4f", name.replace('_', ' '), loss));
          } else if (value instanceof Map<?, ?> kinds) {
            kinds.forEach(
                (kind, share) ->
                    text.add(String.format(Locale.ROOT, "%s %.0f%%", kind, 100 * (Double) share)));
          }
        });
    return text.toString();
  }

  private static HeldOut of(
      PaddedObjective objective, PretrainingSamples format, List<EncodedSample> samples) {
    HeldOut sum = new HeldOut(0, 0, 0, 0);
    for (int from = 0; from < samples.size(); from += ROWS) {
      Batch batch = format.batch(samples.subList(from, Math.min(from + ROWS, samples.size())));
      try (Arena arena = Arena.ofConfined()) {
        sum = sum.and(of(batch, objective.logits(batch, arena), format.logitsBefore()));
      }
    }
    return sum;
  }

  /**
   * @param before by how many rows the logits of a label stand before it
   */
  private static HeldOut of(Batch batch, MemorySegment logits, int before) {
    long vocabulary = logits.byteSize() / Float.BYTES / batch.labels().length;
    double loss = 0;
    int right = 0;
    for (int row = 0; row < batch.rows(); row++) {
      boolean whole = true;
      for (int column = 0; column < batch.targetLength(); column++) {
        int at = row * batch.targetLength() + column;
        long label = batch.labels()[at];
        if (label != Batch.IGNORED) {
          long first = (at - before) * vocabulary;
          float own = logits.getAtIndex(JAVA_FLOAT, first + label);
          double sum = 0;
          for (long token = 0; token < vocabulary; token++) {
            float other = logits.getAtIndex(JAVA_FLOAT, first + token);
            sum += Math.exp(other - own);
            whole &= other <= own;
          }
          loss += Math.log(sum);
        }
      }
      right += whole ? 1 : 0;
    }
    return new HeldOut(loss, batch.labelledTokens(), right, batch.rows());
  }

  private HeldOut and(HeldOut other) {
    return new HeldOut(
        loss + other.loss, tokens + other.tokens, right + other.right, answers + other.answers);
  }

  private double meanLoss() {
    return loss / tokens;
  }
}
