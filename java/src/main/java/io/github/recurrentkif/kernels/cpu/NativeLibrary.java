package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * The functions of {@code kif.h}, one method each, on raw addresses: the only place that knows
 * their signatures. A method returns the function's status unless it says otherwise.
 */
final class NativeLibrary {

  private static final int ABI_VERSION = 2;
  static final int OK = 0;
  static final int BAD_ENVIRONMENT = 4;

  private static final MethodHandle GET_INT = returningInt();
  private static final MethodHandle INT_TO_TEXT = handle(FunctionDescriptor.of(ADDRESS, JAVA_INT));
  private static final MethodHandle CREATE = returningInt(JAVA_INT, JAVA_INT, ADDRESS);
  private static final MethodHandle DESTROY = handle(FunctionDescriptor.ofVoid(ADDRESS));
  private static final MethodHandle CONTEXT_INT = returningInt(ADDRESS);

  /** Elements of a short update. */
  private static final long SHORT = 4096;

  // Each signature takes milliseconds to prepare, so that those of a use are prepared when it
  // begins.

  /** Signatures of the functions on vectors. */
  private static final class OnVectors {
    static final MethodHandle ZERO = returningInt(ADDRESS, ADDRESS, JAVA_LONG);
    static final MethodHandle COPY = returningInt(ADDRESS, ADDRESS, ADDRESS, JAVA_LONG);
    static final MethodHandle ACCUMULATE =
        returningInt(ADDRESS, ADDRESS, ADDRESS, JAVA_FLOAT, JAVA_LONG);
    static final MethodHandle ACCUMULATE_PRODUCT =
        returningInt(ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_FLOAT, JAVA_LONG);
    static final MethodHandle SQUARED_NORM = returningInt(ADDRESS, ADDRESS, JAVA_LONG, ADDRESS);
    // Both AdamW and the importance read four arrays, the clip coefficient and their rule.
    static final FunctionDescriptor UPDATE_SIGNATURE =
        FunctionDescriptor.of(
            JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_FLOAT, ADDRESS, JAVA_LONG);
    static final MethodHandle UPDATE = handle(UPDATE_SIGNATURE);

    /**
     * The same without the thread's change of state, a tenth of a call on one cache line. The
     * garbage collector waits for such a call, so it is for those of about a microsecond.
     */
    static final MethodHandle SHORT_UPDATE =
        Linker.nativeLinker().downcallHandle(UPDATE_SIGNATURE, Linker.Option.critical(false));

    static final MethodHandle ADAMW_IMPORTANCE =
        returningInt(
            ADDRESS,
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
    static final MethodHandle THRESHOLD =
        returningInt(
            ADDRESS,
            ADDRESS,
            ADDRESS,
            JAVA_INT,
            JAVA_DOUBLE,
            ADDRESS,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG,
            ADDRESS);
    static final MethodHandle RANGE =
        returningInt(
            ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG, ADDRESS);
    static final MethodHandle MERGE =
        returningInt(
            ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG);
    static final MethodHandle MASK_COUNTS =
        returningInt(
            ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS,
            JAVA_LONG, JAVA_LONG, JAVA_LONG, ADDRESS);
    static final MethodHandle DROPOUT_MASK =
        returningInt(
            ADDRESS,
            ADDRESS,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_INT,
            JAVA_INT,
            JAVA_FLOAT);
  }

  /** Signatures of the functions on weights as files hold them. */
  private static final class OnStored {
    static final MethodHandle HISTOGRAM =
        returningInt(ADDRESS, ADDRESS, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS);
    static final MethodHandle RANGE = returningInt(ADDRESS, ADDRESS, JAVA_INT, JAVA_LONG, ADDRESS);
    static final MethodHandle COMBINE =
        returningInt(
            ADDRESS, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, JAVA_LONG,
            JAVA_LONG, ADDRESS);
    static final MethodHandle MERGE =
        returningInt(
            ADDRESS, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS,
            ADDRESS, ADDRESS, JAVA_LONG, ADDRESS);
  }

