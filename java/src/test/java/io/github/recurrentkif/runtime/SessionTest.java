package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.runtime.SessionOptions.Optimization;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SessionTest {

  private static final int WIDTH = 64;
  private static final long WEIGHT_BYTES = (long) WIDTH * WIDTH * Float.BYTES;

  @SuppressWarnings("NullAway.Init") // set before any test
  private static OnnxRuntime runtime;

  @TempDir Path folder;

  @BeforeAll
  static void load() {
    runtime = TestRuntime.load();
  }

  @AfterAll
  static void close() {
    runtime.close();
  }

  private static OnnxModel product() {
    return new OnnxModel()
        .input("x", ElementType.FLOAT32, "rows", WIDTH)
        .output("y", ElementType.FLOAT32, "rows", WIDTH)
        .node("MatMul", List.of("x", "w"), List.of("y"));
  }

  private static OnnxModel productOfExternal(String location) {
    return product().externalInitializer("w", location, 0, WEIGHT_BYTES, WIDTH, WIDTH);
  }

  /** x is all ones, so that y is the column sums of w; returns the first. */
  private static float run(Session session) {
    try (Binding binding = session.binding();
        Arena arena = Arena.ofConfined()) {
      return new Ones(binding, arena).run();
    }
  }

  private static final class Ones {
    private final Binding binding;
    private final MemorySegment y;

    Ones(Binding binding, Arena arena) {
      this.binding = binding;
      MemorySegment x = arena.allocate(JAVA_FLOAT, WIDTH);
      this.y = arena.allocate(JAVA_FLOAT, WIDTH);
      for (int i = 0; i < WIDTH; i++) {
        x.setAtIndex(JAVA_FLOAT, i, 1);
      }
      binding.bindInput("x", Tensor.float32(x, 1, WIDTH));
      binding.bindOutput("y", Tensor.float32(y, 1, WIDTH));
    }

    float run() {
      binding.run();
      return y.get(JAVA_FLOAT, 0);
    }
  }

  private static MemorySegment weights(Arena arena, float firstOfDiagonal) {
    MemorySegment weights = arena.allocate(WEIGHT_BYTES, 64);
    weights.set(JAVA_FLOAT, 0, firstOfDiagonal);
    return weights;
  }

  private SessionOptions.Builder given(MemorySegment weights) {
    return SessionOptions.builder()
        .externalDataFolder(folder)
        .initializer("w", Tensor.float32(weights, WIDTH, WIDTH));
  }

  @Test
  void inputsAndOutputsAreAsTheModelDeclaresThem() {
    byte[] model =
        new OnnxModel()
            .input("ids", ElementType.INT64, "batch", "length")
            .input("free", ElementType.FLOAT32, "", 3)
            .input("scale", ElementType.FLOAT32)
            .input("mask", ElementType.BOOL, 2)
            .output("ids2", ElementType.INT64, "batch", "length")
            .output("free2", ElementType.FLOAT32, "", 3)
            .output("scale2", ElementType.FLOAT32)
            .output("mask2", ElementType.BOOL, 2)
            .node("Identity", List.of("ids"), List.of("ids2"))
            .node("Identity", List.of("free"), List.of("free2"))
            .node("Identity", List.of("scale"), List.of("scale2"))
            .node("Identity", List.of("mask"), List.of("mask2"))
            .encode();
    try (Session session = runtime.session("all kinds", model, SessionOptions.defaults())) {
      assertEquals(
          "{ids=int64[batch, length], free=float32[?, 3], scale=float32[], mask=bool[2]}",
          session.inputs().toString());
      assertEquals(
          List.of("ids2", "free2", "scale2", "mask2"), List.copyOf(session.outputs().keySet()));
      assertEquals(
          List.of(-1L, 3L), Objects.requireNonNull(session.inputs().get("free")).dimensions());
    }
  }

  @Test
  void aModelOpensFromAFileAndFromMemoryAlike() throws IOException {
    float[] weights = new float[WIDTH * WIDTH];
    weights[0] = 3;
    byte[] model = product().initializer("w", weights, WIDTH, WIDTH).encode();
    Path file = Files.write(folder.resolve("gemäß.onnx"), model);
    try (Session fromFile = runtime.session(file, SessionOptions.defaults());
        Session fromMemory = runtime.session("memory", model, SessionOptions.defaults())) {
      assertEquals(3, run(fromFile));
      assertEquals(3, run(fromMemory));
    }
  }

  @Test
  void allOptionsTogetherStillGiveTheSameResult() {
    float[] weights = new float[WIDTH * WIDTH];
    weights[0] = 3;
    byte[] model = product().initializer("w", weights, WIDTH, WIDTH).encode();
    for (Optimization level : Optimization.values()) {
      SessionOptions options =
          SessionOptions.builder()
              .intraOpThreads(2)
              .optimization(level)
              .memoryPattern(false)
              .cpuArena(false)
              .prepacking(false)
              .spinning(false)
              .configEntry("session.set_denormal_as_zero", "1")
              .build();
      try (Session session = runtime.session("options", model, options)) {
        assertEquals(3, run(session));
      }
    }
  }

  @Test
  void weightsGivenAsMemoryNeedNoFile() {
    try (Arena arena = Arena.ofShared()) {
      for (Optimization level : Optimization.values()) {
        try (Session session =
            runtime.session(
                "given",
                productOfExternal(".").encode(),
                given(weights(arena, 2))
                    .initializer("not in the model", Tensor.float32(weights(arena, 2), 4096))
                    .optimization(level)
                    .build())) {
          assertEquals(2, run(session));
        }
      }
    }
  }

  @Test
  void weightsGivenAsMemoryServeAModelInAFileToo() throws IOException {
    Path file = Files.write(folder.resolve("model.onnx"), productOfExternal(".").encode());
    try (Arena arena = Arena.ofShared();
        Session session =
            runtime.session(
                file,
                SessionOptions.builder()
                    .initializer("w", Tensor.float32(weights(arena, 2), WIDTH, WIDTH))
                    .build())) {
      assertEquals(2, run(session));
    }
  }

  @Test
  void withoutPrepackingLaterWritesToTheWeightsCount() {
    assertEquals(5, resultAfterWriting(false));
  }

  @Test
  void withPrepackingLaterWritesToTheWeightsDoNotCount() {
    assertEquals(2, resultAfterWriting(true));
  }

  private float resultAfterWriting(boolean prepacking) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment weights = weights(arena, 2);
      try (Session session =
              runtime.session(
                  "given",
                  productOfExternal(".").encode(),
                  given(weights).prepacking(prepacking).build());
          Binding binding = session.binding()) {
        Ones ones = new Ones(binding, arena);
        assertEquals(2, ones.run());
        weights.set(JAVA_FLOAT, 0, 5);
        return ones.run();
      }
    }
  }

  @Test
  void aWeightThatIsNotGivenFailsTheOpening() {
    String e =
        TestRuntime.refusal(
            () ->
                runtime.session(
                    "forgotten",
                    productOfExternal(".").encode(),
                    SessionOptions.builder().externalDataFolder(folder).build()));
    assertTrue(e.startsWith("opening model forgotten failed: "), e);
  }

  @Test
  void aWeightThatARewriteWouldReadFailsTheOpeningUnlessRewritesAreOff() {
    OnnxModel folded =
        new OnnxModel()
            .node("Transpose", List.of("w"), List.of("transposed"))
            .node("MatMul", List.of("x", "transposed"), List.of("y"))
            .externalInitializer("w", ".", 0, WEIGHT_BYTES, WIDTH, WIDTH);
    OnnxModel single =
        new OnnxModel()
            .node("Add", List.of("x", "w"), List.of("y"))
            .externalInitializer("w", ".", 0, Float.BYTES, 1);
    try (Arena arena = Arena.ofShared()) {
      MemorySegment weights = weights(arena, 2);
      opensOnlyWithoutRewrites(folded, 2, Tensor.float32(weights, WIDTH, WIDTH));
      opensOnlyWithoutRewrites(single, 3, Tensor.float32(weights.asSlice(0, 4), 1));
    }
  }

  private void opensOnlyWithoutRewrites(OnnxModel nodes, float result, Tensor weight) {
    byte[] model =
        nodes
            .input("x", ElementType.FLOAT32, "rows", WIDTH)
            .output("y", ElementType.FLOAT32, "rows", WIDTH)
            .encode();
    SessionOptions.Builder options =
        SessionOptions.builder().externalDataFolder(folder).initializer("w", weight);
    assertThrows(
        OnnxRuntimeException.class, () -> runtime.session("rewritten", model, options.build()));
    try (Session session =
        runtime.session("plain", model, options.optimization(Optimization.NONE).build())) {
      assertEquals(result, run(session));
    }
  }

  @Test
  void aWeightDeclaredElsewhereMustExistEvenWhenItIsGiven() {
    try (Arena arena = Arena.ofShared()) {
      String missing =
          TestRuntime.refusal(
              () ->
                  runtime.session(
                      "missing",
                      productOfExternal("missing.bin").encode(),
                      given(weights(arena, 2)).build()));
      assertTrue(missing.contains("missing.bin"), missing);
      assertThrows(
          OnnxRuntimeException.class,
          () ->
              runtime.session(
                  "no data",
                  product().initializerWithoutData("w", WIDTH, WIDTH).encode(),
                  given(weights(arena, 2)).build()));
    }
  }

  @Test
  void anExternalWeightIsReadFromTheFolderNamed() throws IOException {
    byte[] file = new byte[(int) WEIGHT_BYTES];
    MemorySegment.ofArray(file).set(JAVA_FLOAT.withByteAlignment(1), 0, 7);
    Files.write(folder.resolve("weights.bin"), file);
    try (Session session =
        runtime.session(
            "external",
            productOfExternal("weights.bin").encode(),
            SessionOptions.builder().externalDataFolder(folder).build())) {
      assertEquals(7, run(session));
    }
  }

  @Test
  void aModelThatIsNotThereOrNoModelIsNamed() {
    String missing =
        TestRuntime.refusal(
            () -> runtime.session(folder.resolve("none.onnx"), SessionOptions.defaults()));
    assertEquals("no model at " + folder.resolve("none.onnx"), missing);
    String broken =
        TestRuntime.refusal(
            () -> runtime.session("noise", new byte[] {1, 2, 3}, SessionOptions.defaults()));
    assertTrue(broken.startsWith("opening model noise failed: "), broken);
    assertThrows(
        OnnxRuntimeException.class,
        () -> runtime.session("empty", new byte[0], SessionOptions.defaults()));
  }

  @Test
  void anOperatorThatDoesNotExistIsNamed() {
    byte[] model =
        new OnnxModel()
            .input("x", ElementType.FLOAT32, 1)
            .output("y", ElementType.FLOAT32, 1)
            .node("Frobnicate", List.of("x"), List.of("y"))
            .encode();
    String e = TestRuntime.refusal(() -> runtime.session("odd", model, SessionOptions.defaults()));
    assertTrue(e.contains("Frobnicate"), e);
  }

  @Test
  void anOptionThatIsRefusedIsNamed() {
    String e =
        TestRuntime.refusal(
            () ->
                runtime.session(
                    "options",
                    product().encode(),
                    SessionOptions.builder().configEntry("", "1").build()));
    assertTrue(e.startsWith("setting  = 1 for options failed"), e);
  }

  @Test
  void aLibraryOfCustomOperatorsIsAskedToRegisterThem() throws Exception {
    Path library =
        CLibrary.compile(
            folder,
            "operators",
            """
            typedef struct { const void* (*api)(unsigned); } Base;
            typedef void* (*CreateStatus)(int, const char*);
            void* RegisterCustomOps(void* options, const Base* base) {
              CreateStatus create = *(CreateStatus*) base->api(24);
              return create(1, options ? "these operators refuse" : "no options");
            }
            """);
    String refused =
        TestRuntime.refusal(
            () ->
                runtime.session(
                    "custom",
                    product().encode(),
                    SessionOptions.builder().customOperatorLibraries(List.of(library)).build()));
    assertEquals(
        "registering the operators of " + library + " for custom failed: these operators refuse",
        refused);
    String missing =
        TestRuntime.refusal(
            () ->
                runtime.session(
                    "custom",
                    product().encode(),
                    SessionOptions.builder()
                        .customOperatorLibraries(List.of(folder.resolve("none.so")))
                        .build()));
    assertTrue(missing.contains("none.so"), missing);
  }

  @Test
  void aProfileNamesTheOperatorsThatRan() throws IOException {
    float[] weights = new float[WIDTH * WIDTH];
    byte[] model = product().initializer("w", weights, WIDTH, WIDTH).encode();
    SessionOptions options =
        SessionOptions.builder().profilePrefix(folder.resolve("profile")).build();
    try (Session session = runtime.session("profiled", model, options)) {
      run(session);
      Path profile = session.endProfiling();
      assertTrue(profile.startsWith(folder), profile.toString());
      assertTrue(Files.readString(profile).contains("\"op_name\" : \"MatMul\""));
      assertThrows(IllegalStateException.class, session::endProfiling);
    }
    try (Session session = runtime.session("unprofiled", model, SessionOptions.defaults())) {
      assertThrows(IllegalStateException.class, session::endProfiling);
    }
  }

  @Test
  void closingTwiceIsHarmlessAndAClosedSessionRefusesWork() {
    Session session =
        runtime.session(
            "closed",
            product().initializer("w", new float[WIDTH * WIDTH], WIDTH, WIDTH).encode(),
            SessionOptions.defaults());
    Binding binding = session.binding();
    session.close();
    session.close();
    binding.close();
    assertThrows(IllegalStateException.class, session::binding);
    assertThrows(IllegalStateException.class, binding::run);
    assertThrows(IllegalStateException.class, session::endProfiling);
  }

  @Test
  void closingTheRuntimeClosesItsSessions() {
    OnnxRuntime own = TestRuntime.load();
    Session session =
        own.session(
            "closed",
            product().initializer("w", new float[WIDTH * WIDTH], WIDTH, WIDTH).encode(),
            SessionOptions.defaults());
    own.close();
    own.close();
    assertThrows(IllegalStateException.class, session::binding);
    assertThrows(
        IllegalStateException.class,
        () -> own.session("late", product().encode(), SessionOptions.defaults()));
  }

  @Test
  void optionsKeepTheirOwnCopies() {
    SessionOptions options = SessionOptions.builder().configEntry("a", "b").build();
    assertThrows(UnsupportedOperationException.class, () -> options.configEntries().put("c", "d"));
    assertEquals(Map.of("a", "b"), options.configEntries());
    assertThrows(
        IllegalArgumentException.class, () -> SessionOptions.builder().intraOpThreads(-1).build());
  }
}
