package io.github.recurrentkif.continual;

import io.github.recurrentkif.data.Shuffle;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.training.LearningRateSchedule;
import io.github.recurrentkif.training.Update;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The plan of a real run: the task's samples in a new random order each epoch, and replayed samples
 * drawn from memory. Batches are built when an update is asked for.
 *
 * <p>Micro-batches are counted and gathered into updates as the Transformers library does: an
 * update is due at every multiple of the accumulation count, counted across epochs, so that a
 * window may begin in one epoch and end in the next; and, where an epoch has no more micro-batches
 * than the accumulation count, also at each epoch's end. The task is over after {@link
 * Sampling#updates} updates, wherever in an epoch that is.
 *
 * <p>A replayed batch is the first of a fresh random permutation of the memory, so that draws are
 * independent of each other and no sample comes twice within one.
 */
public final class SampledPlan<B> implements TaskPlan<B> {

  /** Places below the task's key, one for each thing drawn. */
  private static final long ORDER = 0;

  private static final long DROPOUT = 1;
  private static final long REPLAYED_SAMPLES = 2;
  private static final long REPLAY_DROPOUT = 3;
  private static final long SAMPLE_DROPOUT = 4;

  /**
   * How samples become updates.
   *
   * @param epochs passes over the task's samples
   * @param microBatch samples in one forward and backward pass; an epoch's last may be smaller
   * @param accumulation micro-batches in one update; every loss is divided by it
   * @param replayBatch samples in one update on replayed data, in one pass; fewer if the memory has
   *     fewer
   * @param replayScale factor of a replayed batch's loss
   */
  public record Sampling(
      int epochs, int microBatch, int accumulation, int replayBatch, float replayScale) {

    public Sampling {
      if (epochs < 1 || microBatch < 1 || accumulation < 1 || replayBatch < 1) {
        throw new IllegalArgumentException(
            "epochs, micro-batch, accumulation and replay batch must be positive, got %d, %d, %d, %d"
                .formatted(epochs, microBatch, accumulation, replayBatch));
      }
      if (!(replayScale > 0)) {
        throw new IllegalArgumentException(
            "the scale of replayed losses must be positive, got " + replayScale);
      }
    }

    /**
     * As the method was released: the loss of a replayed batch is divided by the accumulation count
     * although only one batch is taken.
     */
    public static Sampling reference(
        int epochs, int microBatch, int accumulation, int replayBatch) {
      return new Sampling(epochs, microBatch, accumulation, replayBatch, 1f / accumulation);
    }

    /** With the loss of a replayed batch as it is. */
    public static Sampling unscaledReplay(
        int epochs, int microBatch, int accumulation, int replayBatch) {
      return new Sampling(epochs, microBatch, accumulation, replayBatch, 1);
    }

    /** Micro-batches of one epoch. */
    public long microBatches(int samples) {
      return Math.ceilDiv(samples, microBatch);
    }

    /** Updates of the whole task: {@code epochs * max(floor(microBatches / accumulation), 1)}. */
    public long updates(int samples) {
      return epochs * Math.max(microBatches(samples) / accumulation, 1);
    }
  }

  /**
   * Numbered things that batches are built from.
   *
   * @param size how many there are
   * @param batch builds a batch of the samples with these numbers, in this order
   */
  public record Samples<B>(int size, Function<int[], B> batch) {

    public Samples {
      if (size < 1) {
        throw new IllegalArgumentException("a plan needs at least one sample, got " + size);
      }
    }
  }

  private record Epoch(long number, int[] order) {}

  private final int task;
  private final Sampling sampling;
  private final Samples<B> samples;
  private final @Nullable Samples<B> memory;
  private final LearningRateSchedule schedule;
  private final LearningRateSchedule replaySchedule;
  private final RandomKey key;

  /** The order drawn last: windows follow each other, so it is nearly always the one needed. */
  private volatile @Nullable Epoch latest;

