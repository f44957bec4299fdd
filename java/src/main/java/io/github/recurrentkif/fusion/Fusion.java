package io.github.recurrentkif.fusion;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.recurrentkif.fusion.FusionRule.ByImportance;
import io.github.recurrentkif.fusion.FusionRule.Combine;
import io.github.recurrentkif.fusion.FusionRule.ImportanceFiles;
import io.github.recurrentkif.fusion.FusionRule.Scope;
import io.github.recurrentkif.fusion.Workers.Worker;
import io.github.recurrentkif.kernels.Bounds;
import io.github.recurrentkif.kernels.Combination;
import io.github.recurrentkif.kernels.FusionKernels;
import io.github.recurrentkif.kernels.MergeRule.Masks;
import io.github.recurrentkif.kernels.MergeRule.Soft;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.StoredScore;
import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsOutput;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Merges models tensor by tensor, a run of elements at a time: one pass over the inputs where no
 * threshold is needed, three where one is (two histograms of the scores give it exactly), two where
 * a range is. Memory does not depend on the size of the model, and the result not on the number of
 * threads.
 */
public final class Fusion implements AutoCloseable {

  private final FusionKernels kernels;
  private final Workers workers;
  private final @Nullable Weights base;
  private final List<Weights> models;
  private final FusionRule rule;
  private final LongConsumer progress;
  private final BooleanSupplier stop;

  /** Of each model the bounds of its scores over all tensors, where the rule asks for them. */
  private List<Bounds> globalBounds = List.of();

  /**
   * @param base what task vectors are differences from; may be absent where the rule has none
   * @param models checked to have the names and shapes of the base; see {@link Mismatch}
   * @param progress told how many more elements have been read in a pass
   * @param stop asked between runs
   */
  public Fusion(
      FusionKernels kernels,
      int threads,
      @Nullable Weights base,
      List<Weights> models,
      FusionRule rule,
      LongConsumer progress,
      BooleanSupplier stop) {
    this.kernels = kernels;
    this.base = base;
    this.models = List.copyOf(models);
    this.rule = rule;
    this.progress = progress;
    this.stop = stop;
    // The base, the models, at most two files for each of two importances, and the result.
    this.workers = new Workers(threads, models.size() + 6);
  }

  /** How many elements all passes together will read. */
  public static long work(FusionRule rule, long elements) {
    return elements * passes(rule);
  }

  private static int passes(FusionRule rule) {
    return switch (rule) {
      case Combine combine -> combine.sparsity() == FusionRule.Sparsity.LARGE ? 3 : 1;
      case ByImportance merge ->
          switch (merge.weighting()) {
            case Masks _ -> 3;
            case Soft _ -> 2;
          };
    };
  }

  /**
   * Finds the bounds that span all tensors, where the rule has such.
   *
   * @param tensors all that will be fused
   */
  public void prepare(List<String> tensors) throws IOException {
    if (rule instanceof ByImportance merge && merge.scope() == Scope.GLOBAL) {
      globalBounds = bounds(tensors, merge);
    }
  }

  /**
   * Fuses one tensor into a file.
   *
   * @throws InputException if a result is infinite or no number
   */
  public void fuse(String tensor, SafetensorsOutput output, DataType type) throws IOException {
    long elements = models.getFirst().shape(tensor).elements();
    AtomicLong notFinite = new AtomicLong();
    Step step = step(tensor);
    workers.eachRun(
        elements,
        (worker, first, count) -> {
          checkStop();
          long width = type.bits() / Byte.SIZE;
          StoredWeights out = new StoredWeights(type, worker.buffer(0).asSlice(0, count * width));
          notFinite.addAndGet(step.run(worker, out, first, count));
          output.write(tensor, first * width, out.data());
          progress.accept(count);
        });
    if (notFinite.get() > 0) {
      NotFinite.requireNone(tensor, inputs());
      throw new InputException(
          "tensor '%s': %d of the %d results are too large for %s; choose a wider type (--dtype), or smaller weights"
              .formatted(tensor, notFinite.get(), elements, type));
    }
  }

  /** All that a result is made of. */
  private List<Weights> inputs() {
    List<Weights> inputs = new ArrayList<>();
    switch (rule) {
      case Combine combine -> {
        if (combine.taskVectors()) {
          inputs.add(base());
        }
      }
      case ByImportance merge -> {
        inputs.add(base());
        merge.importances().forEach(importance -> inputs.addAll(importance.files()));
      }
    }
    inputs.addAll(models);
    return inputs;
  }

