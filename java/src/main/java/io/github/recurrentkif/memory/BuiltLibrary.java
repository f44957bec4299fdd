package io.github.recurrentkif.memory;

import io.github.recurrentkif.memory.CacheFolder.Fingerprint;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;

/**
 * A shared library that {@code native/build.sh} compiled and the build put into the jar.
 *
 * @param name without what the system adds: {@code kif} for {@code libkif.so}
 */
public record BuiltLibrary(String name) {

  /**
   * The library as a file, unpacked to the cache once for each content; empty where this build has
   * none.
   *
   * @throws IOException if the jar cannot be read
   * @throws java.io.UncheckedIOException if the cache cannot be written
   */
  public Optional<Path> unpack(CacheFolder cache) throws IOException {
    URL library = BuiltLibrary.class.getResource(resource());
    if (library == null) {
      return Optional.empty();
    }
    Fingerprint content;
    try (InputStream in = library.openStream()) {
      content = Fingerprint.of(in);
    }
    Path place =
        Path.of(
            "native",
            "%08x-%d".formatted(content.crc32(), content.size()),
            System.mapLibraryName(name));
    return Optional.of(cache.provide(place, content, library::openStream));
  }

  /** Why there is none. */
  public String absence() {
    return "this build has no "
        + resource()
        + ": no C compiler was found when it was built, or it was built for another platform";
  }

  private String resource() {
    return "/native/" + platform() + "/" + System.mapLibraryName(name);
  }

  /** As {@code native/build.sh} names it. */
  private static String platform() {
    String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String machine = System.getProperty("os.arch");
    return (system.startsWith("mac") ? "macos" : system)
        + "-"
        + (machine.equals("amd64") ? "x86_64" : machine);
  }
}
