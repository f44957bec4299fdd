package io.github.recurrentkif.memory;

import java.nio.file.Path;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Where this user's derived files live, which may be deleted at any time and come back by
 * themselves: {@code KIF_CACHE} if set, else {@code recurrent-kif} in {@code XDG_CACHE_HOME}, else
 * in {@code .cache} of the home folder.
 */
public final class CacheFolder {

  private CacheFolder() {}

  /** The folder for the environment of this process; it need not exist yet. */
  public static Path ofThisUser() {
    return of(System::getenv, Path.of(System.getProperty("user.home")));
  }

  /**
   * @param environment the value of an environment variable, or null; an empty value counts as
   *     unset, and so does a relative {@code XDG_CACHE_HOME}, as the XDG base directory
   *     specification asks
   */
  static Path of(UnaryOperator<@Nullable String> environment, Path home) {
    String own = environment.apply("KIF_CACHE");
    if (own != null && !own.isEmpty()) {
      return Path.of(own).toAbsolutePath();
    }
    String shared = environment.apply("XDG_CACHE_HOME");
    if (shared != null && !shared.isEmpty() && Path.of(shared).isAbsolute()) {
      return Path.of(shared, "recurrent-kif");
    }
    return home.resolve(".cache").resolve("recurrent-kif");
  }
}
