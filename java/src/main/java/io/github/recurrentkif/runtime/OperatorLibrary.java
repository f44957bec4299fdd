package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.recurrentkif.memory.BuiltLibrary;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;

/**
 * The operators of our own for ONNX Runtime, which {@code native/} builds: a session that is to run
 * them names {@link #path()} among its {@link SessionOptions#customOperatorLibraries()}. The
 * library stays loaded until the process ends.
 */
public final class OperatorLibrary {

  /** The environment variable that says whether they may be used: auto, native or stock. */
  public static final String VARIABLE = "KIF_OPERATORS";

  /** The domain of the operators. */
  public static final String DOMAIN = "recurrentkif";

  /**
   * Whether there are operators, and why or why not.
   *
   * @param explanation one sentence for people
   */
  public record Search(Optional<OperatorLibrary> library, String explanation) {}

  private final Path path;
  private final String tier;
  private final boolean fastBf16;

  private OperatorLibrary(Path path) {
    this.path = path;
    Linker linker = Linker.nativeLinker();
    SymbolLookup symbols = SymbolLookup.libraryLookup(path, Arena.global());
    try {
      this.tier =
          OrtApi.string(
              (MemorySegment)
                  linker
                      .downcallHandle(
                          symbols.findOrThrow("kif_operators_tier"), FunctionDescriptor.of(ADDRESS))
                      .invokeExact());
      this.fastBf16 =
          (int)
                  linker
                      .downcallHandle(
                          symbols.findOrThrow("kif_operators_fast_bf16"),
                          FunctionDescriptor.of(JAVA_INT))
                      .invokeExact()
              != 0;
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /**
   * Looks for the library that the build put into the jar, and unpacks it to the {@link
   * CacheFolder} once, unless {@value #VARIABLE} is {@code stock}.
   *
   * @throws InputException if {@value #VARIABLE} is {@code native} and there is none
   */
  public static Search search() {
    return search(System.getenv(), CacheFolder.ofThisUser());
  }

  /** The same as an environment wants it. */
  public static Search search(Map<String, String> environment, CacheFolder cache) {
    String wish = environment.getOrDefault(VARIABLE, "").toLowerCase(Locale.ROOT);
    return switch (wish) {
      case "stock" -> new Search(Optional.empty(), VARIABLE + " is stock");
      case "", "auto" -> inJar(cache);
      case "native" -> required(inJar(cache));
      default ->
          throw new InputException(VARIABLE + " must be auto, native or stock, not '" + wish + "'");
    };
  }

  private static Search required(Search found) {
    if (found.library().isEmpty()) {
      throw new InputException(
          "%s asks for native operators, but %s (%s=auto goes on with ONNX Runtime's own)"
              .formatted(VARIABLE, found.explanation(), VARIABLE));
    }
    return found;
  }

  private static Search inJar(CacheFolder cache) {
    BuiltLibrary built = new BuiltLibrary("kif_operators");
    try {
      Optional<OperatorLibrary> library = built.unpack(cache).map(OperatorLibrary::new);
      return new Search(
          library,
          library
              .map(found -> "operators for " + found.tier + ", from " + found.path)
              .orElseGet(built::absence));
    } catch (IOException | UncheckedIOException e) {
      return new Search(
          Optional.empty(), "the operators could not be unpacked to " + cache.path() + ": " + e);
    } catch (IllegalArgumentException | NoSuchElementException e) {
      return new Search(
          Optional.empty(), "the operators cannot be loaded: " + String.valueOf(e.getMessage()));
    }
  }

  public Path path() {
    return path;
  }

  /** The instruction set that they use: baseline, avx2, avx512, avx512bf16 or amx. */
  public String tier() {
    return tier;
  }

  /** Whether bf16 products are faster than float32 ones on this processor. */
  public boolean fastBf16() {
    return fastBf16;
  }

  /** Foreign calls declare Throwable, but only the programmer's errors come out of them. */
  private static RuntimeException rethrown(Throwable thrown) {
    return switch (thrown) {
      case RuntimeException e -> e;
      case Error e -> throw e;
      default -> new IllegalStateException(thrown);
    };
  }
}
