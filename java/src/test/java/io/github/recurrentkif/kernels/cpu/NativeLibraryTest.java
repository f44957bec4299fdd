package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.recurrentkif.kernels.DropoutMask;
import io.github.recurrentkif.kernels.ImportanceRule;
import io.github.recurrentkif.kernels.ImportanceRule.Formula;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.kernels.MergeRule;
import io.github.recurrentkif.kernels.Operations;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.Score;
import io.github.recurrentkif.kernels.Sizes;
import io.github.recurrentkif.kernels.Workspace;
import io.github.recurrentkif.kernels.Workspace.Values;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** The functions of kif.h, called as any program may call them: any alignment, any length. */
class NativeLibraryTest {

  private static final ImportanceRule RULE = new ImportanceRule(Formula.MIXED, 0.85, 0.75);
  private static final DropoutMask DROPOUT = new DropoutMask(RandomKey.ofSeed(9), 2, 0.3);

  /** Arrays in the order of {@link Workspace#segments}, and what a call needs besides. */
  private record Call(
      NativeLibrary library,
      MemorySegment context,
      NativeKernels structures,
      MemorySegment[] a,
      long n,
      MemorySegment result) {}

  /** The same operation through the ABI and as the reference has it. */
  private record Both(Function<Call, Object> raw, Operations.Operation reference) {}

  private static final List<MergeRule> MERGES =
      List.of(
          MergeRule.reference(),
          new MergeRule(Score.SENSITIVITY_TIMES_UNCERTAINTY, new MergeRule.Soft(0.3), false, true));

  private static Map<String, Both> operations() {
    Map<String, Both> all = new LinkedHashMap<>();
    all.put(
        "zero",
        new Both(
            c -> c.library.zero(c.context, c.a[0], c.n),
            (k, s) -> {
              k.zero(s.weights);
              return 0;
            }));
    all.put(
        "copy",
        new Both(
            c -> c.library.copy(c.context, c.a[0], c.a[2], c.n),
            (k, s) -> {
              k.copy(s.weights, s.snapshot);
              return 0;
            }));
    all.put(
        "accumulate",
        new Both(
            c -> c.library.accumulate(c.context, c.a[0], c.a[3], 0.3f, c.n),
            (k, s) -> {
              k.accumulate(s.weights, s.gradient, 0.3f);
              return 0;
            }));
    all.put(
        "accumulate product",
        new Both(
            c -> c.library.accumulateProduct(c.context, c.a[0], c.a[3], c.a[1], 0.3f, c.n),
            (k, s) -> {
              k.accumulateProduct(s.weights, s.gradient, s.base, 0.3f);
              return 0;
            }));
    all.put(
        "squared norm",
        new Both(
            c -> {
              assertEquals(0, c.library.squaredNorm(c.context, c.a[3], c.n, c.result));
              return c.result.get(JAVA_DOUBLE, 0);
            },
            (k, s) -> k.squaredNorm(s.gradient)));
    all.put(
        "AdamW",
        new Both(
            c ->
                c.library.adamw(
                    c.context,
                    c.a[0],
                    c.a[3],
                    c.a[4],
                    c.a[5],
                    Operations.CLIP,
                    c.structures.write(Operations.STEP),
                    c.n),
            (k, s) -> {
              k.adamW(
                  s.weights,
                  s.gradient,
                  s.firstMoment,
                  s.secondMoment,
                  Operations.CLIP,
                  Operations.STEP);
              return 0;
            }));
    all.put(
        "importance",
        new Both(
            c ->
                c.library.importance(
                    c.context,
                    c.a[0],
                    c.a[3],
                    c.a[6],
                    c.a[7],
                    Operations.CLIP,
                    c.structures.write(RULE),
                    c.n),
            (k, s) -> {
              k.importance(s.weights, s.gradient, Operations.CLIP, s.inner.importance(), RULE);
              return 0;
            }));
    all.put(
        "AdamW with importance",
        new Both(
            c ->
                c.library.adamwImportance(
                    c.context,
                    c.a[0],
                    c.a[3],
                    c.a[4],
                    c.a[5],
                    c.a[6],
                    c.a[7],
                    Operations.CLIP,
                    c.structures.write(Operations.STEP),
                    c.structures.write(RULE),
                    c.n),
            (k, s) -> {
              k.adamWWithImportance(
                  s.weights,
                  s.gradient,
                  s.firstMoment,
                  s.secondMoment,
                  Operations.CLIP,
                  Operations.STEP,
                  s.inner.importance(),
                  RULE);
              return 0;
            }));
    for (Score score : Score.values()) {
      all.put(
          "threshold of " + score,
          new Both(
              c ->
                  c.library.threshold(
                      c.context,
                      c.a[6],
                      c.a[7],
                      Structures.number(score),
                      0.8,
                      MemorySegment.NULL,
                      0,
                      c.n,
                      0,
                      c.a[10]),
              (k, s) -> {
                k.threshold(s.inner.importance(), score, 0.8, s.inner.threshold());
                return 0;
              }));
      all.put(
          "mask counts of " + score,
          new Both(
              c -> {
                assertEquals(
                    0,
                    c.library.maskCounts(
                        c.context,
                        c.a[6],
                        c.a[7],
                        c.a[8],
                        c.a[9],
                        c.a[10],
                        c.a[11],
                        Structures.number(score),
                        MemorySegment.NULL,
                        0,
                        c.n,
                        0,
                        c.result));
                long[] counts = c.result.toArray(JAVA_LONG);
                return new MaskCounts(counts[0], counts[1], counts[2], counts[3]);
              },
              (k, s) -> k.maskCounts(s.inner, s.outer, score)));
    }
    for (MergeRule rule : MERGES) {
      all.put(
          "merge by " + rule,
          new Both(
              c ->
                  c.library.merge(
                      c.context,
                      c.a[0],
                      c.a[1],
                      c.a[2],
                      c.a[6],
                      c.a[7],
                      c.a[8],
                      c.a[9],
                      c.a[10],
                      c.a[11],
                      MemorySegment.NULL,
                      0,
                      c.structures.write(rule),
                      c.n),
              (k, s) -> {
                k.merge(s.weights, s.base, s.snapshot, s.inner, s.outer, rule);
                return 0;
              }));
    }
    for (Score score : Score.values()) {
      all.put(
          "range of " + score,
          new Both(
              c ->
                  c.library.range(
                      c.context,
                      c.a[6],
                      c.a[7],
                      Structures.number(score),
                      MemorySegment.NULL,
                      0,
                      c.n,
                      0,
                      c.a[10]),
              (k, s) -> {
                k.range(s.inner.importance(), score, s.inner.threshold());
                return 0;
              }));
    }
    all.put(
        "dropout mask",
        new Both(
            c ->
                c.library.dropoutMask(
                    c.context,
                    c.a[0],
                    1,
                    1,
                    c.n,
                    DROPOUT.key().bits(),
                    DROPOUT.place(),
                    DROPOUT.dropBelow(),
                    DROPOUT.keptValue()),
            (k, s) -> {
              MemorySegment mask = s.weights.segment();
              mask = mask.asSlice(0, s.layout.elements() * Float.BYTES);
              k.dropoutMask(mask, 1, 1, s.layout.elements(), DROPOUT);
              return 0;
            }));
    return all;
  }

