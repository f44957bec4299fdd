package io.github.recurrentkif.memory;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import org.jspecify.annotations.Nullable;

/** Folders that appear whole or not at all: filled beside their place, then renamed. */
public final class AtomicFolder {

  /** Fills a folder. */
  @FunctionalInterface
  public interface Content {
    void writeTo(Path folder) throws IOException;
  }

  private AtomicFolder() {}

  /**
   * Writes a folder, and the folders above it that are missing. When the process dies meanwhile, a
   * hidden folder {@code .NAME.tmp-RANDOM} may stay behind and can be deleted.
   *
   * @param folder nothing stands there, or an empty folder
   * @throws IOException if it cannot be written; nothing is left behind
   */
  public static void write(Path folder, Content content) throws IOException {
    Path parent = Files.createDirectories(folder.toAbsolutePath().normalize().resolveSibling(""));
    Path temporary = Files.createTempDirectory(parent, "." + folder.getFileName() + ".tmp-");
    try {
      content.writeTo(temporary);
      Files.deleteIfExists(folder);
      Files.move(temporary, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException | RuntimeException | Error e) {
      try {
        delete(temporary);
      } catch (IOException unable) {
        e.addSuppressed(unable);
      }
      throw e;
    }
  }

  /** Deletes a folder with all that is in it; does nothing where there is none. */
  public static void delete(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return;
    }
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path visited, @Nullable IOException e)
              throws IOException {
            if (e != null) {
              throw e;
            }
            Files.delete(visited);
            return FileVisitResult.CONTINUE;
          }
        });
  }
}
