package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import java.util.NoSuchElementException;

/**
 * The functions of one ONNX Runtime library as Java calls: one {@code invoke} for each list of
 * argument types that occurs in {@link OrtFunction}.
 */
final class OrtApi {

  /** The version of the C interface that is asked for; ONNX Runtime 1.24 is the first with it. */
  static final int VERSION = 24;

  private static final boolean WIDE_PATHS = System.getProperty("os.name").startsWith("Windows");

  private final String version;
  private final MemorySegment table;
  private final Map<OrtFunction, MethodHandle> handles = new EnumMap<>(OrtFunction.class);

  /**
   * Tells the library, before it is loaded, to gather and send nothing about its use: from 1.29 on
   * its Linux builds otherwise keep a database of that in the user's cache folder, and can crash on
   * it. A choice of the user's own in the environment stays.
   */
  private static void disableTelemetry(Linker linker) {
    linker
        .defaultLookup()
        .find("setenv")
        .ifPresent(
            setenv -> {
              try (Arena arena = Arena.ofConfined()) {
                int failed =
                    (int)
                        linker
                            .downcallHandle(
                                setenv, FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT))
                            .invokeExact(
                                arena.allocateFrom("ORT_DISABLE_TELEMETRY"),
                                arena.allocateFrom("1"),
                                0);
                if (failed != 0) {
                  throw new OnnxRuntimeException("ORT_DISABLE_TELEMETRY cannot be set");
                }
              } catch (RuntimeException | Error e) {
                throw e;
              } catch (Throwable e) {
                throw new AssertionError("a C function throws nothing", e);
              }
            });
  }

  /**
   * Loads the library, which stays loaded until the process ends: to unload a library that may
   * still own threads is to crash.
   *
   * @throws OnnxRuntimeException if the file cannot be loaded, is no ONNX Runtime, or is too old
   */
  OrtApi(RuntimeLibrary library) {
    Linker linker = Linker.nativeLinker();
    disableTelemetry(linker);
    MemorySegment getBase;
    try {
      getBase =
          SymbolLookup.libraryLookup(library.path(), Arena.global()).findOrThrow("OrtGetApiBase");
    } catch (IllegalArgumentException e) {
      throw new OnnxRuntimeException(
          "cannot load "
              + library.path()
              + " ("
              + library.explanation()
              + "): wrong machine or a library it needs is missing: "
              + e.getMessage(),
          e);
    } catch (NoSuchElementException e) {
      throw new OnnxRuntimeException(
          library.path() + " (" + library.explanation() + ") is not an ONNX Runtime library", e);
    }
    try {
      MemorySegment base =
          ((MemorySegment)
                  linker.downcallHandle(getBase, FunctionDescriptor.of(ADDRESS)).invokeExact())
              .reinterpret(2 * ADDRESS.byteSize());
      MethodHandle getApi =
          linker.downcallHandle(
              base.getAtIndex(ADDRESS, 0), FunctionDescriptor.of(ADDRESS, JAVA_INT));
      MethodHandle getVersion =
          linker.downcallHandle(base.getAtIndex(ADDRESS, 1), FunctionDescriptor.of(ADDRESS));
      version = string((MemorySegment) getVersion.invokeExact());
      MemorySegment api = (MemorySegment) getApi.invokeExact(VERSION);
      if (isNull(api)) {
        throw new OnnxRuntimeException(
            "ONNX Runtime %s at %s (%s) is too old: 1.%d or later is needed"
                .formatted(version, library.path(), library.explanation(), VERSION));
      }
      table = api.reinterpret(OrtFunction.tableLength() * ADDRESS.byteSize());
    } catch (Throwable e) {
      throw rethrown(e);
    }
    for (OrtFunction function : OrtFunction.values()) {
      handles.put(function, linker.downcallHandle(pointer(function), function.descriptor()));
    }
  }

  /** Of the library, such as 1.29.0. */
  String version() {
    return version;
  }

  /** Where the library has that function. */
  MemorySegment pointer(OrtFunction function) {
    return table.getAtIndex(ADDRESS, function.place());
  }

  /**
   * @throws OnnxRuntimeException if the status is an error, with what we were doing and the words
   *     of ONNX Runtime; the status is released
   */
  void check(MemorySegment status, String doing) {
    if (isNull(status)) {
      return;
    }
    String words = string(invoke(OrtFunction.GET_ERROR_MESSAGE, status)).strip();
    release(OrtFunction.RELEASE_STATUS, status);
    throw new OnnxRuntimeException(doing + " failed: " + words);
  }

  void release(OrtFunction function, MemorySegment object) {
    try {
      handle(function).invokeExact(object);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(OrtFunction function, MemorySegment a) {
    try {
      return (MemorySegment) handle(function).invokeExact(a);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(OrtFunction function, MemorySegment a, MemorySegment b) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(OrtFunction function, MemorySegment a, MemorySegment b, MemorySegment c) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(
      OrtFunction function, MemorySegment a, MemorySegment b, MemorySegment c, MemorySegment d) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c, d);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(OrtFunction function, MemorySegment a, int b) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(OrtFunction function, int a, int b, MemorySegment c) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(OrtFunction function, int a, MemorySegment b, MemorySegment c) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(
      OrtFunction function, MemorySegment a, int b, int c, int d, MemorySegment e) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c, d, e);
    } catch (Throwable thrown) {
      throw rethrown(thrown);
    }
  }

  MemorySegment invoke(OrtFunction function, MemorySegment a, long b, MemorySegment c) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(OrtFunction function, MemorySegment a, MemorySegment b, long c) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(
      OrtFunction function, MemorySegment a, MemorySegment b, MemorySegment c, long d) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c, d);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(
      OrtFunction function, MemorySegment a, long b, MemorySegment c, MemorySegment d) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c, d);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  MemorySegment invoke(
      OrtFunction function,
      MemorySegment a,
      MemorySegment b,
      long c,
      MemorySegment d,
      MemorySegment e) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c, d, e);
    } catch (Throwable thrown) {
      throw rethrown(thrown);
    }
  }

  MemorySegment invoke(
      OrtFunction function,
      MemorySegment a,
      MemorySegment b,
      long c,
      MemorySegment d,
      long e,
      int f,
      MemorySegment g) {
    try {
      return (MemorySegment) handle(function).invokeExact(a, b, c, d, e, f, g);
    } catch (Throwable thrown) {
      throw rethrown(thrown);
    }
  }

  private MethodHandle handle(OrtFunction function) {
    MethodHandle handle = handles.get(function);
    if (handle == null) {
      throw new IllegalStateException(function.name());
    }
    return handle;
  }

  /** Foreign calls declare Throwable, but only the programmer's errors come out of them. */
  private static RuntimeException rethrown(Throwable thrown) {
    return switch (thrown) {
      case RuntimeException e -> e;
      case Error e -> throw e;
      default -> new IllegalStateException(thrown);
    };
  }

  static boolean isNull(MemorySegment pointer) {
    return pointer.address() == 0;
  }

  /** Copies a zero-terminated string that ONNX Runtime owns. */
  static String string(MemorySegment pointer) {
    return pointer.reinterpret(Long.MAX_VALUE).getString(0);
  }

  /** A path as ONNX Runtime takes it: wide characters on Windows, UTF-8 elsewhere. */
  static MemorySegment path(Path path, Arena arena) {
    return arena.allocateFrom(
        path.toString(), WIDE_PATHS ? StandardCharsets.UTF_16LE : StandardCharsets.UTF_8);
  }
}
