package io.github.recurrentkif.memory;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** The folder of recorded numbers that may lie beside the repository. */
final class SharedFolder {

  private SharedFolder() {}

  /** A path in that folder; the test is skipped where it is absent. */
  static Path require(String path) {
    Path repository = Path.of("").toAbsolutePath();
    while (repository != null && !Files.exists(repository.resolve("java/pom.xml"))) {
      repository = repository.getParent();
    }
    // A worktree lies one folder deeper than a plain clone.
    for (Path folder = repository; folder != null; folder = folder.getParent()) {
      Path found = folder.resolveSibling("shared").resolve(path);
      if (Files.exists(found)) {
        return found;
      }
    }
    Assumptions.abort("SKIPPED: there is no ../shared/" + path + " beside " + repository);
    throw new AssertionError("unreachable");
  }
}