  private void checkStop() {
    if (stop.getAsBoolean()) {
      throw new CancellationException("stopped; nothing was written");
    }
  }

  /** What is done to one run; returns how many results are not finite. */
  @FunctionalInterface
  private interface Step {
    long run(Worker worker, StoredWeights out, long first, long count) throws IOException;
  }

  private Step step(String tensor) throws IOException {
    return switch (rule) {
      case Combine combine -> combination(tensor, combine);
      case ByImportance merge -> byImportance(tensor, merge);
    };
  }

  // Combining

  private Step combination(String tensor, Combine combine) throws IOException {
    Combination.Sparsity sparsity =
        switch (combine.sparsity()) {
          case EVERY -> new Combination.Sparsity.None();
          case LARGE -> new Combination.Sparsity.Large();
          case RANDOM ->
              new Combination.Sparsity.Random(key(combine.seed(), tensor), combine.density());
        };
    Combination combination =
        new Combination(
            combine.taskVectors(),
            sparsity,
            combine.consensus(),
            combine.normalised(),
            (float) combine.scale());
    float[] weights = new float[models.size()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = combine.weights().get(i).floatValue();
    }
    float[] thresholds = new float[models.size()];
    if (combine.sparsity() == FusionRule.Sparsity.LARGE) {
      thresholds = magnitudes(tensor, combine.density());
    }
    float[] bounds = thresholds;
    // What is not taken shows in no result, nor, where signs have to agree, does NaN; thresholds
    // are found from all elements.
    boolean unseen = combine.sparsity() == FusionRule.Sparsity.RANDOM || Float.isNaN(thresholds[0]);
    return (worker, out, first, count) -> {
      List<StoredWeights> runs = new ArrayList<>(models.size());
      for (int i = 0; i < models.size(); i++) {
        runs.add(models.get(i).read(tensor, first, count, worker.buffer(2 + i)));
      }
      StoredWeights origin =
          combine.taskVectors()
              ? base().read(tensor, first, count, worker.buffer(1))
              : runs.getFirst();
      long found = unseen ? notFinite(runs, origin) : 0;
      return found + kernels.combine(out, origin, runs, weights, bounds, combination, first);
    };
  }

  /** How many of these runs have task vectors that are not finite. */
  private long notFinite(List<StoredWeights> runs, StoredWeights origin) {
    return runs.stream()
        .map(run -> kernels.range(new StoredScore.Difference(run, origin), Bounds.OF_NOTHING))
        .filter(range -> !(range.high() < Float.POSITIVE_INFINITY))
        .count();
  }

  /** The key that a tensor's elements are drawn with: it follows from its name. */
  private static RandomKey key(long seed, String tensor) {
    RandomKey key = RandomKey.ofSeed(seed);
    for (int i = 0; i < tensor.length(); i++) {
      key = key.at(tensor.charAt(i));
    }
    return key;
  }

  /** For each model the smallest magnitude that is still among the density*n largest. */
  private float[] magnitudes(String tensor, double density) throws IOException {
    long elements = models.getFirst().shape(tensor).elements();
    long taken = (long) (density * elements);
    float[] thresholds = new float[models.size()];
    if (taken == 0) {
      // Nothing is at or above NaN. Both passes are done with.
      Arrays.fill(thresholds, Float.NaN);
      progress.accept(2 * elements);
      return thresholds;
    }
    Selection.Place[] places = new Selection.Place[models.size()];
    Scores scores = this::difference;
    Histograms upper = new Histograms(models.size());
    count(tensor, scores, upper, null);
    for (int i = 0; i < places.length; i++) {
      requireNumbers(upper, i, tensor);
      places[i] = Selection.place(upper.counts[i], elements - taken);
    }
    Histograms lower = new Histograms(models.size());
    count(tensor, scores, lower, places);
    for (int i = 0; i < places.length; i++) {
      thresholds[i] = Selection.score(places[i], lower.counts[i]);
    }
    return thresholds;
  }

  // Merging by importance

