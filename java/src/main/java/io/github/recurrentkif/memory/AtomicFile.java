package io.github.recurrentkif.memory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Files that appear whole or not at all: written beside their place, forced to the disk, then
 * renamed over whatever stood there. A reader that has the old file open keeps it.
 */
public final class AtomicFile {

  /** Fills a file. */
  @FunctionalInterface
  public interface Content {
    void writeTo(FileChannel channel) throws IOException;
  }

  private AtomicFile() {}

  /**
   * Writes a file; its folder has to exist. When the process dies meanwhile, a hidden file {@code
   * .NAME.RANDOM.tmp} may stay behind and can be deleted.
   *
   * @throws IOException that names the file, if it cannot be written; what stood there is untouched
   *     and nothing is left beside it
   */
  public static void write(Path file, Content content) throws IOException {
    Path target = file.toAbsolutePath();
    Path folder = folderOf(file);
    String random = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
    Path temporary = folder.resolve("." + target.getFileName() + "." + random + ".tmp");
    try {
      try (FileChannel channel =
          FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        content.writeTo(channel);
        channel.force(true);
      }
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException | RuntimeException | Error e) {
      deleteAfter(e, temporary);
      if (e instanceof IOException io) {
        String reason = InputException.reason(temporary, io);
        IOException failure = new FileSystemException(file.toString(), null, reason);
        failure.initCause(io);
        throw failure;
      }
      throw e;
    }
    forceFolder(folder);
  }

  /**
   * Writes a file of these bytes, and the folders above it that are missing.
   *
   * @throws InputException if it cannot be written; what stood there is untouched
   */
  public static void write(Path file, byte[] bytes) {
    try {
      Files.createDirectories(folderOf(file));
      write(
          file,
          channel -> {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            while (buffer.hasRemaining()) {
              channel.write(buffer);
            }
          });
    } catch (IOException e) {
      throw InputException.unwritable(file, e);
    }
  }

  /**
   * Renames a whole file over another one, in one step.
   *
   * @param file where it is to stand
   * @param next the whole file, in the same folder
   */
  public static void replace(Path file, Path next) throws IOException {
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
    forceFolder(folderOf(file));
  }

  /**
   * The same, and keeps what stood there under another name. A process that dies in between leaves
   * the kept one alone.
   *
   * @param kept where the old one is to stand, in the same folder
   */
  public static void replace(Path file, Path next, Path kept) throws IOException {
    if (Files.exists(file)) {
      replace(kept, file);
    }
    replace(file, next);
  }

  private static Path folderOf(Path file) throws IOException {
    Path folder = file.toAbsolutePath().getParent();
    if (folder == null) {
      throw new FileSystemException(file.toString(), null, "the root of a file system");
    }
    return folder;
  }

  private static void deleteAfter(Throwable failure, Path temporary) {
    try {
      Files.deleteIfExists(temporary);
    } catch (IOException e) {
      failure.addSuppressed(e);
    }
  }

  /** Makes the rename survive a power failure. */
  private static void forceFolder(Path folder) {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException e) {
      // Windows and some network file systems cannot; the file itself is whole and in its place.
    }
  }
}
