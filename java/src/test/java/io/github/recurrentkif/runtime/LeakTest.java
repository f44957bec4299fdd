package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Counts what ONNX Runtime hands out and gets back, by a small library that stands between: exact,
 * where the memory of a Java process moves by more than any leak.
 */
class LeakTest {

  private enum Kind {
    ENV,
    STATUS,
    MEMORY_INFO,
    SESSION_OPTIONS,
    SESSION,
    BINDING,
    VALUE,
    TYPE,
    TENSOR_TYPE_AND_SHAPE,
    ALLOCATED,
    NOTHING
  }

  /** What a successful call leaves the caller to give back, or takes back. */
  private static Kind kind(OrtFunction function) {
    return switch (function) {
      case CREATE_ENV, RELEASE_ENV -> Kind.ENV;
      case RELEASE_STATUS -> Kind.STATUS;
      case CREATE_CPU_MEMORY_INFO, RELEASE_MEMORY_INFO -> Kind.MEMORY_INFO;
      case CREATE_SESSION_OPTIONS, RELEASE_SESSION_OPTIONS -> Kind.SESSION_OPTIONS;
      case CREATE_SESSION, CREATE_SESSION_FROM_ARRAY, RELEASE_SESSION -> Kind.SESSION;
      case CREATE_BINDING, RELEASE_BINDING -> Kind.BINDING;
      case CREATE_TENSOR_WITH_DATA, RELEASE_VALUE -> Kind.VALUE;
      case SESSION_GET_INPUT_TYPE, SESSION_GET_OUTPUT_TYPE, RELEASE_TYPE -> Kind.TYPE;
      case GET_TENSOR_TYPE_AND_SHAPE, RELEASE_TENSOR_TYPE_AND_SHAPE -> Kind.TENSOR_TYPE_AND_SHAPE;
      case SESSION_GET_INPUT_NAME,
          SESSION_GET_OUTPUT_NAME,
          GET_BOUND_OUTPUT_VALUES,
          SESSION_END_PROFILING,
          ALLOCATOR_FREE ->
          Kind.ALLOCATED;
      default -> Kind.NOTHING;
    };
  }

  /** The real table with a counter before every function; arguments are passed on as they came. */
  private static String countingLibrary(Path real) {
    StringBuilder source =
        new StringBuilder(
            """
            #include <dlfcn.h>
            #include <string.h>
            typedef long long L;
            typedef void* (*Function)(L, L, L, L, L, L, L);
            typedef struct { const Function* (*api)(unsigned); const char* (*version)(void); } Base;
            static Function table[%d];
            static const Function* real;
            #define COUNTER(kind) L taken_##kind, returned_##kind;
            #define COUNT(counter, n) __atomic_add_fetch(&counter, n, __ATOMIC_SEQ_CST)
            %s
            #define MAKES(place, kind) static void* f##place(L a, L b, L c, L d, L e, L f, L g) { \
              void* status = real[place](a, b, c, d, e, f, g); \
              if (status) COUNT(taken_STATUS, 1); else COUNT(taken_##kind, 1); \
              return status; }
            #define TAKES_BACK(place, kind, object) \
              static void* f##place(L a, L b, L c, L d, L e, L f, L g) { \
              if (object) COUNT(returned_##kind, 1); \
              return real[place](a, b, c, d, e, f, g); }
            #define MAKES_VALUES(place, kind) \
              static void* f##place(L a, L b, L c, L d, L e, L f, L g) { \
              void* status = real[place](a, b, c, d, e, f, g); \
              if (status) COUNT(taken_STATUS, 1); else { COUNT(taken_##kind, 1); COUNT(taken_VALUE, *(L*) d); } \
              return status; }
            """
                .formatted(
                    OrtFunction.tableLength(),
                    Arrays.stream(Kind.values())
                        .map(kind -> "COUNTER(" + kind + ")")
                        .collect(Collectors.joining("\n"))));
    StringBuilder entries = new StringBuilder();
    for (OrtFunction function : OrtFunction.values()) {
      if (function == OrtFunction.GET_ERROR_MESSAGE) {
        continue;
      }
      String arguments = "(" + function.place() + ", " + kind(function);
      source.append(
          switch (function) {
            case GET_BOUND_OUTPUT_VALUES -> "MAKES_VALUES" + arguments + ")\n";
            case ALLOCATOR_FREE -> "TAKES_BACK" + arguments + ", b)\n";
            default ->
                function.name().startsWith("RELEASE_")
                    ? "TAKES_BACK" + arguments + ", a)\n"
                    : "MAKES" + arguments + ")\n";
          });
      entries.append("  table[%1$d] = f%1$d;\n".formatted(function.place()));
    }
    return source
        + """
        static const Base* base(void) {
          void* library = dlopen("%s", RTLD_NOW);
          const Base* (*get)(void) = (const Base* (*)(void)) dlsym(library, "OrtGetApiBase");
          return get();
        }
        static const Function* api(unsigned version) {
          real = base()->api(version);
          memcpy(table, real, sizeof table);
        %s  return table;
        }
        static const char* version(void) { return base()->version(); }
        const Base* OrtGetApiBase(void) { static const Base counting = {api, version}; return &counting; }
        """
            .formatted(real, entries);
  }

