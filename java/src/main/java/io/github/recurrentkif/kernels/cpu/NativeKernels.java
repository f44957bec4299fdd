package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.Importance;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Operands;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Side;
import io.github.recurrentkif.kernels.Threshold;
import io.github.recurrentkif.memory.Device;
import io.github.recurrentkif.memory.HostMemory;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The kernels in C, on a pool of threads. Calls from several threads run one after another.
 *
 * <p>A long call is an ordinary downcall, so it does not hold off the garbage collector.
 */
final class NativeKernels implements Kernels {

  private final NativeLibrary library;
  private final Device device = new HostMemory();
  private final Arena arena = Arena.ofShared();
  private final MemorySegment context;
  private final String description;
  private boolean closed;

  private final Structures structures = new Structures(arena);
  private final MemorySegment norm = arena.allocate(JAVA_DOUBLE);
  private final MemorySegment counts = arena.allocate(JAVA_LONG, 4);

  /**
   * Starts a pool of threads.
   *
   * @param instructionSet a number of {@link InstructionSet}, or {@link InstructionSet#BEST}
   * @throws InputException if {@code KIF_MAX_ISA} names no instruction set
   */
  NativeKernels(NativeLibrary library, int threads, int instructionSet)
      throws NativeUnavailableException {
    this.library = library;
    try (Arena call = Arena.ofConfined()) {
      MemorySegment result = call.allocate(ADDRESS);
      int status = library.contextCreate(threads, instructionSet, result);
      if (status != NativeLibrary.OK) {
        arena.close();
        String reason = library.statusText(status);
        if (status == NativeLibrary.BAD_ENVIRONMENT) {
          throw new InputException(reason + ", but it is '" + System.getenv("KIF_MAX_ISA") + "'");
        }
        throw new NativeUnavailableException(
            "no pool of " + threads + " threads could be started: " + reason);
      }
      this.context = result.get(ADDRESS, 0);
    }
    int count = library.contextThreads(context);
    this.description =
        "C, %s, %d %s"
            .formatted(
                library.isaName(library.contextIsa(context)),
                count,
                count == 1 ? "thread" : "threads");
  }

  @Override
  public String description() {
    return description;
  }

