package io.github.recurrentkif.training;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.PromptPoolConfig;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which prompts of a pool go before which text: those whose keys have the largest cosine with the
 * mean of the embeddings of its tokens, the most alike first.
 */
final class PromptPool {

  private final PromptPoolConfig pool;
  private final SourceTexts source;
  private final int width;
  private final ParameterVector weights;

  /**
   * @param weights the vectors and keys of the prompts, read anew for every choice
   */
  PromptPool(PromptPoolConfig pool, SourceTexts source, ParameterVector weights) {
    this.pool = pool;
    this.source = source;
    this.width = source.width();
    this.weights = weights;
  }

  /** Lets every vector begin as the embedding of a token that is drawn. */
  void initialize(RandomKey key) {
    float[] vectors = new float[pool.prompts() * pool.length() * width];
    for (int i = 0; i < vectors.length; i += width) {
      long token = Long.remainderUnsigned(key.at(i).bits(), source.vocabularySize());
      for (int j = 0; j < width; j++) {
        vectors[i + j] = source.embedding(token, j);
      }
    }
    weights.upload(PromptPoolConfig.VECTORS, MemorySegment.ofArray(vectors));
  }

  /** Chooses by the keys as they are now. */
  Choice choice() {
    return new Choice(weights.download(PromptPoolConfig.KEYS));
  }

  /** The prompts by one state of their keys. */
  final class Choice {

    /** Of length 1 each, and how long they were. */
    private final double[][] keys = new double[pool.prompts()][width];

    private final double[] norms = new double[pool.prompts()];

    private Choice(float[] values) {
      for (int m = 0; m < keys.length; m++) {
        for (int j = 0; j < width; j++) {
          keys[m][j] = values[m * width + j];
        }
        norms[m] = normalize(keys[m]);
      }
    }

    /** The text with its prompts before it. */
    long[] prompted(long[] text) {
      long[] prompts = tokens(query(text));
      long[] result = Arrays.copyOf(prompts, prompts.length + text.length);
      System.arraycopy(text, 0, result, prompts.length, text.length);
      return result;
    }

    /** Every row with its prompts before its text, behind the padding on the left. */
    Batch prompted(Batch batch) {
      int more = pool.chosen() * pool.length();
      int length = batch.sourceLength() + more;
      boolean causal = source.causal();
      long[] ids = new long[batch.rows() * length];
      long[] mask = new long[ids.length];
      long[] labels = causal ? new long[ids.length] : batch.labels();
      for (int row = 0; row < batch.rows(); row++) {
        int from = row * batch.sourceLength();
        int to = row * length;
        int first = first(batch, row);
        long[] prompts = tokens(query(source.text(batch, row)));
        insert(batch.inputIds(), from, first, batch.sourceLength(), prompts, ids, to);
        long[] ones = new long[more];
        Arrays.fill(ones, 1);
        insert(batch.attentionMask(), from, first, batch.sourceLength(), ones, mask, to);
        if (causal) {
          long[] ignored = new long[more];
          Arrays.fill(ignored, Batch.IGNORED);
          insert(batch.labels(), from, first, batch.sourceLength(), ignored, labels, to);
        }
      }
      return new Batch(
          batch.rows(), length, causal ? length : batch.targetLength(), ids, mask, labels);
    }

    private static void insert(
        long[] source, int from, int first, int length, long[] inserted, long[] target, int to) {
      System.arraycopy(source, from, target, to, first);
      System.arraycopy(inserted, 0, target, to + first, inserted.length);
      System.arraycopy(source, from + first, target, to + first + inserted.length, length - first);
    }

    /**
     * The gradient with respect to the keys of {@code scale * pull * mean over the rows of the sum
     * of (1 - cosine)} over the chosen prompts, summed over the batches.
     */
    double[] keyGradient(List<Batch> batches, float scale) {
      double[] gradient = new double[keys.length * width];
      for (Batch batch : batches) {
        double factor = scale * pool.pull() / batch.rows();
        for (int row = 0; row < batch.rows(); row++) {
          double[] query = query(source.text(batch, row));
          for (int m : nearest(query)) {
            double cosine = cosine(query, m);
            for (int j = 0; norms[m] > 0 && j < width; j++) {
              gradient[m * width + j] -= factor * (query[j] - cosine * keys[m][j]) / norms[m];
            }
          }
        }
      }
      return gradient;
    }

    private long[] tokens(double[] query) {
      return Arrays.stream(nearest(query))
          .flatMap(m -> IntStream.range(m * pool.length(), (m + 1) * pool.length()))
          .mapToLong(vector -> source.vocabularySize() + (long) vector)
          .toArray();
    }

    private int[] nearest(double[] query) {
      double[] cosines =
          IntStream.range(0, keys.length).mapToDouble(m -> cosine(query, m)).toArray();
      return IntStream.range(0, keys.length)
          .boxed()
          .sorted(Comparator.comparingDouble(m -> -cosines[m]))
          .limit(pool.chosen())
          .mapToInt(Integer::intValue)
          .toArray();
    }

    private double cosine(double[] query, int prompt) {
      double sum = 0;
      for (int j = 0; j < width; j++) {
        sum += query[j] * keys[prompt][j];
      }
      return sum;
    }
  }

  private static int first(Batch batch, int row) {
    int first = 0;
    while (first < batch.sourceLength()
        && batch.attentionMask()[row * batch.sourceLength() + first] == 0) {
      first++;
    }
    return first;
  }

  /** The mean of the tokens' embeddings, scaled to length 1; 0 without tokens. */
  private double[] query(long[] text) {
    double[] query = new double[width];
    for (long token : text) {
      for (int j = 0; j < width; j++) {
        query[j] += source.embedding(token, j);
      }
    }
    normalize(query);
    return query;
  }

  /** Scales a vector to length 1, unless it is 0; returns its length before. */
  private static double normalize(double[] vector) {
    double norm = Math.sqrt(Arrays.stream(vector).map(x -> x * x).sum());
    for (int j = 0; norm > 0 && j < vector.length; j++) {
      vector[j] /= norm;
    }
    return norm;
  }
}
