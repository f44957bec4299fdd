package io.github.recurrentkif.memory;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
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
    Path parent = parent(folder);
    try {
      Files.createDirectories(parent);
    } catch (FileAlreadyExistsException e) {
      throw new NotDirectoryException(e.getFile());
    }
    Path temporary = newFolder(parent, prefix(folder));
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

  /** What processes left that died while they wrote this folder, and what others write now. */
  public static List<Path> unfinished(Path folder) {
    Path parent = parent(folder);
    String prefix = prefix(folder);
    DirectoryStream.Filter<Path> begun =
        entry -> entry.getFileName().toString().startsWith(prefix) && Files.isDirectory(entry);
    List<Path> unfinished = new ArrayList<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(parent, begun)) {
      entries.forEach(unfinished::add);
    } catch (IOException | DirectoryIteratorException e) {
      // Where nothing can be listed, nothing is known; whoever writes will say what is wrong.
      return List.of();
    }
    Collections.sort(unfinished);
    return unfinished;
  }

  private static Path parent(Path folder) {
    return folder.toAbsolutePath().normalize().resolveSibling("");
  }

  private static String prefix(Path folder) {
    return "." + folder.toAbsolutePath().normalize().getFileName() + ".tmp-";
  }

  /**
   * Makes a folder of a name that nothing has, which others may read as they may any new one; what
   * the JDK makes for temporary files is its owner's alone.
   */
  public static Path newFolder(Path parent, String prefix) throws IOException {
    String random = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
    return Files.createDirectory(parent.resolve(prefix + random));
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