  private final MemorySegment abiVersion;
  private final MemorySegment statusText;
  private final MemorySegment isaName;
  private final MemorySegment supportedIsa;
  private final MemorySegment contextCreate;
  private final MemorySegment contextDestroy;
  private final MemorySegment contextThreads;
  private final MemorySegment contextIsa;
  private final MemorySegment zero;
  private final MemorySegment copy;
  private final MemorySegment accumulate;
  private final MemorySegment accumulateProduct;
  private final MemorySegment squaredNorm;
  private final MemorySegment adamw;
  private final MemorySegment importance;
  private final MemorySegment adamwImportance;
  private final MemorySegment threshold;
  private final MemorySegment range;
  private final MemorySegment merge;
  private final MemorySegment maskCounts;
  private final MemorySegment dropoutMask;
  private final MemorySegment storedHistogram;
  private final MemorySegment storedRange;
  private final MemorySegment storedCombine;
  private final MemorySegment storedMerge;

  private NativeLibrary(SymbolLookup symbols) {
    abiVersion = symbols.findOrThrow("kif_abi_version");
    statusText = symbols.findOrThrow("kif_status_text");
    isaName = symbols.findOrThrow("kif_isa_name");
    supportedIsa = symbols.findOrThrow("kif_supported_isa");
    contextCreate = symbols.findOrThrow("kif_context_create");
    contextDestroy = symbols.findOrThrow("kif_context_destroy");
    contextThreads = symbols.findOrThrow("kif_context_threads");
    contextIsa = symbols.findOrThrow("kif_context_isa");
    zero = symbols.findOrThrow("kif_zero");
    copy = symbols.findOrThrow("kif_copy");
    accumulate = symbols.findOrThrow("kif_accumulate");
    accumulateProduct = symbols.findOrThrow("kif_accumulate_product");
    squaredNorm = symbols.findOrThrow("kif_squared_norm");
    adamw = symbols.findOrThrow("kif_adamw");
    importance = symbols.findOrThrow("kif_importance");
    adamwImportance = symbols.findOrThrow("kif_adamw_importance");
    threshold = symbols.findOrThrow("kif_threshold");
    range = symbols.findOrThrow("kif_range");
    merge = symbols.findOrThrow("kif_merge");
    maskCounts = symbols.findOrThrow("kif_mask_counts");
    dropoutMask = symbols.findOrThrow("kif_dropout_mask");
    storedHistogram = symbols.findOrThrow("kif_stored_histogram");
    storedRange = symbols.findOrThrow("kif_stored_range");
    storedCombine = symbols.findOrThrow("kif_stored_combine");
    storedMerge = symbols.findOrThrow("kif_stored_merge");
  }

  /**
   * Loads a library for as long as this process lives.
   *
   * @throws NativeUnavailableException if the file is no such library, or is one for another
   *     processor or of another version
   */
  static NativeLibrary load(Path file) throws NativeUnavailableException {
    NativeLibrary library;
    try {
      library = new NativeLibrary(SymbolLookup.libraryLookup(file, Arena.global()));
    } catch (IllegalArgumentException | java.util.NoSuchElementException e) {
      throw new NativeUnavailableException(file + " cannot be loaded: " + e.getMessage(), e);
    } catch (IllegalCallerException e) {
      throw new NativeUnavailableException(
          "Java was started without --enable-native-access=ALL-UNNAMED", e);
    }
    int found = library.abiVersion();
    if (found != ABI_VERSION) {
      throw new NativeUnavailableException(
          file + " has ABI version " + found + ", this program needs " + ABI_VERSION);
    }
    return library;
  }

  /** A sentence. */
  String statusText(int status) {
    return text(statusText, status);
  }

  /** The name of {@link #contextIsa}. */
  String isaName(int isa) {
    return text(isaName, isa);
  }

