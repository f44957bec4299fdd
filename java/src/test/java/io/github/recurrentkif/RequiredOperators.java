package io.github.recurrentkif;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.runtime.OperatorLibrary;
import java.util.Map;

/** Our operators for ONNX Runtime, as the build made them. */
public final class RequiredOperators {

  private RequiredOperators() {}

  /** The library, without which the test is skipped, unless the build had a compiler. */
  public static OperatorLibrary library(CacheFolder cache) {
    OperatorLibrary.Search search = OperatorLibrary.search(Map.of(), cache);
    boolean required = System.getProperty("kif.operators", "").equals("required");
    assumeTrue(required || search.library().isPresent(), () -> "SKIPPED: " + search.explanation());
    return search.library().orElseThrow(() -> new AssertionError(search.explanation()));
  }
}
