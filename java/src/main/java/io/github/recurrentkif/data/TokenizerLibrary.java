package io.github.recurrentkif.data;

import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where the native tokenizers library comes from: out of DJL's jar into this user's cache folder,
 * once per version; never from the network, and nothing is unpacked at later starts. DJL takes
 * these settings from system properties only; they are set here, before its first class is touched,
 * and nowhere else. A value given on the command line stays, and so does one that DJL finds in the
 * environment.
 */
final class TokenizerLibrary {

  /** Unpacks into {@code PROPERTY/tokenizers/VERSION-cpu-PLATFORM/}, as DJL decides. */
  private static final String UNPACK_FOLDER = "ENGINE_CACHE_DIR";

  /** Also keeps DJL from asking a cloud machine's metadata service who it is. */
  private static final String OFFLINE = "ai.djl.offline";

  /**
   * DJL would look for a GPU through JNA, which unpacks a library of its own at every start.
   * Refused that, it goes on without a GPU, for which a tokenizer has no use.
   */
  private static final String NO_GPU_SEARCH = "jna.nounpack";

  static {
    setIfAbsent(OFFLINE, "true");
    setIfAbsent(NO_GPU_SEARCH, "true");
    setIfAbsent(UNPACK_FOLDER, CacheFolder.ofThisUser().path().resolve("djl").toString());
  }

  private TokenizerLibrary() {}

  private static void setIfAbsent(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }

  /**
   * To be called before any class of DJL is used.
   *
   * @throws InputException if nothing can be unpacked; DJL itself would only say that a "flavor" is
   *     unexpected
   */
  static void prepare() {
    Path folder = folder();
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw unusable(e);
    }
  }

  /** The error for a library that cannot be unpacked or loaded. */
  static InputException unusable(Throwable cause) {
    Throwable root = cause;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return new InputException(
        "%s: expected to unpack and load the native tokenizers library here, found: %s; make the folder writable, delete it if it is damaged, or name another with KIF_CACHE"
            .formatted(folder(), root),
        cause);
  }

  private static Path folder() {
    String environment = System.getenv(UNPACK_FOLDER);
    return Path.of(
        environment == null || environment.isEmpty()
            ? System.getProperty(UNPACK_FOLDER)
            : environment);
  }
}
