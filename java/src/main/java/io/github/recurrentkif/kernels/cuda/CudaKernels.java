package io.github.recurrentkif.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.MergeRule.Masks;
import io.github.recurrentkif.kernels.Operands;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The kernels of {@code cuda-kernels/} on a GPU. Calls queue work and return; only {@link
 * #squaredNorm} and {@link #maskCounts} wait. A fusion therefore runs without the host: the
 * threshold stays where the merge reads it. Calls from several threads run one after another.
 */
public final class CudaKernels implements Kernels {

  /** The variant of each operation that is the fastest known, as its source file says. */
  public static final int SHIPPED = 2;

  /** As {@link #SHIPPED}, with a fusion in one launch. */
  public static final int ONE_LAUNCH = 3;

  private static final String MODULE = "kif.ptx";

  // As in the sources.
  private static final int THREADS = 256;
  private static final long NORM_LEAF = 4096;
  private static final int FOLD = 1024;
  private static final int PASSES = 3;
  private static final long SELECTION_BYTES = 2048L * Long.BYTES + 4 * Integer.BYTES + Long.BYTES;

  /** Of one run of elements. */
  private static final long COUNTS_BYTES = 3L * Long.BYTES;

  private static final long EXTENT_BYTES = Long.BYTES + 4 * Integer.BYTES;

  /** Blocks that fill a multiprocessor of 2048 threads. */
  private static final int FULL = 2048 / THREADS;

  /** Fewer for a selection, each of which adds a histogram of its own to the whole. */
  private static final int SELECTION_BLOCKS = 4;

  /**
   * Whether a GPU can be used here, for {@code kif doctor}.
   *
   * @param detail which one, or why none
   */
  public record Availability(boolean available, String detail) {}

  private final Launcher launcher;
  private final Device device;
  private final int variant;
  private final boolean oneLaunch;
  private final Arena arena = Arena.ofShared();
  private final Arguments arguments = new Arguments(arena);
  private final MemorySegment selection;
  private MemorySegment selections = MemorySegment.NULL;
  private final MemorySegment extent;
  private final MemorySegment bothSelections;
  private final MemorySegment barrier;
  private final MemorySegment hostNorm = arena.allocate(JAVA_DOUBLE);
  private boolean closed;

  // The classes of each tensor; grow with the largest number of tensors.
  private Arena countsArena = Arena.ofShared();
  private MemorySegment counts = MemorySegment.NULL;
  private MemorySegment hostCounts = MemorySegment.NULL;

  // The leaves of a norm and what they are folded into; grows with the largest vector.
  private Arena normArena = Arena.ofShared();
  private MemorySegment leaves = MemorySegment.NULL;
  private MemorySegment folded = MemorySegment.NULL;

  private final Launcher.Kernel accumulate;
  private final Launcher.Kernel accumulateProduct;
  private final Launcher.Kernel adamW;
  private final Launcher.Kernel adamWImportance;
  private final Launcher.Kernel importance;
  private final Launcher.Kernel importanceCounting;
  private final Launcher.Kernel squaredNorm;
  private final Launcher.Kernel fold;
  private final Launcher.Kernel merge;
  private final Launcher.Kernel maskCounts;
  private final Launcher.Kernel dropoutMask;
  private final Launcher.Kernel threshold;
  private final Launcher.Kernel thresholdCount;
  private final Launcher.Kernel thresholdPick;
  private final Launcher.Kernel thresholdEach;
  private final Launcher.Kernel fusion;
  private final Launcher.Kernel range;
  private final Launcher.Kernel rangeOfParts;

  /**
   * Opens a GPU by its driver.
   *
   * @param ordinal counted from 0
   * @throws InputException if it cannot be used, and says why
   */
  public static CudaKernels open(int ordinal) {
    return new CudaKernels(DriverLauncher.open(ordinal), SHIPPED);
  }

  /** Tries to open the first GPU. */
  public static Availability examine() {
    try (CudaKernels kernels = open(0)) {
      return new Availability(true, kernels.description());
    } catch (InputException | IllegalStateException e) {
      return new Availability(false, String.valueOf(e.getMessage()));
    }
  }

  /**
   * Loads the kernels of this build into a launcher, which is closed with them.
   *
   * @param variant of every operation: 1, {@link #SHIPPED} or {@link #ONE_LAUNCH}
   */
  public CudaKernels(Launcher launcher, int variant) {
    this(launcher, launcher.load(ptx()), variant);
  }

  /**
   * Loads the shipped kernels of this build into a launcher, and one of somebody's own in the place
   * of one of them: it takes the same arguments, and strides over a grid of blocks of 256 threads
   * as that does.
   *
   * @param replaced as {@code kif_merge_2}
   * @throws InputException if the file cannot be read, the driver refuses it, or it has no such
   *     entry
   */
  public static CudaKernels replacing(Launcher launcher, String replaced, Path ptx, String entry) {
    Launcher.Kernel own;
    try {
      own = launcher.load(Files.readAllBytes(ptx)).kernel(entry);
    } catch (IOException e) {
      throw InputException.expected(
          ptx.toString(), "a file of PTX", "none that can be read (" + e + ")", "check the path");
    } catch (IllegalStateException | IllegalArgumentException e) {
      throw InputException.expected(
          ptx + ", entry '" + entry + "'",
          "PTX for this GPU with an entry of that name",
          String.valueOf(e.getMessage()),
          "make it with nvcc --ptx, and declare the kernel extern \"C\"");
    }
    Launcher.Module ours = launcher.load(ptx());
    return new CudaKernels(
        launcher, name -> name.equals(replaced) ? own : ours.kernel(name), SHIPPED);
  }

  private CudaKernels(Launcher launcher, Launcher.Module module, int asked) {
    this.launcher = launcher;
    this.device = new CudaDevice(launcher);
    this.oneLaunch = asked == ONE_LAUNCH;
    this.variant = Math.min(asked, SHIPPED);
    fusion = module.kernel("kif_fusion_2");
    accumulate = module.kernel("kif_accumulate_" + variant);
    accumulateProduct = module.kernel("kif_accumulate_product_" + variant);
    adamW = module.kernel("kif_adamw_" + variant);
    adamWImportance = module.kernel("kif_adamw_importance_" + variant);
    importance = module.kernel("kif_importance_" + variant);
    importanceCounting = module.kernel("kif_importance_3");
    squaredNorm = module.kernel("kif_squared_norm_" + variant);
    fold = module.kernel("kif_fold");
    merge = module.kernel("kif_merge_" + variant);
    maskCounts = module.kernel("kif_mask_counts_" + variant);
    dropoutMask = module.kernel("kif_dropout_mask_" + variant);
    threshold = module.kernel("kif_threshold_2");
    thresholdCount = module.kernel("kif_threshold_1_count");
    thresholdPick = module.kernel("kif_threshold_1_pick");
    thresholdEach = module.kernel("kif_threshold_each");
    range = module.kernel("kif_range_2");
    rangeOfParts = module.kernel("kif_range_1");
    selection = device.allocate(SELECTION_BYTES, arena);
    extent = device.allocate(EXTENT_BYTES, arena);
    bothSelections = device.allocate(2 * SELECTION_BYTES, arena);
    barrier = device.allocate(2 * Integer.BYTES, arena);
  }

  /** The PTX of this build. */
  static byte[] ptx() {
    try (InputStream in = CudaKernels.class.getResourceAsStream(MODULE)) {
      if (in == null) {
        throw new IllegalStateException("this build has no " + MODULE);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public String description() {
    return launcher.description();
  }

  @Override
  public Device device() {
    return device;
  }

  /** Whether products of bfloat16 are the device's own: since compute capability 8.0. */
  public boolean multipliesBfloat16() {
    return launcher.computeCapability() >= 80;
  }

  /** The queue, as an address that other libraries take to queue their work in the same order. */
  public long queue() {
    return launcher.queue();
  }

  /** Waits until everything queued so far is done, for those who measure time. */
  public void synchronize() {
    launcher.synchronize();
  }

  @Override
  public synchronized void zero(ParameterVector vector) {
    Operands.requireAlike(device, vector);
    requireOpen();
    if (vector.layout().length() > 0) {
      launcher.clear(vector.segment().address(), vector.segment().byteSize());
    }
  }

  @Override
  public synchronized void copy(ParameterVector source, ParameterVector target) {
    Operands.requireAlike(device, source, target);
    requireOpen();
    if (source.layout().length() > 0) {
      launcher.copy(
          source.segment().address(), target.segment().address(), source.segment().byteSize());
    }
  }

  @Override
  public synchronized void accumulate(ParameterVector sum, ParameterVector term, float scale) {
    long n = Operands.requireAlike(device, sum, term).length();
    start().add(sum).add(term).add(scale).add(n);
    launch(accumulate, elementwise(n));
  }

  @Override
  public synchronized void accumulateProduct(
      ParameterVector sum, ParameterVector first, ParameterVector second, float scale) {
    long n = Operands.requireProduct(device, sum, first, second).length();
    start().add(sum).add(first).add(second).add(scale).add(n);
    launch(accumulateProduct, elementwise(n));
  }

  @Override
  public synchronized double squaredNorm(ParameterVector vector) {
    long n = Operands.requireAlike(device, vector).length();
    requireOpen();
    if (n == 0) {
      return 0;
    }
    long count = Math.ceilDiv(n, NORM_LEAF);
    reserveLeaves(count);
    start().add(vector).add(n).add(leaves);
    launch(squaredNorm, blocks(variant == 1 ? count : Math.ceilDiv(count, 4), FULL));
    MemorySegment from = leaves;
    MemorySegment to = folded;
    while (count > 1) {
      start().add(from).add(count).add(to);
      count = Math.ceilDiv(count, FOLD);
      launch(fold, Math.toIntExact(count));
      MemorySegment swapped = from;
      from = to;
      to = swapped;
    }
    device.download(from.asSlice(0, JAVA_DOUBLE.byteSize()), hostNorm);
    return hostNorm.get(JAVA_DOUBLE, 0);
  }

  private void reserveLeaves(long count) {
    long bytes = count * JAVA_DOUBLE.byteSize();
    if (leaves.byteSize() < bytes) {
      normArena.close();
      normArena = Arena.ofShared();
      leaves = device.allocate(bytes, normArena);
      folded = device.allocate(Math.ceilDiv(count, FOLD) * JAVA_DOUBLE.byteSize(), normArena);
    }
  }

  @Override
  public synchronized void adamW(
      ParameterVector weights,
      ParameterVector gradient,
      ParameterVector firstMoment,
      ParameterVector secondMoment,
      float clip,
      AdamWStep step) {
    long n = Operands.requireAlike(device, weights, gradient, firstMoment, secondMoment).length();
    start()
        .add(weights)
        .add(gradient)
        .add(firstMoment)
        .add(secondMoment)
        .add(clip)
        .add(step)
        .add(n);
    launch(adamW, elementwise(n));
  }

  @Override
  public synchronized void importance(
      ParameterVector weights,
      ParameterVector gradient,
      float clip,
      Importance importance,
      ImportanceRule rule) {
    ParameterVector sensitivity = importance.sensitivity();
    ParameterVector uncertainty = importance.uncertainty();
    long n = Operands.requireAlike(device, weights, gradient, sensitivity, uncertainty).length();
    start().add(weights).add(gradient).add(importance).add(clip).add(rule).add(n);
    launch(this.importance, elementwise(n));
  }

  @Override
  public synchronized void adamWWithImportance(
      ParameterVector weights,
      ParameterVector gradient,
      ParameterVector firstMoment,
      ParameterVector secondMoment,
      float clip,
      AdamWStep step,
      Importance importance,
      ImportanceRule rule) {
    ParameterVector sensitivity = importance.sensitivity();
    ParameterVector uncertainty = importance.uncertainty();
    long n =
        Operands.requireAlike(
                device, weights, gradient, firstMoment, secondMoment, sensitivity, uncertainty)
            .length();
    start()
        .add(weights)
        .add(gradient)
        .add(firstMoment)
        .add(secondMoment)
        .add(importance)
        .add(clip)
        .add(step)
        .add(rule)
        .add(n);
    launch(adamWImportance, elementwise(n));
  }

  @Override
  public synchronized void threshold(
      Importance importance, Score score, double quantile, Threshold result) {
    ParameterLayout layout = Operands.requireScores(device, importance, result);
    Operands.requireQuantile(quantile);
    if (result.layout().isPresent()) {
      thresholdOfEach(importance, score, quantile, result);
      return;
    }
    long n = layout.length();
    Rank rank = Rank.of(quantile, layout.elements(), layout.padding());
    if (variant != 1) {
      select(importance, score, 0, rank, result);
      return;
    }
    for (int pass = 0; pass < PASSES; pass++) {
      startPass(importance, score, n, pass);
      launch(thresholdCount, selectionBlocks(n));
      addRank(start().add(selection).add(pass), rank, layout, result);
      launch(thresholdPick, 1);
    }
  }

  /** The passes of a selection from that one on. */
  private void select(Importance importance, Score score, int from, Rank rank, Threshold result) {
    ParameterLayout layout = importance.sensitivity().layout();
    for (int pass = from; pass < PASSES; pass++) {
      addRank(startPass(importance, score, layout.length(), pass), rank, layout, result);
      launch(threshold, selectionBlocks(layout.length()));
    }
  }

  private Arguments startPass(Importance importance, Score score, long n, int pass) {
    return start().add(importance).add(score).add(n).add(selection).add(pass);
  }

  private int selectionBlocks(long n) {
    return blocks(Math.ceilDiv(n, 16 * THREADS), SELECTION_BLOCKS);
  }

  /**
   * {@link #importance} and then {@link #threshold} of all tensors together, both of one side, for
   * the last update before a fusion: the update counts the leading bits of the scores, so that the
   * threshold reads them twice instead of three times.
   *
   * @throws IllegalArgumentException as those two, or if the threshold is one of each tensor
   */
  public synchronized void importanceThenThreshold(
      ParameterVector weights,
      ParameterVector gradient,
      float clip,
      Side side,
      ImportanceRule rule,
      Score score,
      double quantile) {
    Importance importance = side.importance();
    Threshold result = side.threshold();
    ParameterLayout layout =
        Operands.requireAlike(
            device, weights, gradient, importance.sensitivity(), importance.uncertainty());
    Operands.requireQuantile(quantile);
    Operands.requireThreshold(device, layout, result);
    if (result.layout().isPresent()) {
      throw new IllegalArgumentException("thresholds of each tensor are not counted in an update");
    }
    long n = layout.length();
    Rank rank = Rank.of(quantile, layout.elements(), layout.padding());
    start().add(weights).add(gradient).add(importance).add(clip).add(rule).add(n);
    arguments.add(score).add(selection).add(rank.lower());
    launch(importanceCounting, selectionBlocks(n));
    select(importance, score, 1, rank, result);
  }

  private void thresholdOfEach(
      Importance importance, Score score, double quantile, Threshold result) {
    start()
        .add(importance)
        .add(score)
        .add((float) quantile)
        .addParts(result)
        .add(selections())
        .add(result.segment());
    launch(thresholdEach, blocks(result.parts(), SELECTION_BLOCKS));
  }

  /** A state for each block of a selection that does a tensor by itself. */
  private MemorySegment selections() {
    if (selections.byteSize() == 0) {
      selections =
          device.allocate(SELECTION_BYTES * launcher.multiprocessors() * SELECTION_BLOCKS, arena);
    }
    return selections;
  }

  @Override
  public synchronized void range(Importance importance, Score score, Threshold result) {
    ParameterLayout layout = Operands.requireScores(device, importance, result);
    start().add(importance).add(score);
    if (variant == 1 || result.layout().isPresent()) {
      arguments.addParts(result).add(layout.length()).add(layout.padding()).add(result.segment());
      launch(rangeOfParts, blocks(result.parts(), FULL));
    } else {
      arguments.add(layout.length()).add(layout.padding()).add(extent).add(result.segment());
      launch(range, elementwise(layout.length()));
    }
  }

  private static void addRank(
      Arguments arguments, Rank rank, ParameterLayout layout, Threshold result) {
    arguments
        .add(rank.lower())
        .add(rank.between() ? 1 : 0)
        .add(rank.fraction())
        .add(layout.elements())
        .add(result.segment());
  }

  @Override
  public synchronized void merge(
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Side inner,
      Side outer,
      MergeRule rule) {
    ParameterLayout layout = Operands.requireMerge(device, weights, base, snapshot, inner, outer);
    start()
        .add(weights)
        .add(base)
        .add(snapshot)
        .add(inner.importance())
        .add(outer.importance())
        .add(inner.threshold().segment())
        .add(outer.threshold().segment())
        .addParts(inner.threshold())
        .add(rule)
        .add(layout.length());
    launch(merge, elementwise(layout.length()));
  }

  @Override
  public synchronized void fuse(
      ParameterVector weights,
      ParameterVector base,
      ParameterVector snapshot,
      Side inner,
      Side outer,
      double quantile,
      MergeRule rule) {
    if (!oneLaunch
        || !(rule.weighting() instanceof Masks)
        || inner.threshold().layout().isPresent()) {
      Kernels.super.fuse(weights, base, snapshot, inner, outer, quantile, rule);
      return;
    }
    ParameterLayout layout = Operands.requireMerge(device, weights, base, snapshot, inner, outer);
    Operands.requireQuantile(quantile);
    Rank rank = Rank.of(quantile, layout.elements(), layout.padding());
    start()
        .add(weights)
        .add(base)
        .add(snapshot)
        .add(inner.importance())
        .add(outer.importance())
        .add(rule)
        .add(layout.length())
        .add(rank.lower())
        .add(rank.between() ? 1 : 0)
        .add(rank.fraction())
        .add(layout.elements())
        .add(bothSelections)
        .add(barrier)
        .add(inner.threshold().segment())
        .add(outer.threshold().segment());
    requireOpen();
    int blocks =
        Math.min(
            launcher.blocksAtOnce(fusion, THREADS),
            blocks(Math.ceilDiv(layout.length(), 4L * THREADS), FULL));
    launcher.launchTogether(fusion, blocks, THREADS, arguments.addresses());
  }

  @Override
  public synchronized MaskCounts maskCounts(Side inner, Side outer, Score score) {
    ParameterLayout layout = Operands.requireCounted(device, inner, outer);
    requireOpen();
    clearCounts(1);
    start()
        .add(inner.importance())
        .add(outer.importance())
        .add(inner.threshold().segment())
        .add(outer.threshold().segment())
        .addParts(inner.threshold());
    count(score, layout.length(), layout.padding(), 0);
    return counted(List.of(layout.elements())).getFirst();
  }

  @Override
  public synchronized List<MaskCounts> maskCountsByTensor(Side inner, Side outer, Score score) {
    ParameterLayout layout = Operands.requireCounted(device, inner, outer);
    requireOpen();
    List<ParameterLayout.Tensor> tensors = layout.tensors();
    clearCounts(tensors.size());
    for (int t = 0; t < tensors.size(); t++) {
      ParameterLayout.Tensor tensor = tensors.get(t);
      if (tensor.elements() == 0) {
        continue; // It may begin where the arena ends.
      }
      start()
          .add(inner.importance().sensitivity().slice(tensor))
          .add(inner.importance().uncertainty().slice(tensor))
          .add(outer.importance().sensitivity().slice(tensor))
          .add(outer.importance().uncertainty().slice(tensor))
          .add(inner.threshold().low(t))
          .add(outer.threshold().low(t))
          .add(MemorySegment.NULL)
          .add(1);
      count(score, tensor.elements(), 0, t);
    }
    return counted(tensors.stream().map(ParameterLayout.Tensor::elements).toList());
  }

  private void clearCounts(int places) {
    if (counts.byteSize() < places * COUNTS_BYTES) {
      countsArena.close();
      countsArena = Arena.ofShared();
      counts = device.allocate(places * COUNTS_BYTES, countsArena);
      hostCounts = countsArena.allocate(places * COUNTS_BYTES, JAVA_LONG.byteAlignment());
    }
    launcher.clear(counts.address(), counts.byteSize());
  }

  /** Queues the count of a run of elements, behind the arguments that say which. */
  private void count(Score score, long elements, long padding, int place) {
    arguments
        .add(score)
        .add(elements)
        .add(padding)
        .add(counts.asSlice(place * COUNTS_BYTES, COUNTS_BYTES));
    launch(maskCounts, blocks(Math.ceilDiv(elements, THREADS), FULL));
  }

  /** Waits for all counts; what is in no class so far is redundant. */
  private List<MaskCounts> counted(List<Long> elements) {
    device.download(counts, hostCounts);
    List<MaskCounts> all = new ArrayList<>();
    for (int i = 0; i < elements.size(); i++) {
      long shared = hostCounts.getAtIndex(JAVA_LONG, 3L * i);
      long newOnly = hostCounts.getAtIndex(JAVA_LONG, 3L * i + 1);
      long oldOnly = hostCounts.getAtIndex(JAVA_LONG, 3L * i + 2);
      long redundant = elements.get(i) - shared - newOnly - oldOnly;
      all.add(new MaskCounts(shared, newOnly, oldOnly, redundant));
    }
    return all;
  }

  @Override
  public synchronized void dropoutMask(
      MemorySegment mask, long planes, long rows, long columns, DropoutMask rule) {
    Operands.requireMask(mask.byteSize(), planes, rows, columns);
    requireOpen();
    if (mask.byteSize() == 0) {
      return;
    }
    start()
        .add(mask)
        .add(planes)
        .add(rows)
        .add(columns)
        .add(rule.key().bits())
        .add(rule.place())
        .add(rule.dropBelow())
        .add(rule.keptValue());
    long work = planes * rows * (variant == 1 ? columns : Math.ceilDiv(columns, 4));
    launch(dropoutMask, blocks(Math.ceilDiv(work, THREADS), FULL));
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      normArena.close();
      countsArena.close();
      arena.close();
      launcher.close();
    }
  }

  private Arguments start() {
    return arguments.clear();
  }

  private void launch(Launcher.Kernel kernel, int blocks) {
    requireOpen();
    launcher.launch(kernel, blocks, THREADS, 0, arguments.addresses());
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("these kernels are closed");
    }
  }

  private int elementwise(long n) {
    return blocks(Math.ceilDiv(n, variant == 1 ? THREADS : 4L * THREADS), FULL);
  }

  /** As many as there is work for, at least one, at most so many for each multiprocessor. */
  private int blocks(long wanted, int perMultiprocessor) {
    return (int) Math.clamp(wanted, 1, (long) launcher.multiprocessors() * perMultiprocessor);
  }
}