  /** The number of the best instruction set of this processor. */
  int supportedIsa() {
    try {
      return (int) GET_INT.invokeExact(supportedIsa);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Writes the address of the context to {@code result}. */
  int contextCreate(int threads, int isa, MemorySegment result) {
    try {
      return (int) CREATE.invokeExact(contextCreate, threads, isa, result);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Returns nothing. */
  void contextDestroy(MemorySegment context) {
    try {
      DESTROY.invokeExact(contextDestroy, context);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** The number of threads. */
  int contextThreads(MemorySegment context) {
    try {
      return (int) CONTEXT_INT.invokeExact(contextThreads, context);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** The number of the instruction set. */
  int contextIsa(MemorySegment context) {
    try {
      return (int) CONTEXT_INT.invokeExact(contextIsa, context);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int zero(MemorySegment context, MemorySegment v, long n) {
    try {
      return (int) OnVectors.ZERO.invokeExact(zero, context, v, n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int copy(MemorySegment context, MemorySegment source, MemorySegment target, long n) {
    try {
      return (int) OnVectors.COPY.invokeExact(copy, context, source, target, n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int accumulate(
      MemorySegment context, MemorySegment sum, MemorySegment term, float scale, long n) {
    try {
      return (int) OnVectors.ACCUMULATE.invokeExact(accumulate, context, sum, term, scale, n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int accumulateProduct(
      MemorySegment context,
      MemorySegment sum,
      MemorySegment first,
      MemorySegment second,
      float scale,
      long n) {
    try {
      return (int)
          OnVectors.ACCUMULATE_PRODUCT.invokeExact(
              accumulateProduct, context, sum, first, second, scale, n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int squaredNorm(MemorySegment context, MemorySegment v, long n, MemorySegment result) {
    try {
      return (int) OnVectors.SQUARED_NORM.invokeExact(squaredNorm, context, v, n, result);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int adamw(
      MemorySegment context,
      MemorySegment w,
      MemorySegment g,
      MemorySegment m,
      MemorySegment v,
      float clip,
      MemorySegment step,
      long n) {
    try {
      return n <= SHORT
          ? (int) OnVectors.SHORT_UPDATE.invokeExact(adamw, context, w, g, m, v, clip, step, n)
          : (int) OnVectors.UPDATE.invokeExact(adamw, context, w, g, m, v, clip, step, n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int importance(
      MemorySegment context,
      MemorySegment w,
      MemorySegment g,
      MemorySegment sensitivity,
      MemorySegment uncertainty,
      float clip,
      MemorySegment rule,
      long n) {
    try {
      return n <= SHORT
          ? (int)
              OnVectors.SHORT_UPDATE.invokeExact(
                  importance, context, w, g, sensitivity, uncertainty, clip, rule, n)
          : (int)
              OnVectors.UPDATE.invokeExact(
                  importance, context, w, g, sensitivity, uncertainty, clip, rule, n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int adamwImportance(
      MemorySegment context,
      MemorySegment w,
      MemorySegment g,
      MemorySegment m,
      MemorySegment v,
      MemorySegment sensitivity,
      MemorySegment uncertainty,
      float clip,
      MemorySegment step,
      MemorySegment rule,
      long n) {
    try {
      return (int)
          OnVectors.ADAMW_IMPORTANCE.invokeExact(
              adamwImportance, context, w, g, m, v, sensitivity, uncertainty, clip, step, rule, n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int threshold(
      MemorySegment context,
      MemorySegment sensitivity,
      MemorySegment uncertainty,
      int score,
      double quantile,
      MemorySegment tensors,
      long count,
      long n,
      long padding,
      MemorySegment result) {
    try {
      return (int)
          OnVectors.THRESHOLD.invokeExact(
              threshold,
              context,
              sensitivity,
              uncertainty,
              score,
              quantile,
              tensors,
              count,
              n,
              padding,
              result);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int range(
      MemorySegment context,
      MemorySegment sensitivity,
      MemorySegment uncertainty,
      int score,
      MemorySegment tensors,
      long count,
      long n,
      long padding,
      MemorySegment result) {
    try {
      return (int)
          OnVectors.RANGE.invokeExact(
              range, context, sensitivity, uncertainty, score, tensors, count, n, padding, result);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int merge(
      MemorySegment context,
      MemorySegment w,
      MemorySegment base,
      MemorySegment snapshot,
      MemorySegment innerSensitivity,
      MemorySegment innerUncertainty,
      MemorySegment outerSensitivity,
      MemorySegment outerUncertainty,
      MemorySegment innerBounds,
      MemorySegment outerBounds,
      MemorySegment tensors,
      long count,
      MemorySegment rule,
      long n) {
    try {
      return (int)
          OnVectors.MERGE.invokeExact(
              merge,
              context,
              w,
              base,
              snapshot,
              innerSensitivity,
              innerUncertainty,
              outerSensitivity,
              outerUncertainty,
              innerBounds,
              outerBounds,
              tensors,
              count,
              rule,
              n);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int maskCounts(
      MemorySegment context,
      MemorySegment innerSensitivity,
      MemorySegment innerUncertainty,
      MemorySegment outerSensitivity,
      MemorySegment outerUncertainty,
      MemorySegment innerThreshold,
      MemorySegment outerThreshold,
      int score,
      MemorySegment tensors,
      long count,
      long n,
      long padding,
      MemorySegment counts) {
    try {
      return (int)
          OnVectors.MASK_COUNTS.invokeExact(
              maskCounts,
              context,
              innerSensitivity,
              innerUncertainty,
              outerSensitivity,
              outerUncertainty,
              innerThreshold,
              outerThreshold,
              score,
              tensors,
              count,
              n,
              padding,
              counts);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int dropoutMask(
      MemorySegment context,
      MemorySegment mask,
      long planes,
      long rows,
      long columns,
      long key,
      int place,
      int dropBelow,
      float keptValue) {
    try {
      return (int)
          OnVectors.DROPOUT_MASK.invokeExact(
              dropoutMask, context, mask, planes, rows, columns, key, place, dropBelow, keptValue);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int storedHistogram(
      MemorySegment a,
      MemorySegment b,
      int kind,
      long n,
      int level,
      int prefix,
      MemorySegment counts) {
    try {
      return (int)
          OnStored.HISTOGRAM.invokeExact(storedHistogram, a, b, kind, n, level, prefix, counts);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int storedRange(MemorySegment a, MemorySegment b, int kind, long n, MemorySegment range) {
    try {
      return (int) OnStored.RANGE.invokeExact(storedRange, a, b, kind, n, range);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int storedCombine(
      MemorySegment out,
      int type,
      MemorySegment base,
      MemorySegment models,
      MemorySegment weights,
      MemorySegment thresholds,
      int count,
      MemorySegment rule,
      long first,
      long n,
      MemorySegment notFinite) {
    try {
      return (int)
          OnStored.COMBINE.invokeExact(
              storedCombine,
              out,
              type,
              base,
              models,
              weights,
              thresholds,
              count,
              rule,
              first,
              n,
              notFinite);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int storedMerge(
      MemorySegment out,
      int type,
      MemorySegment base,
      MemorySegment learned,
      MemorySegment kept,
      MemorySegment learnedScore,
      MemorySegment keptScore,
      int kind,
      MemorySegment learnedBounds,
      MemorySegment keptBounds,
      MemorySegment rule,
      long n,
      MemorySegment notFinite) {
    try {
      return (int)
          OnStored.MERGE.invokeExact(
              storedMerge,
              out,
              type,
              base,
              learned,
              kept,
              learnedScore,
              keptScore,
              kind,
              learnedBounds,
              keptBounds,
              rule,
              n,
              notFinite);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private int abiVersion() {
    try {
      return (int) GET_INT.invokeExact(abiVersion);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private static String text(MemorySegment function, int number) {
    try {
      MemorySegment text = (MemorySegment) INT_TO_TEXT.invokeExact(function, number);
      return text.reinterpret(Long.MAX_VALUE).getString(0);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private static MethodHandle returningInt(MemoryLayout... parameters) {
    return handle(FunctionDescriptor.of(JAVA_INT, parameters));
  }

  private static MethodHandle handle(FunctionDescriptor signature) {
    return Linker.nativeLinker().downcallHandle(signature);
  }

  /** A closed or foreign-thread segment is the caller's mistake; nothing else can be thrown. */
  private static RuntimeException unexpected(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException known ? known : new IllegalStateException(e);
  }
}