  @Test
  void everyFunctionTakesArraysThatStartAtAnyElement() {
    for (int offset = 0; offset < 16; offset++) {
      compare("offset " + offset, Placement.offset(offset), List.of(0, 1, 15, 16, 17, 1000, 4099));
    }
  }

  @Test
  void noFunctionTouchesWhatLiesBehindItsArrays() {
    Assumptions.assumeTrue(
        Placement.GuardPages.supported(), "SKIPPED: no guard pages on this system");
    compare("before a guard page", Placement.beforeGuardPage(), guardedSizes());
  }

  @Test
  void noFunctionTouchesWhatLiesBeforeItsArrays() {
    Assumptions.assumeTrue(
        Placement.GuardPages.supported(), "SKIPPED: no guard pages on this system");
    compare("behind a guard page", Placement.behindGuardPage(), guardedSizes());
  }

  @Test
  void wrongArgumentsAreRefused() {
    NativeLibrary library = NativeBackends.library();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment context = create(library, 1, 1, arena);
      MemorySegment array = arena.allocate(64, 64);
      MemorySegment misaligned = array.asSlice(2);
      int invalid = 1;
      assertEquals(invalid, library.zero(MemorySegment.NULL, array, 4));
      assertEquals(invalid, library.zero(context, MemorySegment.NULL, 4));
      assertEquals(invalid, library.zero(context, misaligned, 4));
      assertEquals(invalid, library.zero(context, array, -1));
      assertEquals(0, library.zero(context, MemorySegment.NULL, 0));
      for (double quantile : new double[] {-0.1, 1.1, Double.NaN}) {
        assertEquals(invalid, threshold(library, context, array, 0, quantile, 0));
      }
      assertEquals(invalid, threshold(library, context, array, 2, 0.5, 0));
      assertEquals(invalid, threshold(library, context, array, 0, 0.5, 5));
      assertEquals(invalid, library.contextCreate(0, 0, arena.allocate(ADDRESS)));
      assertEquals(invalid, library.contextCreate(1, 4, arena.allocate(ADDRESS)));
      assertNotEquals(library.statusText(0), library.statusText(invalid));
      library.contextDestroy(context);
    }
  }

  private static int threshold(
      NativeLibrary library,
      MemorySegment context,
      MemorySegment array,
      int score,
      double quantile,
      long padding) {
    return library.threshold(
        context, array, array, score, quantile, MemorySegment.NULL, 0, 4, padding, array);
  }

  /** A host program, or another library in it, may have changed how this thread rounds. */
  @Test
  void theRoundingModeOfTheHostChangesNothing() throws Throwable {
    NativeLibrary library = NativeBackends.library();
    Linker linker = Linker.nativeLinker();
    Optional<MemorySegment> symbol = linker.defaultLookup().find("fesetround");
    Assumptions.assumeTrue(symbol.isPresent(), "SKIPPED: no fesetround on this system");
    MethodHandle round =
        linker.downcallHandle(symbol.orElseThrow(), FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    int towardZero = System.getProperty("os.arch").equals("aarch64") ? 0xc00000 : 0xc00;
    try (Workspace start = Workspace.random(Workspace.layoutOf(70_000), Values.ORDINARY, 3);
        Workspace expected = new Workspace(start.layout);
        Workspace actual = new Workspace(start.layout);
        NativeKernels kernels =
            new NativeBackends.NativeBackend(InstructionSet.BASELINE, 2).open();
        Arena arena = Arena.ofConfined()) {
      MemorySegment context = create(library, 2, 1, arena);
      MemorySegment step = kernels.write(Operations.STEP);
      MemorySegment rule = kernels.write(RULE);
      MemorySegment norm = arena.allocate(JAVA_DOUBLE, 2);
      for (Workspace space : List.of(expected, actual)) {
        space.copyFrom(start);
        MemorySegment[] a = space.segments();
        long n = start.layout.length();
        long padding = start.layout.padding();
        MemorySegment result = norm.asSlice(space == actual ? 8 : 0, 8);
        int mode = space == actual ? towardZero : 0;
        int set = (int) round.invokeExact(mode);
        try {
          library.adamwImportance(context, a[0], a[3], a[4], a[5], a[6], a[7], 0.3f, step, rule, n);
          library.threshold(context, a[6], a[7], 0, 0.8, MemorySegment.NULL, 0, n, padding, a[10]);
          library.squaredNorm(context, a[3], n, result);
        } finally {
          int reset = (int) round.invokeExact(0);
          assertEquals(0, set + reset);
        }
      }
      actual.assertSameAs(expected, "rounding toward zero");
      assertEquals(norm.getAtIndex(JAVA_DOUBLE, 0), norm.getAtIndex(JAVA_DOUBLE, 1));
      library.contextDestroy(context);
    }
  }

  private static List<Integer> guardedSizes() {
    return Sizes.all().stream().map(Sizes.Size::elements).filter(n -> n < 5000).toList();
  }

  private static void compare(String where, Placement placement, List<Integer> sizes) {
    NativeLibrary library = NativeBackends.library();
    int[] sets = IntStream.rangeClosed(1, library.supportedIsa()).toArray();
    try (Kernels reference = new ReferenceKernels();
        NativeKernels structures =
            new NativeBackends.NativeBackend(InstructionSet.BASELINE, 1).open();
        Arena contexts = Arena.ofConfined()) {
      List<MemorySegment> opened = new ArrayList<>();
      for (int set : sets) {
        opened.add(create(library, 2, set, contexts));
      }
      for (int n : sizes) {
        LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
        shapes.put("a", Shape.of(n));
        ParameterLayout layout = ParameterLayout.of(shapes);
        try (Workspace start = Workspace.random(layout, Values.ORDINARY, n);
            Workspace expected = new Workspace(layout);
            Arena arena = Arena.ofConfined()) {
          MemorySegment[] arrays = new MemorySegment[start.segments().length];
          for (int i = 0; i < arrays.length; i++) {
            arrays[i] = placement.place(cut(start, n)[i].byteSize(), arena);
          }
          MemorySegment result = arena.allocate(JAVA_LONG, 4);
          operations()
              .forEach(
                  (name, both) -> {
                    expected.copyFrom(start);
                    Object wanted = both.reference.run(reference, expected);
                    for (MemorySegment context : opened) {
                      for (int i = 0; i < arrays.length; i++) {
                        arrays[i].copyFrom(cut(start, n)[i]);
                      }
                      String what =
                          "%s of %d, %s, %s"
                              .formatted(
                                  name, n, where, library.isaName(library.contextIsa(context)));
                      Call call = new Call(library, context, structures, arrays, n, result);
                      assertEquals(wanted, both.raw.apply(call), what);
                      Workspace.assertSame(cut(expected, n), arrays, what);
                    }
                  });
        }
      }
      opened.forEach(library::contextDestroy);
    }
  }

  /** The arrays without their padding. */
  private static MemorySegment[] cut(Workspace space, int n) {
    MemorySegment[] segments = space.segments();
    for (int i = 0; i < segments.length - 2; i++) {
      segments[i] = segments[i].asSlice(0, (long) n * JAVA_FLOAT.byteSize());
    }
    return segments;
  }

  private static MemorySegment create(NativeLibrary library, int threads, int set, Arena arena) {
    MemorySegment result = arena.allocate(ADDRESS);
    assertEquals(0, library.contextCreate(threads, set, result));
    return result.get(ADDRESS, 0);
  }
}
