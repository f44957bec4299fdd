package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.ExactMatch;
import io.github.recurrentkif.data.Sample;
import io.github.recurrentkif.data.Tokenizer;
import io.github.recurrentkif.training.Decoder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.IntConsumer;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/** Asks a model for its answers, by greedy decoding in batches of like length. */
public final class Evaluation {

  /** Of a batch, each sample counted with the longest one's length: it bounds the memory. */
  private static final int MOST_TOKENS = 8192;

  private final Tokenizer tokenizer;
  private final Function<Sample, long[]> prompts;
  private final Supplier<Decoder> decoder;
  private final int batchSize;
  private final int maximumNewTokens;

  /**
   * @param prompts the tokens that ask a sample's question
   * @param decoder asked for when the first answer is
   * @param batchSize samples decoded together, fewer where they are long
   */
  public Evaluation(
      Tokenizer tokenizer,
      Function<Sample, long[]> prompts,
      Supplier<Decoder> decoder,
      int batchSize,
      int maximumNewTokens) {
    this.tokenizer = tokenizer;
    this.prompts = prompts;
    this.decoder = decoder;
    this.batchSize = batchSize;
    this.maximumNewTokens = maximumNewTokens;
  }

  /**
   * The answers to the samples, in their order. Prompts are not cut, as in the reference. The
   * longest are asked first: no later batch needs larger buffers.
   *
   * @param progress told how many are answered
   * @throws CancellationException if {@code stop} says so between two batches
   */
  public List<String> answers(List<Sample> samples, IntConsumer progress, BooleanSupplier stop) {
    List<long[]> sources = samples.stream().map(prompts).toList();
    int[] byLength =
        IntStream.range(0, samples.size())
            .boxed()
            .sorted(Comparator.comparingInt((Integer i) -> sources.get(i).length).reversed())
            .mapToInt(Integer::intValue)
            .toArray();
    String[] answers = new String[samples.size()];
    int from = 0;
    while (from < byLength.length) {
      if (stop.getAsBoolean()) {
        throw new CancellationException("stopped while evaluating");
      }
      int fitting = MOST_TOKENS / Math.max(1, sources.get(byLength[from]).length);
      int size = Math.clamp(fitting, 1, batchSize);
      int[] batch = Arrays.copyOfRange(byLength, from, Math.min(from + size, byLength.length));
      List<long[]> decoded =
          decoder
              .get()
              .decode(Arrays.stream(batch).mapToObj(sources::get).toList(), maximumNewTokens);
      for (int i = 0; i < batch.length; i++) {
        answers[batch[i]] = tokenizer.decode(withoutEnd(decoded.get(i)), true).strip();
      }
      from += batch.length;
      progress.accept(from);
    }
    return new ArrayList<>(Arrays.asList(answers));
  }

  /** Not every tokenizer knows which tokens are special and leaves them out by itself. */
  private long[] withoutEnd(long[] ids) {
    boolean ended = ids.length > 0 && decoder.get().endTokens().contains((int) ids[ids.length - 1]);
    return ended ? Arrays.copyOf(ids, ids.length - 1) : ids;
  }

  /** The share of answers that match their targets exactly, in [0, 1]. */
  public static double accuracy(List<Sample> samples, List<String> answers) {
    return ExactMatch.accuracy(answers, samples.stream().map(Sample::target).toList());
  }
}