  /** The number of the {@link InstructionSet} that was chosen. */
  int instructionSet() {
    return library.contextIsa(context());
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public synchronized void zero(ParameterVector vector) {
    long n = Operands.requireAlike(device, vector).length();
    check(library.zero(context(), vector.segment(), n));
  }

  @Override
  public synchronized void copy(ParameterVector source, ParameterVector target) {
    long n = Operands.requireAlike(device, source, target).length();
    check(library.copy(context(), source.segment(), target.segment(), n));
  }

  @Override
  public synchronized void accumulate(ParameterVector sum, ParameterVector term, float scale) {
    long n = Operands.requireAlike(device, sum, term).length();
    check(library.accumulate(context(), sum.segment(), term.segment(), scale, n));
  }

  @Override
  public synchronized void accumulateProduct(
      ParameterVector sum, ParameterVector first, ParameterVector second, float scale) {
    long n = Operands.requireProduct(device, sum, first, second).length();
    check(
        library.accumulateProduct(
            context(), sum.segment(), first.segment(), second.segment(), scale, n));
  }

  @Override
  public synchronized double squaredNorm(ParameterVector vector) {
    long n = Operands.requireAlike(device, vector).length();
    check(library.squaredNorm(context(), vector.segment(), n, norm));
    return norm.get(JAVA_DOUBLE, 0);
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
    check(
        library.adamw(
            context(),
            weights.segment(),
            gradient.segment(),
            firstMoment.segment(),
            secondMoment.segment(),
            clip,
            write(step),
            n));
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
    check(
        library.importance(
            context(),
            weights.segment(),
            gradient.segment(),
            sensitivity.segment(),
            uncertainty.segment(),
            clip,
            write(rule),
            n));
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
    check(
        library.adamwImportance(
            context(),
            weights.segment(),
            gradient.segment(),
            firstMoment.segment(),
            secondMoment.segment(),
            sensitivity.segment(),
            uncertainty.segment(),
            clip,
            write(step),
            write(rule),
            n));
  }

  @Override
  public synchronized void threshold(
      Importance importance, Score score, double quantile, Threshold result) {
    ParameterLayout layout = Operands.requireScores(device, importance, result);
    Operands.requireQuantile(quantile);
    check(
        library.threshold(
            context(),
            importance.sensitivity().segment(),
            importance.uncertainty().segment(),
            Structures.number(score),
            quantile,
            result.spans(),
            result.parts(),
            layout.length(),
            layout.padding(),
            result.segment()));
  }

  @Override
  public synchronized void range(Importance importance, Score score, Threshold result) {
    ParameterLayout layout = Operands.requireScores(device, importance, result);
    check(
        library.range(
            context(),
            importance.sensitivity().segment(),
            importance.uncertainty().segment(),
            Structures.number(score),
            result.spans(),
            result.parts(),
            layout.length(),
            layout.padding(),
            result.segment()));
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
    check(
        library.merge(
            context(),
            weights.segment(),
            base.segment(),
            snapshot.segment(),
            inner.importance().sensitivity().segment(),
            inner.importance().uncertainty().segment(),
            outer.importance().sensitivity().segment(),
            outer.importance().uncertainty().segment(),
            inner.threshold().segment(),
            outer.threshold().segment(),
            inner.threshold().spans(),
            inner.threshold().parts(),
            write(rule),
            layout.length()));
  }

  @Override
  public synchronized MaskCounts maskCounts(Side inner, Side outer, Score score) {
    ParameterLayout layout = Operands.requireCounted(device, inner, outer);
    check(
        library.maskCounts(
            context(),
            inner.importance().sensitivity().segment(),
            inner.importance().uncertainty().segment(),
            outer.importance().sensitivity().segment(),
            outer.importance().uncertainty().segment(),
            inner.threshold().segment(),
            outer.threshold().segment(),
            Structures.number(score),
            inner.threshold().spans(),
            inner.threshold().parts(),
            layout.length(),
            layout.padding(),
            counts));
    return counted();
  }

  private MaskCounts counted() {
    return new MaskCounts(
        counts.getAtIndex(JAVA_LONG, 0),
        counts.getAtIndex(JAVA_LONG, 1),
        counts.getAtIndex(JAVA_LONG, 2),
        counts.getAtIndex(JAVA_LONG, 3));
  }

  @Override
  public synchronized List<MaskCounts> maskCountsByTensor(Side inner, Side outer, Score score) {
    ParameterLayout layout = Operands.requireCounted(device, inner, outer);
    List<MaskCounts> all = new ArrayList<>();
    for (int t = 0; t < layout.tensors().size(); t++) {
      ParameterLayout.Tensor tensor = layout.tensors().get(t);
      check(
          library.maskCounts(
              context(),
              inner.importance().sensitivity().slice(tensor),
              inner.importance().uncertainty().slice(tensor),
              outer.importance().sensitivity().slice(tensor),
              outer.importance().uncertainty().slice(tensor),
              inner.threshold().low(t),
              outer.threshold().low(t),
              Structures.number(score),
              MemorySegment.NULL,
              1,
              tensor.elements(),
              0,
              counts));
      all.add(counted());
    }
    return all;
  }

  @Override
  public synchronized void dropoutMask(
      MemorySegment mask, long planes, long rows, long columns, DropoutMask rule) {
    Operands.requireMask(mask.byteSize(), planes, rows, columns);
    check(
        library.dropoutMask(
            context(),
            mask,
            planes,
            rows,
            columns,
            rule.key().bits(),
            rule.place(),
            rule.dropBelow(),
            rule.keptValue()));
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      library.contextDestroy(context);
      arena.close();
    }
  }

  private MemorySegment context() {
    if (closed) {
      throw new IllegalStateException("these kernels are closed");
    }
    return context;
  }

  private void check(int status) {
    if (status != NativeLibrary.OK) {
      throw new IllegalStateException(
          "a native kernel refused its work: " + library.statusText(status));
    }
  }

  MemorySegment write(AdamWStep step) {
    return structures.write(step);
  }

  MemorySegment write(ImportanceRule rule) {
    return structures.write(rule);
  }

  MemorySegment write(MergeRule rule) {
    return structures.write(rule);
  }
}