  @TempDir Path folder;

  @Test
  void whateverIsTakenFromOnnxRuntimeIsGivenBackOnce() throws Exception {
    Path real;
    try (OnnxRuntime runtime = TestRuntime.load()) {
      real = runtime.libraryPath();
    }
    Path counting = CLibrary.compile(folder, "counting", countingLibrary(real));
    int rounds = 1000;
    try (OnnxRuntime runtime = OnnxRuntime.load(counting);
        Arena arena = Arena.ofShared()) {
      for (int i = 0; i < rounds; i++) {
        useEverything(runtime, arena);
      }
    }
    SymbolLookup symbols = SymbolLookup.libraryLookup(counting, Arena.global());
    for (Kind kind : Kind.values()) {
      long taken = counter(symbols, "taken_" + kind);
      if (kind != Kind.NOTHING) {
        assertEquals(taken, counter(symbols, "returned_" + kind), kind + " taken and given back");
      }
      switch (kind) {
        case ENV, MEMORY_INFO -> assertEquals(1, taken);
        default -> assertTrue(taken >= rounds, kind + " was counted " + taken + " times");
      }
    }
  }

  private static long counter(SymbolLookup symbols, String name) {
    return symbols.findOrThrow(name).reinterpret(JAVA_LONG.byteSize()).get(JAVA_LONG, 0);
  }

  private void useEverything(OnnxRuntime runtime, Arena arena) {
    OnnxModel model =
        new OnnxModel()
            .input("x", ElementType.FLOAT32, "length")
            .input("index", ElementType.INT64, 1)
            .output("where", ElementType.INT64, 1, "count")
            .output("same", ElementType.FLOAT32, "length")
            .output("picked", ElementType.FLOAT32, 1)
            .node("NonZero", List.of("x"), List.of("where"))
            .node("Add", List.of("x", "x"), List.of("same"))
            .node("Gather", List.of("w", "index"), List.of("picked"))
            .externalInitializer("w", ".", 0, 8, 2);
    MemorySegment weight = arena.allocate(JAVA_FLOAT, 2);
    MemorySegment index = arena.allocate(JAVA_LONG);
    MemorySegment x = arena.allocate(JAVA_FLOAT, 8);
    SessionOptions options =
        SessionOptions.builder()
            .intraOpThreads(1)
            .externalDataFolder(folder)
            .initializer("w", Tensor.float32(weight, 2))
            .build();
    try (Session session = runtime.session("model", model.encode(), options)) {
      for (int b = 0; b < 3; b++) {
        Binding binding = session.binding();
        binding.bindInput("index", Tensor.int64(index, 1));
        binding.bindOutput("picked", Tensor.float32(arena.allocate(JAVA_FLOAT), 1));
        for (int length = 1; length <= 4; length++) {
          MemorySegment part = x.asSlice(0, length * JAVA_FLOAT.byteSize());
          binding.bindInput("x", Tensor.float32(part, length));
          binding.bindOutput("same", Tensor.float32(part, length));
          binding.bindOutputToDevice("where");
          binding.run();
          try (Arena held = Arena.ofConfined()) {
            assertEquals(1, binding.outputs(held).size());
            assertEquals(ElementType.INT64, binding.output("where", held).type());
            assertThrows(IllegalStateException.class, () -> binding.output("same", held));
          }
        }
        index.set(JAVA_LONG, 0, 99);
        assertThrows(OnnxRuntimeException.class, binding::run);
        index.set(JAVA_LONG, 0, 0);
        if (b > 0) { // the first is closed by its session
          binding.close();
          binding.close();
        }
      }
    }
    assertThrows(
        OnnxRuntimeException.class, () -> runtime.session("noise", new byte[] {1, 2, 3}, options));
    assertThrows(
        OnnxRuntimeException.class,
        () ->
            runtime.session(
                "option",
                model.encode(),
                SessionOptions.builder().configEntry("", "no key").build()));
  }
}