  private Step byImportance(String tensor, ByImportance merge) throws IOException {
    List<Bounds> bounds =
        merge.scope() == Scope.GLOBAL ? globalBounds : bounds(List.of(tensor), merge);
    return (worker, out, first, count) -> {
      StoredWeights origin = base().read(tensor, first, count, worker.buffer(1));
      StoredWeights learned = models.get(0).read(tensor, first, count, worker.buffer(2));
      StoredWeights kept = models.get(1).read(tensor, first, count, worker.buffer(3));
      return kernels.merge(
          out,
          origin,
          learned,
          kept,
          importance(merge, 0, tensor, worker, first, count, learned, origin),
          importance(merge, 1, tensor, worker, first, count, kept, origin),
          bounds.get(0),
          bounds.get(1),
          merge.weighting());
    };
  }

  private StoredScore importance(
      ByImportance merge,
      int number,
      String tensor,
      Worker worker,
      long first,
      long count,
      StoredWeights model,
      StoredWeights origin)
      throws IOException {
    if (merge.importances().isEmpty()) {
      return new StoredScore.Difference(model, origin);
    }
    ImportanceFiles files = merge.importances().get(number);
    int buffer = 2 + models.size() + 2 * number;
    StoredWeights a = files.files().getFirst().read(tensor, first, count, worker.buffer(buffer));
    return files.files().size() == 1
        ? new StoredScore.Value(a)
        : new StoredScore.Product(
            a, files.files().get(1).read(tensor, first, count, worker.buffer(buffer + 1)));
  }

  /** The scores of a run, where nothing else of it has been read. */
  private Scores scores(ByImportance merge) {
    if (merge.importances().isEmpty()) {
      return this::difference;
    }
    return (worker, name, number, first, count) -> {
      StoredWeights unused = new StoredWeights(DataType.F32, worker.buffer(0).asSlice(0, 0));
      return importance(merge, number, name, worker, first, count, unused, unused);
    };
  }

  private StoredScore difference(Worker worker, String tensor, int number, long first, long count)
      throws IOException {
    return new StoredScore.Difference(
        models.get(number).read(tensor, first, count, worker.buffer(2)),
        base().read(tensor, first, count, worker.buffer(1)));
  }

  /** Of each of the two models, what its scores over these tensors together are held against. */
  private List<Bounds> bounds(List<String> tensors, ByImportance merge) throws IOException {
    return switch (merge.weighting()) {
      case Masks _ -> quantiles(tensors, merge);
      case Soft _ -> ranges(tensors, merge);
    };
  }

  private List<Bounds> ranges(List<String> tensors, ByImportance merge) throws IOException {
    Scores scores = scores(merge);
    Ranges found = new Ranges();
    for (String tensor : tensors) {
      workers.eachRun(
          models.getFirst().shape(tensor).elements(),
          (worker, first, count) -> {
            checkStop();
            for (int model = 0; model < 2; model++) {
              StoredScore score = scores.of(worker, tensor, model, first, count);
              found.add(model, kernels.range(score, Bounds.OF_NOTHING));
            }
            progress.accept(count);
          });
      for (int model = 0; model < 2; model++) {
        // Of no scores at all, the greatest is minus infinity.
        if (!(found.of[model].high() < Float.POSITIVE_INFINITY)) {
          throw scoresTooLarge(tensor, model);
        }
      }
    }
    return List.of(found.of);
  }

  /** The quantile of the scores, interpolated between those of the ranks next to it. */
  private List<Bounds> quantiles(List<String> tensors, ByImportance merge) throws IOException {
    Scores scores = scores(merge);
    long elements = tensors.stream().mapToLong(t -> models.getFirst().shape(t).elements()).sum();
    if (elements == 0) {
      return List.of(Bounds.threshold(0), Bounds.threshold(0));
    }
    Selection.Rank rank = Selection.Rank.of(merge.quantile(), elements);
    Histograms upper = new Histograms(2);
    for (String tensor : tensors) {
      count(tensor, scores, upper, null);
      requireNumbers(upper, 0, tensor);
      requireNumbers(upper, 1, tensor);
    }
    // Both neighbours of a quantile, for both models; each bin is looked into once.
    Selection.Place[] below = new Selection.Place[2];
    Selection.Place[] above = new Selection.Place[2];
    for (int i = 0; i < 2; i++) {
      below[i] = Selection.place(upper.counts[i], rank.lower());
      above[i] = Selection.place(upper.counts[i], rank.upper());
    }
    Histograms lowerBins = new Histograms(2);
    Histograms upperBins = new Histograms(2);
    boolean split =
        below[0].prefix() != above[0].prefix() || below[1].prefix() != above[1].prefix();
    for (String tensor : tensors) {
      count(tensor, scores, lowerBins, below);
      if (split) {
        count(tensor, scores, upperBins, above, false);
      }
    }
    Bounds[] thresholds = new Bounds[2];
    for (int i = 0; i < 2; i++) {
      float a = Selection.score(below[i], lowerBins.counts[i]);
      float b = Selection.score(above[i], (split ? upperBins : lowerBins).counts[i]);
      thresholds[i] = Bounds.threshold(rank.between(a, b));
    }
    return List.of(thresholds);
  }

