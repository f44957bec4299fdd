package io.github.recurrentkif.kernels.cpu;

import io.github.recurrentkif.kernels.FusionKernels;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.reference.ReferenceFusionKernels;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.BuiltLibrary;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Opens the kernels of the processor: C where it can be had, else scalar Java. */
public final class CpuKernels {

  /** Which code may run. */
  public enum Backend {
    /** C if it can be had, else Java. */
    AUTO,
    /** C, or an error. */
    NATIVE,
    /** Java. */
    REFERENCE
  }

  /**
   * What a user decides.
   *
   * @param library a library to use instead of the one in the jar; where it cannot be used, that is
   *     an error
   * @param cache where the library of the jar is unpacked
   */
  public record Settings(Backend backend, @Nullable Path library, CacheFolder cache) {

    /**
     * The system property {@code kif.kernels}, else {@code KIF_KERNELS}: {@code auto}, {@code
     * native} or {@code reference}; {@code KIF_NATIVE_LIBRARY}; {@link CacheFolder#ofThisUser}.
     */
    public static Settings ofProcess() {
      return of(System.getenv(), System.getProperty("kif.kernels", ""), CacheFolder.ofThisUser());
    }

    static Settings of(Map<String, String> environment, String property, CacheFolder cache) {
      String backend = property.isEmpty() ? environment.getOrDefault("KIF_KERNELS", "") : property;
      String library = environment.getOrDefault("KIF_NATIVE_LIBRARY", "");
      return new Settings(
          switch (backend.toLowerCase(Locale.ROOT)) {
            case "", "auto" -> Backend.AUTO;
            case "native" -> Backend.NATIVE;
            case "reference" -> Backend.REFERENCE;
            default ->
                throw new InputException(
                    "KIF_KERNELS must be auto, native or reference, not '" + backend + "'");
          },
          library.isEmpty() ? null : Path.of(library).toAbsolutePath(),
          cache);
    }
  }

  /**
   * What became of one backend.
   *
   * @param detail what it runs with, or why it was not chosen
   */
  public record Candidate(String backend, boolean chosen, String detail) {}

  /** The kernels and how they were found, for {@code kif doctor}. */
  public record Opened(Kernels kernels, List<Candidate> candidates) {

    public Opened {
      candidates = List.copyOf(candidates);
    }
  }

  private CpuKernels() {}

  /**
   * Opens kernels as this process is set up.
   *
   * @throws InputException if the settings demand native kernels and there are none
   */
  public static Opened open(int threads) {
    return open(threads, Settings.ofProcess());
  }

  /**
   * Opens kernels.
   *
   * @param threads of the native kernels, the calling one included
   * @throws InputException if the settings demand native kernels and there are none
   */
  public static Opened open(int threads, Settings settings) {
    if (threads < 1) {
      throw new IllegalArgumentException("kernels need one thread at least, got " + threads);
    }
    if (settings.backend() == Backend.REFERENCE) {
      return reference("KIF_KERNELS is reference");
    }
    try {
      Path file = locate(settings);
      Kernels kernels = new NativeKernels(NativeLibrary.load(file), threads, InstructionSet.BEST);
      return new Opened(
          kernels,
          List.of(
              new Candidate("native", true, kernels.description() + ", from " + file),
              new Candidate("reference", false, "native kernels are faster")));
    } catch (NativeUnavailableException e) {
      if (settings.backend() == Backend.NATIVE || settings.library() != null) {
        throw new InputException(
            "native kernels are asked for, but "
                + e.getMessage()
                + " (KIF_KERNELS=auto without KIF_NATIVE_LIBRARY goes on in Java)",
            e);
      }
      return reference(e.getMessage());
    }
  }

  /**
   * Opens native kernels once for each instruction set that this processor has and {@code
   * KIF_MAX_ISA} allows, weakest first; none where there are no native kernels and the settings do
   * not demand them. The caller closes them.
   *
   * @throws InputException if the settings demand native kernels and there are none
   */
  public static List<Kernels> openEachInstructionSet(int threads, Settings settings) {
    List<Kernels> opened = new ArrayList<>();
    if (settings.backend() == Backend.REFERENCE) {
      return opened;
    }
    try {
      NativeLibrary library = NativeLibrary.load(locate(settings));
      int best;
      try (NativeKernels kernels = new NativeKernels(library, 1, InstructionSet.BEST)) {
        best = kernels.instructionSet();
      }
      for (InstructionSet set : InstructionSet.values()) {
        if (set.number() <= best) {
          opened.add(new NativeKernels(library, threads, set.number()));
        }
      }
      return opened;
    } catch (NativeUnavailableException e) {
      opened.forEach(Kernels::close);
      if (settings.backend() == Backend.NATIVE || settings.library() != null) {
        throw new InputException("native kernels are asked for, but " + e.getMessage(), e);
      }
      return new ArrayList<>();
    }
  }

  /**
   * The kernels that fuse stored weights, as this process is set up.
   *
   * @throws InputException if the settings demand native kernels and there are none
   */
  public static FusionKernels openFusion() {
    return openFusion(Settings.ofProcess());
  }

  static FusionKernels openFusion(Settings settings) {
    if (settings.backend() == Backend.REFERENCE) {
      return new ReferenceFusionKernels();
    }
    try {
      return new NativeFusionKernels(NativeLibrary.load(locate(settings)));
    } catch (NativeUnavailableException e) {
      if (settings.backend() == Backend.NATIVE || settings.library() != null) {
        throw new InputException("native kernels are asked for, but " + e.getMessage(), e);
      }
      return new ReferenceFusionKernels();
    }
  }

  private static Opened reference(@Nullable String whyNotNative) {
    Kernels kernels = new ReferenceKernels();
    return new Opened(
        kernels,
        List.of(
            new Candidate("native", false, String.valueOf(whyNotNative)),
            new Candidate("reference", true, kernels.description())));
  }

  static Path locate(Settings settings) throws NativeUnavailableException {
    if (settings.library() != null) {
      return settings.library();
    }
    BuiltLibrary library = new BuiltLibrary("kif");
    try {
      return library
          .unpack(settings.cache())
          .orElseThrow(() -> new NativeUnavailableException(library.absence()));
    } catch (IOException | UncheckedIOException e) {
      throw new NativeUnavailableException(
          "the library could not be unpacked to "
              + settings.cache().path()
              + " ("
              + e
              + "); KIF_CACHE can name another folder",
          e);
    }
  }
}
