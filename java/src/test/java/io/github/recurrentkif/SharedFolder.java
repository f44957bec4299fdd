package io.github.recurrentkif;

import static org.junit.jupiter.api.Assumptions.abort;

import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Golden numbers and real data beside the repository; a test that needs them is skipped without.
 */
public final class SharedFolder {

  private SharedFolder() {}

  /** A path below {@code ../shared} of the repository, or an aborted test. */
  public static Path resolve(String path) {
    Path folder = repository().resolveSibling("shared");
    // Another checkout of the same repository may lie one folder deeper.
    for (Path root = repository().getParent();
        root != null && !Files.isDirectory(folder.resolve("golden"));
        root = root.getParent()) {
      folder = root.resolve("shared");
    }
    Path wanted = folder.resolve(path);
    if (!Files.exists(wanted)) {
      String reason =
          "SKIPPED: this test compares with " + path + " in ../shared, which is not here";
      // Surefire counts skipped tests and keeps their reasons to itself.
      System.out.println(reason);
      abort(reason);
    }
    return wanted;
  }

  /** A JSON file below {@code ../shared}. */
  public static JsonNode json(String path) {
    return new JsonMapper().readTree(resolve(path));
  }

  /** The root of this checkout. */
  public static Path repository() {
    @Nullable Path folder = Path.of("").toAbsolutePath();
    while (folder != null
        && !(Files.isRegularFile(folder.resolve("pom.xml"))
            && Files.isRegularFile(folder.resolve("java/pom.xml")))) {
      folder = folder.getParent();
    }
    if (folder == null) {
      throw new IllegalStateException("tests run inside the repository");
    }
    return folder;
  }
}