  // Counting

  /** The scores of a run of a tensor, of one of the models. */
  @FunctionalInterface
  private interface Scores {
    StoredScore of(Worker worker, String tensor, int model, long first, long count)
        throws IOException;
  }

  /** One histogram for each model. */
  private static final class Histograms {

    /** The bin of infinity; NaN lies in those behind it. */
    private static final int INFINITE = Float.floatToIntBits(Float.POSITIVE_INFINITY) >>> 15;

    private final long[][] counts;
    private final int[] more = new int[FusionKernels.HISTOGRAM_SIZE];

    Histograms(int models) {
      counts = new long[models][FusionKernels.HISTOGRAM_SIZE];
    }

    synchronized void add(int model, MemorySegment histogram) {
      MemorySegment.copy(histogram, JAVA_INT, 0, more, 0, more.length);
      long[] sums = counts[model];
      for (int i = 0; i < more.length; i++) {
        sums[i] += Integer.toUnsignedLong(more[i]);
      }
    }

    boolean holdsNumbersOnly(int model) {
      for (int i = INFINITE; i < FusionKernels.HISTOGRAM_SIZE; i++) {
        if (counts[model][i] > 0) {
          return false;
        }
      }
      return true;
    }
  }

  /** One range for each of two models. */
  private static final class Ranges {

    private final Bounds[] of = {Bounds.OF_NOTHING, Bounds.OF_NOTHING};

    synchronized void add(int model, Bounds range) {
      of[model] = of[model].and(range);
    }
  }

  private void requireNumbers(Histograms upper, int model, String tensor) throws IOException {
    if (!upper.holdsNumbersOnly(model)) {
      throw scoresTooLarge(tensor, model);
    }
  }

  /**
   * Why scores are not finite, where no input is to blame.
   *
   * @throws InputException if one is
   */
  private InputException scoresTooLarge(String tensor, int model) throws IOException {
    NotFinite.requireNone(tensor, inputs());
    String why = "differs from the base by what is too large for F32; leave the model out";
    Weights held = models.get(model);
    if (rule instanceof ByImportance merge && !merge.importances().isEmpty()) {
      why = "times that of the other file of importances is too large for F32; scale one down";
      held = merge.importances().get(model).files().getFirst();
    }
    return new InputException("%s: tensor '%s' %s".formatted(held.file(tensor), tensor, why));
  }

  private void count(
      String tensor, Scores scores, Histograms into, Selection.Place @Nullable [] places)
      throws IOException {
    count(tensor, scores, into, places, true);
  }

  /**
   * @param places whose bins are looked into; null for the upper histogram
   */
  private void count(
      String tensor,
      Scores scores,
      Histograms into,
      Selection.Place @Nullable [] places,
      boolean isPass)
      throws IOException {
    long elements = models.getFirst().shape(tensor).elements();
    workers.eachRun(
        elements,
        (worker, first, count) -> {
          checkStop();
          for (int model = 0; model < into.counts.length; model++) {
            MemorySegment counts = worker.counts(model);
            StoredScore score = scores.of(worker, tensor, model, first, count);
            if (places == null) {
              kernels.histogram(score, counts);
            } else {
              kernels.histogramBelow(score, places[model].prefix(), counts);
            }
          }
          if (worker.counted(count)) {
            worker.takeCounts(into::add);
          }
          if (isPass) {
            progress.accept(count);
          }
        });
    workers.takeCounts(into::add);
  }

  private Weights base() {
    if (base == null) {
      throw new IllegalStateException("the rule needs a base");
    }
    return base;
  }

  @Override
  public void close() {
    workers.close();
  }
}
