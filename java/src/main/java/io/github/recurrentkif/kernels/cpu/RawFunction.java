package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.kernels.AdamWStep;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.memory.InputException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * One C function of somebody's own library that does the work of one kernel on raw arrays. The
 * signatures are the function types {@code kif_raw_...} of {@code kif.h}; a call with another
 * signature than the function has is undefined, as in C.
 */
public final class RawFunction implements AutoCloseable {

  // AdamW and importance alike: four arrays, the clip coefficient and their rule.
  private static final MethodHandle UPDATE =
      handle(ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_FLOAT, ADDRESS, JAVA_LONG);
  private static final MethodHandle ADAMW_IMPORTANCE =
      handle(
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          JAVA_FLOAT,
          ADDRESS,
          ADDRESS,
          JAVA_LONG);
  private static final MethodHandle THRESHOLD =
      handle(ADDRESS, ADDRESS, JAVA_INT, JAVA_DOUBLE, JAVA_LONG, ADDRESS);
  private static final MethodHandle MERGE =
      handle(
          ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
          JAVA_LONG);
  private static final MethodHandle SQUARED_NORM = handle(ADDRESS, JAVA_LONG, ADDRESS);

  private final String symbol;
  private final MemorySegment function;
  private final Arena arena = Arena.ofShared();
  private final Structures structures = new Structures(arena);
  private final MemorySegment norm = arena.allocate(JAVA_DOUBLE);

  private RawFunction(String symbol, MemorySegment function) {
    this.symbol = symbol;
    this.function = function;
  }

  /**
   * Finds a function; its library stays loaded as long as this process lives.
   *
   * @throws InputException if the library cannot be loaded or has no such function
   */
  public static RawFunction load(Path library, String symbol) {
    Path file = library.toAbsolutePath();
    if (!Files.isRegularFile(file)) {
      throw InputException.expected(
          library.toString(), "a shared library", "no such file", "check the path");
    }
    SymbolLookup symbols;
    try {
      symbols = SymbolLookup.libraryLookup(file, Arena.global());
    } catch (IllegalArgumentException e) {
      throw InputException.expected(
          library.toString(),
          "a shared library for this machine",
          "one that the system does not load (" + e.getMessage() + ")",
          "build it here with cc -shared -fPIC");
    }
    MemorySegment function =
        symbols
            .find(symbol)
            .orElseThrow(
                () ->
                    InputException.expected(
                        library + ", symbol '" + symbol + "'",
                        "an exported function of that name",
                        "none",
                        "compare with the output of nm -D " + library));
    return new RawFunction(symbol, function);
  }

  /** What it is called in its library. */
  public String symbol() {
    return symbol;
  }

  /** Calls it as a {@code kif_raw_importance}. */
  public void importance(
      MemorySegment w,
      MemorySegment g,
      MemorySegment sensitivity,
      MemorySegment uncertainty,
      float clip,
      ImportanceRule rule,
      long n) {
    try {
      UPDATE.invokeExact(function, w, g, sensitivity, uncertainty, clip, structures.write(rule), n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Calls it as a {@code kif_raw_adamw}. */
  public void adamW(
      MemorySegment w,
      MemorySegment g,
      MemorySegment m,
      MemorySegment v,
      float clip,
      AdamWStep step,
      long n) {
    try {
      UPDATE.invokeExact(function, w, g, m, v, clip, structures.write(step), n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Calls it as a {@code kif_raw_adamw_importance}. */
  public void adamWWithImportance(
      MemorySegment w,
      MemorySegment g,
      MemorySegment m,
      MemorySegment v,
      MemorySegment sensitivity,
      MemorySegment uncertainty,
      float clip,
      AdamWStep step,
      ImportanceRule rule,
      long n) {
    try {
      ADAMW_IMPORTANCE.invokeExact(
          function,
          w,
          g,
          m,
          v,
          sensitivity,
          uncertainty,
          clip,
          structures.write(step),
          structures.write(rule),
          n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Calls it as a {@code kif_raw_threshold}; {@code result} is one float. */
  public void threshold(
      MemorySegment sensitivity,
      MemorySegment uncertainty,
      Score score,
      double quantile,
      long n,
      MemorySegment result) {
    try {
      THRESHOLD.invokeExact(
          function, sensitivity, uncertainty, Structures.number(score), quantile, n, result);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Calls it as a {@code kif_raw_merge}; each threshold is one float. */
  public void merge(
      MemorySegment w,
      MemorySegment base,
      MemorySegment snapshot,
      MemorySegment innerSensitivity,
      MemorySegment innerUncertainty,
      MemorySegment outerSensitivity,
      MemorySegment outerUncertainty,
      MemorySegment innerThreshold,
      MemorySegment outerThreshold,
      MergeRule rule,
      long n) {
    try {
      MERGE.invokeExact(
          function,
          w,
          base,
          snapshot,
          innerSensitivity,
          innerUncertainty,
          outerSensitivity,
          outerUncertainty,
          innerThreshold,
          outerThreshold,
          structures.write(rule),
          n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Calls it as a {@code kif_raw_squared_norm}. */
  public double squaredNorm(MemorySegment v, long n) {
    try {
      SQUARED_NORM.invokeExact(function, v, n, norm);
      return norm.get(JAVA_DOUBLE, 0);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  @Override
  public void close() {
    arena.close();
  }

  private static MethodHandle handle(MemoryLayout... parameters) {
    return Linker.nativeLinker().downcallHandle(FunctionDescriptor.ofVoid(parameters));
  }

  private static RuntimeException unexpected(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException known ? known : new IllegalStateException(e);
  }
}