  /**
   * @param task its number in the stream, from 0
   * @param memory samples of earlier tasks; null in the first
   * @param schedule of inner updates
   * @param replaySchedule of outer ones, which take the rate for the inner update to come
   * @param key of this task in this run
   */
  public SampledPlan(
      int task,
      Sampling sampling,
      Samples<B> samples,
      @Nullable Samples<B> memory,
      LearningRateSchedule schedule,
      LearningRateSchedule replaySchedule,
      RandomKey key) {
    this.task = task;
    this.sampling = sampling;
    this.samples = samples;
    this.memory = memory;
    this.schedule = schedule;
    this.replaySchedule = replaySchedule;
    this.key = key;
  }

  /** How many micro-batches have been used when so many updates are done. */
  private long windowEnd(long updates) {
    long perEpoch = sampling.microBatches(samples.size());
    if (perEpoch > sampling.accumulation()) {
      return updates * sampling.accumulation();
    }
    // The first number of micro-batches that ends this many windows; every epoch ends one.
    long low = 0;
    long high = updates * perEpoch;
    while (low < high) {
      long middle = (low + high) >>> 1;
      if (windowsWithin(middle, perEpoch) < updates) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Multiples of the epoch or of the accumulation count, up to that many micro-batches. */
  private long windowsWithin(long microBatches, long perEpoch) {
    long both = leastCommonMultiple(perEpoch, sampling.accumulation());
    return microBatches / perEpoch + microBatches / sampling.accumulation() - microBatches / both;
  }

  private static long leastCommonMultiple(long a, long b) {
    return a * b / BigInteger.valueOf(a).gcd(BigInteger.valueOf(b)).longValueExact();
  }

  @Override
  public int task() {
    return task;
  }

  @Override
  public long updates() {
    return sampling.updates(samples.size());
  }

  @Override
  public Update<B> inner(long completed) {
    long end = windowEnd(completed + 1);
    List<B> batches = new ArrayList<>();
    for (long microBatch = windowEnd(completed); microBatch < end; microBatch++) {
      batches.add(samples.batch().apply(numbersOf(microBatch)));
    }
    return new Update<>(
        batches,
        1f / sampling.accumulation(),
        schedule.at(completed),
        key.at(DROPOUT).at(completed));
  }

  /** Which samples are in the micro-batch, counted over the whole task. */
  private int[] numbersOf(long microBatch) {
    long perEpoch = sampling.microBatches(samples.size());
    int[] order = order(microBatch / perEpoch);
    int from = Math.toIntExact(microBatch % perEpoch) * sampling.microBatch();
    int to = Math.min(from + sampling.microBatch(), order.length);
    return Arrays.copyOfRange(order, from, to);
  }

  private int[] order(long epoch) {
    Epoch known = latest;
    if (known == null || known.number != epoch) {
      known = new Epoch(epoch, Shuffle.permutation(key.at(ORDER).at(epoch), samples.size()));
      latest = known;
    }
    return known.order;
  }

  @Override
  public boolean hasMemory() {
    return memory != null;
  }

  @Override
  public Update<B> outer(long completed, int repeat) {
    if (memory == null) {
      throw new IllegalStateException("this task has no memory to replay");
    }
    RandomKey draw = key.at(REPLAYED_SAMPLES).at(completed).at(repeat);
    int[] order = Shuffle.permutation(draw, memory.size());
    int[] first = Arrays.copyOf(order, Math.min(sampling.replayBatch(), order.length));
    return new Update<>(
        List.of(memory.batch().apply(first)),
        sampling.replayScale(),
        replaySchedule.at(completed),
        key.at(REPLAY_DROPOUT).at(completed).at(repeat));
  }

  @Override
  public long samples() {
    return samples.size();
  }

  @Override
  public Update<B> sample(long number) {
    return new Update<>(
        List.of(samples.batch().apply(new int[] {Math.toIntExact(number)})),
        1,
        0,
        key.at(SAMPLE_DROPOUT).at(number));
  }
}
