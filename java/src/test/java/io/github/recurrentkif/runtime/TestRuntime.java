package io.github.recurrentkif.runtime;

import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.recurrentkif.memory.CacheFolder;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.function.Executable;

/** The runtime out of the jar, extracted below the build folder rather than for this user. */
final class TestRuntime {

  static final CacheFolder CACHE =
      new CacheFolder(Path.of("target", "test-cache").toAbsolutePath());

  private TestRuntime() {}

  static OnnxRuntime load() {
    return OnnxRuntime.load(null, Map.of(), CACHE);
  }

  /** What the exception says that this must throw. */
  static String refusal(Executable action) {
    return String.valueOf(assertThrows(OnnxRuntimeException.class, action).getMessage());
  }
}
