package io.github.recurrentkif.memory;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32;

/**
 * Where this user keeps what can be made again: {@code KIF_CACHE} if set, else {@code
 * $XDG_CACHE_HOME/recurrent-kif}, else {@code ~/.cache/recurrent-kif}.
 */
public record CacheFolder(Path path) {

  /** The environment variable that names the folder itself. */
  public static final String VARIABLE = "KIF_CACHE";

  private static final String NAME = "recurrent-kif";

  /** What a file must hold: its length in bytes and the CRC-32 that a jar records of it. */
  public record Fingerprint(long size, long crc32) {

    public static Fingerprint of(InputStream content) throws IOException {
      CRC32 crc = new CRC32();
      long size = 0;
      byte[] buffer = new byte[1 << 16];
      for (int n = content.read(buffer); n >= 0; n = content.read(buffer)) {
        crc.update(buffer, 0, n);
        size += n;
      }
      return new Fingerprint(size, crc.getValue());
    }

    static Fingerprint of(Path file) throws IOException {
      try (InputStream content = Files.newInputStream(file)) {
        return of(content);
      }
    }

    @Override
    public String toString() {
      return "%d bytes, CRC-32 %08x".formatted(size, crc32);
    }
  }

  /** Opens the content anew each time it is asked. */
  @FunctionalInterface
  public interface Content {
    InputStream open() throws IOException;
  }

  public static CacheFolder ofThisUser() {
    return of(System.getenv(), Path.of(System.getProperty("user.home")));
  }

  public static CacheFolder of(Map<String, String> environment, Path home) {
    return new CacheFolder(
        variable(environment, VARIABLE)
            .or(
                () ->
                    // A relative folder counts as unset, as the XDG base directory specification
                    // asks.
                    variable(environment, "XDG_CACHE_HOME")
                        .filter(Path::isAbsolute)
                        .map(folder -> folder.resolve(NAME)))
            .orElseGet(() -> home.resolve(".cache").resolve(NAME))
            .toAbsolutePath());
  }

  private static Optional<Path> variable(Map<String, String> environment, String name) {
    return Optional.ofNullable(environment.get(name)).filter(s -> !s.isBlank()).map(Path::of);
  }

  /**
   * The file of that name below this folder, with exactly the content of that fingerprint: taken as
   * it is where it already stands whole, written otherwise. Any number of processes may ask at
   * once; none ever sees half a file.
   *
   * @throws UncheckedIOException if the folder cannot be written, or the content is not what its
   *     fingerprint says
   */
  public Path provide(Path name, Fingerprint fingerprint, Content content) {
    Path file = path.resolve(name);
    try {
      if (holds(file, fingerprint)) {
        return file;
      }
      Path folder = Files.createDirectories(file.resolveSibling(""));
      Path partial = Files.createTempFile(folder, "partial-", ".tmp");
      try {
        write(content, partial);
        Fingerprint written = Fingerprint.of(partial);
        if (!written.equals(fingerprint)) {
          throw new IOException(
              "%s: expected %s, wrote %s; is the disk full, or the jar damaged?"
                  .formatted(file, fingerprint, written));
        }
        publish(partial, file, fingerprint);
      } finally {
        Files.deleteIfExists(partial);
      }
      return file;
    } catch (IOException e) {
      throw new UncheckedIOException(
          "cannot keep %s in the cache folder %s; set %s to a folder that can be written"
              .formatted(name, path, VARIABLE),
          e);
    }
  }

  private static boolean holds(Path file, Fingerprint fingerprint) throws IOException {
    return Files.isRegularFile(file)
        && Files.size(file) == fingerprint.size()
        && Fingerprint.of(file).equals(fingerprint);
  }

  private static void write(Content content, Path file) throws IOException {
    try (InputStream in = content.open();
        FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE)) {
      byte[] buffer = new byte[1 << 16];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        ByteBuffer chunk = ByteBuffer.wrap(buffer, 0, n);
        while (chunk.hasRemaining()) {
          out.write(chunk);
        }
      }
      out.force(true);
    }
  }

  private static void publish(Path partial, Path file, Fingerprint fingerprint) throws IOException {
    try {
      Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      // Windows refuses to replace a library that another process has loaded meanwhile.
      if (!holds(file, fingerprint)) {
        throw e;
      }
    }
  }
}
