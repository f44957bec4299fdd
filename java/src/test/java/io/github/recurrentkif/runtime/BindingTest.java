package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BindingTest {

  private static final SessionOptions ONE_THREAD =
      SessionOptions.builder().intraOpThreads(1).build();

  /** sum[rows, 2] = a + b, loss = its mean. */
  private static final byte[] SUM =
      new OnnxModel()
          .input("a", ElementType.FLOAT32, "rows", 2)
          .input("b", ElementType.FLOAT32, "rows", 2)
          .output("sum", ElementType.FLOAT32, "rows", 2)
          .output("loss", ElementType.FLOAT32)
          .node("Add", List.of("a", "b"), List.of("sum"))
          .node("ReduceMean", List.of("sum"), List.of("loss"), Map.of("keepdims", 0L))
          .encode();

  /** The values of x that are not zero: their number is not known before. */
  private static final byte[] NONZERO =
      new OnnxModel()
          .input("x", ElementType.FLOAT32, "length")
          .output("where", ElementType.INT64, 1, "count")
          .output("same", ElementType.FLOAT32, "length")
          .node("NonZero", List.of("x"), List.of("where"))
          .node("Identity", List.of("x"), List.of("same"))
          .encode();

  @SuppressWarnings("NullAway.Init") // set before any test
  private static OnnxRuntime runtime;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Arena arena;

  @BeforeAll
  static void load() {
    runtime = TestRuntime.load();
  }

  @AfterAll
  static void close() {
    runtime.close();
  }

  @BeforeEach
  void openArena() {
    arena = Arena.ofShared();
  }

  @AfterEach
  void closeArena() {
    arena.close();
  }

  private MemorySegment floats(float... values) {
    return arena.allocateFrom(JAVA_FLOAT, values);
  }

  @Test
  void aRunReadsAndWritesTheMemoryBound() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      MemorySegment a = floats(1, 2, 3, 4);
      MemorySegment sum = arena.allocate(JAVA_FLOAT, 4);
      MemorySegment loss = arena.allocate(JAVA_FLOAT, 1);
      binding.bindInput("a", Tensor.float32(a, 2, 2));
      binding.bindInput("b", Tensor.float32(floats(10, 20, 30, 40), 2, 2));
      binding.bindOutput("sum", Tensor.float32(sum, 2, 2));
      binding.bindOutput("loss", Tensor.float32(loss));
      binding.run();
      assertArrayEquals(new float[] {11, 22, 33, 44}, sum.toArray(JAVA_FLOAT));
      assertEquals(27.5f, loss.get(JAVA_FLOAT, 0));
      a.set(JAVA_FLOAT, 0, 5);
      binding.run();
      assertEquals(15, sum.get(JAVA_FLOAT, 0));
    }
  }

  @Test
  void onlyTheOutputsBoundAreAskedFor() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      MemorySegment loss = arena.allocate(JAVA_FLOAT, 1);
      binding.bindInput("a", Tensor.float32(floats(1, 2), 1, 2));
      binding.bindInput("b", Tensor.float32(floats(3, 4), 1, 2));
      binding.bindOutput("loss", Tensor.float32(loss));
      binding.run();
      assertEquals(5, loss.get(JAVA_FLOAT, 0));
    }
  }

  @Test
  void memoryAndShapesMayChangeFromRunToRun() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      for (int rows = 1; rows < 50; rows++) {
        MemorySegment ab = arena.allocate(JAVA_FLOAT, 2L * rows);
        MemorySegment sum = arena.allocate(JAVA_FLOAT, 2L * rows);
        ab.setAtIndex(JAVA_FLOAT, 2L * rows - 1, rows);
        binding.bindInput("a", Tensor.float32(ab, rows, 2));
        binding.bindInput("b", Tensor.float32(ab, rows, 2));
        binding.bindOutput("sum", Tensor.float32(sum, rows, 2));
        binding.run();
        assertEquals(2f * rows, sum.getAtIndex(JAVA_FLOAT, 2L * rows - 1));
      }
    }
  }

  @Test
  void anEmptyTensorIsATensor() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      binding.bindInput("a", Tensor.float32(arena.allocate(0, 4), 0, 2));
      binding.bindInput("b", Tensor.float32(arena.allocate(0, 4), 0, 2));
      binding.bindOutput("sum", Tensor.float32(arena.allocate(0, 4), 0, 2));
      binding.run();
    }
  }

  @Test
  void anInputPassedThroughIsCopiedToTheMemoryOfTheOutput() {
    try (Session session = runtime.session("nonzero", NONZERO, ONE_THREAD);
        Binding binding = session.binding()) {
      MemorySegment same = arena.allocate(JAVA_FLOAT, 3);
      binding.bindInput("x", Tensor.float32(floats(0, 7, 8), 3));
      binding.bindOutput("same", Tensor.float32(same, 3));
      binding.run();
      assertArrayEquals(new float[] {0, 7, 8}, same.toArray(JAVA_FLOAT));
    }
  }

  @Test
  void everyElementTypeOfTheFactoriesArrives() {
    byte[] model =
        new OnnxModel()
            .input("condition", ElementType.BOOL, 2)
            .input("long", ElementType.INT64, 2)
            .input("int", ElementType.INT32, 2)
            .input("byte", ElementType.UINT8, 2)
            .output("chosen", ElementType.INT64, 2)
            .output("ints", ElementType.INT32, 2)
            .output("bytes", ElementType.UINT8, 2)
            .node("Where", List.of("condition", "long", "long2"), List.of("chosen"))
            .node("Add", List.of("long", "long"), List.of("long2"))
            .node("Add", List.of("int", "int"), List.of("ints"))
            .node("Identity", List.of("byte"), List.of("bytes"))
            .encode();
    try (Session session = runtime.session("types", model, ONE_THREAD);
        Binding binding = session.binding()) {
      MemorySegment chosen = arena.allocate(JAVA_LONG, 2);
      MemorySegment ints = arena.allocate(JAVA_INT, 2);
      MemorySegment bytes = arena.allocate(JAVA_BYTE, 2);
      binding.bindInput(
          "condition", Tensor.bool(arena.allocateFrom(JAVA_BYTE, new byte[] {1, 0}), 2));
      binding.bindInput("long", Tensor.int64(arena.allocateFrom(JAVA_LONG, 1L << 40, 3), 2));
      binding.bindInput("int", Tensor.int32(arena.allocateFrom(JAVA_INT, 4, 5), 2));
      binding.bindInput("byte", Tensor.uint8(arena.allocateFrom(JAVA_BYTE, new byte[] {6, 7}), 2));
      binding.bindOutput("chosen", Tensor.int64(chosen, 2));
      binding.bindOutput("ints", Tensor.int32(ints, 2));
      binding.bindOutput("bytes", Tensor.uint8(bytes, 2));
      binding.run();
      assertArrayEquals(new long[] {1L << 40, 6}, chosen.toArray(JAVA_LONG));
      assertArrayEquals(new int[] {8, 10}, ints.toArray(JAVA_INT));
      assertArrayEquals(new byte[] {6, 7}, bytes.toArray(JAVA_BYTE));
    }
  }

  @Test
  void outputsOfUnknownSizeAreAllocatedAnewInEachRun() {
    try (Session session = runtime.session("nonzero", NONZERO, ONE_THREAD);
        Binding binding = session.binding();
        Arena held = Arena.ofConfined()) {
      MemorySegment same = arena.allocate(JAVA_FLOAT, 3);
      MemorySegment x = floats(0, 7, 8);
      binding.bindInput("x", Tensor.float32(x, 3));
      binding.bindOutput("same", Tensor.float32(same, 3));
      binding.bindOutputToDevice("where");
      assertThrows(IllegalStateException.class, () -> binding.outputs(held));
      binding.run();
      assertEquals(Set.of("where"), binding.outputs(held).keySet());
      Tensor first = binding.output("where", held);
      assertEquals(Shape.of(1, 2), first.shape());
      x.set(JAVA_FLOAT, 0, 6);
      binding.run();
      Tensor second = binding.output("where", held);
      assertEquals(Shape.of(1, 3), second.shape());
      assertArrayEquals(new long[] {0, 1, 2}, second.data().toArray(JAVA_LONG));
      assertArrayEquals(new long[] {1, 2}, first.data().toArray(JAVA_LONG));
    }
  }

  @Test
  void anOutputMayGoToOurMemoryAfterItWentToTheDevice() {
    try (Session session = runtime.session("nonzero", NONZERO, ONE_THREAD);
        Binding binding = session.binding();
        Arena held = Arena.ofConfined()) {
      MemorySegment where = arena.allocate(JAVA_LONG, 2);
      binding.bindInput("x", Tensor.float32(floats(0, 7, 8), 3));
      binding.bindOutputToDevice("where");
      binding.run();
      binding.bindOutput("where", Tensor.int64(where, 1, 2));
      binding.run();
      assertArrayEquals(new long[] {1, 2}, where.toArray(JAVA_LONG));
      assertEquals(Map.of(), binding.outputs(held));
      assertEquals(
          "output 'where' of nonzero is not left to ONNX Runtime: bindOutputToDevice(\"where\")"
              + " does",
          assertThrows(IllegalStateException.class, () -> binding.output("where", held))
              .getMessage());
      binding.bindOutputToDevice("where");
      binding.run();
      assertEquals(Shape.of(1, 2), binding.output("where", held).shape());
    }
  }

  @Test
  void namesAndTypesAndShapesAreCheckedWhenTheyAreBound() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      MemorySegment four = floats(1, 2, 3, 4);
      assertEquals(
          "sum has no input 'c'; it has [a, b]",
          TestRuntime.refusal(() -> binding.bindInput("c", Tensor.float32(four, 2, 2))));
      assertEquals(
          "sum has no output 'a'; it has [sum, loss]",
          TestRuntime.refusal(() -> binding.bindOutputToDevice("a")));
      assertEquals(
          "cannot bind input 'a' of sum to int32[2, 2]: the model declares float32[rows, 2]",
          TestRuntime.refusal(() -> binding.bindInput("a", Tensor.int32(four, 2, 2))));
      assertEquals(
          "cannot bind input 'a' of sum to float32[4]: the model declares float32[rows, 2]",
          TestRuntime.refusal(() -> binding.bindInput("a", Tensor.float32(four, 4))));
      assertEquals(
          "cannot bind output 'sum' of sum to float32[1, 4]: the model declares float32[rows, 2]",
          TestRuntime.refusal(() -> binding.bindOutput("sum", Tensor.float32(four, 1, 4))));
      assertEquals(
          "cannot bind output 'sum' of sum: the memory is read-only",
          TestRuntime.refusal(
              () -> binding.bindOutput("sum", Tensor.float32(four.asReadOnly(), 2, 2))));
    }
  }

  @Test
  void aBufferOfOneElementIsNoScalar() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      String message =
          TestRuntime.refusal(() -> binding.bindOutput("loss", Tensor.float32(floats(0), 1)));
      assertTrue(
          message.startsWith(
              "cannot bind output 'loss' of sum to float32[1]: the model declares float32[], a"),
          message);
    }
  }

  @Test
  void whatIsMissingIsNamedBeforeTheRun() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      MemorySegment two = floats(1, 2);
      assertEquals(
          "running sum: nothing is bound to input 'a' float32[rows, 2], 'b' float32[rows, 2]",
          TestRuntime.refusal(binding::run));
      binding.bindInput("a", Tensor.float32(two, 1, 2));
      assertEquals(
          "running sum: nothing is bound to input 'b' float32[rows, 2]",
          TestRuntime.refusal(binding::run));
      binding.bindInput("b", Tensor.float32(two, 1, 2));
      assertEquals(
          "running sum: no output is bound; it has [sum, loss]", TestRuntime.refusal(binding::run));
    }
  }

  @Test
  void dimensionsOfTheSameNameMustAgree() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      binding.bindInput("a", Tensor.float32(floats(1, 2), 1, 2));
      binding.bindInput("b", Tensor.float32(floats(1, 2, 3, 4), 2, 2));
      binding.bindOutputToDevice("loss");
      assertEquals(
          "running sum: dimension 'rows' is 1 in input 'a' of sum but 2 in input 'b' of sum"
              + " (float32[2, 2])",
          TestRuntime.refusal(binding::run));
      binding.bindInput("a", Tensor.float32(floats(1, 2, 3, 4), 2, 2));
      binding.run();
      binding.bindOutput("sum", Tensor.float32(floats(0, 0), 1, 2));
      assertTrue(TestRuntime.refusal(binding::run).contains("'rows' is 2 in input 'a'"));
    }
  }

  @Test
  void memoryThatHasBeenClosedIsNotRead() {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        Binding binding = session.binding()) {
      binding.bindInput("b", Tensor.float32(floats(1, 2), 1, 2));
      binding.bindOutputToDevice("sum");
      try (Arena shorter = Arena.ofConfined()) {
        binding.bindInput("a", Tensor.float32(shorter.allocate(8, 4), 1, 2));
        binding.run();
      }
      assertEquals(
          "the memory bound to input 'a' of sum has been closed",
          assertThrows(IllegalStateException.class, binding::run).getMessage());
    }
  }

  @Test
  void aFailureInsideARunIsReportedWithTheModelAndTheNode() {
    byte[] model =
        new OnnxModel()
            .input("table", ElementType.FLOAT32, 4)
            .input("index", ElementType.INT64, 1)
            .output("y", ElementType.FLOAT32, 1)
            .node("Gather", List.of("table", "index"), List.of("y"))
            .encode();
    try (Session session = runtime.session("lookup", model, ONE_THREAD);
        Binding binding = session.binding()) {
      MemorySegment index = arena.allocateFrom(JAVA_LONG, 9);
      MemorySegment y = arena.allocate(JAVA_FLOAT, 1);
      binding.bindInput("table", Tensor.float32(floats(1, 2, 3, 4), 4));
      binding.bindInput("index", Tensor.int64(index, 1));
      binding.bindOutput("y", Tensor.float32(y, 1));
      String message = TestRuntime.refusal(binding::run);
      assertTrue(message.startsWith("running lookup failed: "), message);
      assertTrue(message.contains("Gather to y"), message);
      index.set(JAVA_LONG, 0, 2);
      binding.run();
      assertEquals(3, y.get(JAVA_FLOAT, 0));
    }
  }

  @Test
  void severalThreadsRunOneSessionWithTheirOwnBindings() throws Exception {
    try (Session session = runtime.session("sum", SUM, ONE_THREAD);
        var threads = Executors.newFixedThreadPool(8)) {
      List<Callable<Boolean>> workers = new ArrayList<>();
      for (int worker = 0; worker < 8; worker++) {
        int number = worker;
        workers.add(
            () -> {
              try (Arena own = Arena.ofConfined();
                  Binding binding = session.binding()) {
                MemorySegment a = own.allocate(JAVA_FLOAT, 2);
                MemorySegment b = own.allocate(JAVA_FLOAT, 2);
                MemorySegment sum = own.allocate(JAVA_FLOAT, 2);
                binding.bindInput("a", Tensor.float32(a, 1, 2));
                binding.bindInput("b", Tensor.float32(b, 1, 2));
                binding.bindOutput("sum", Tensor.float32(sum, 1, 2));
                for (int i = 0; i < 2000; i++) {
                  a.set(JAVA_FLOAT, 0, number * 10_000);
                  b.set(JAVA_FLOAT, 0, i);
                  binding.run();
                  if (sum.get(JAVA_FLOAT, 0) != number * 10_000 + i) {
                    return false;
                  }
                }
                return true;
              }
            });
      }
      for (var worker : threads.invokeAll(workers)) {
        assertTrue(worker.get(), "a thread read another thread's sum");
      }
    }
  }

  @Test
  void aSessionClosedByOneThreadStopsTheOthersOrderly() throws Exception {
    try (var threads = Executors.newFixedThreadPool(4)) {
      for (int round = 0; round < 20; round++) {
        Session session = runtime.session("sum", SUM, ONE_THREAD);
        List<Binding> bindings = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          Binding binding = session.binding();
          binding.bindInput("a", Tensor.float32(floats(1, 2), 1, 2));
          binding.bindInput("b", Tensor.float32(floats(1, 2), 1, 2));
          binding.bindOutput("sum", Tensor.float32(floats(1, 2), 1, 2));
          bindings.add(binding);
        }
        var stopped =
            bindings.stream()
                .map(
                    binding ->
                        threads.submit(
                            () -> {
                              while (true) {
                                binding.run();
                              }
                            }))
                .toList();
        Thread.sleep(2);
        session.close();
        for (var thread : stopped) {
          var cause = assertThrows(ExecutionException.class, thread::get).getCause();
          assertInstanceOf(IllegalStateException.class, cause);
        }
      }
    }
  }
}
