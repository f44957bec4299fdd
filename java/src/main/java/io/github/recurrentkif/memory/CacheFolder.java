package io.github.recurrentkif.memory;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URL;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;

/**
 * The folder of a user where files are kept that can be made again: native libraries unpacked from
 * jars. Any number of processes may share it.
 *
 * @param folder need not exist yet
 */
public record CacheFolder(Path folder) {

  private static final String NAME = "recurrent-kif";

  /** The folder of the user that runs this process. */
  public static CacheFolder ofUser() {
    return of(System.getenv(), Path.of(System.getProperty("user.home")));
  }

  /**
   * {@code KIF_CACHE}, else {@code recurrent-kif} below {@code XDG_CACHE_HOME}, else {@code
   * .cache/recurrent-kif} below the home folder; variables that are empty count as not set.
   */
  public static CacheFolder of(Map<String, String> environment, Path home) {
    String own = environment.getOrDefault("KIF_CACHE", "");
    if (!own.isEmpty()) {
      return new CacheFolder(Path.of(own).toAbsolutePath());
    }
    String shared = environment.getOrDefault("XDG_CACHE_HOME", "");
    Path caches = shared.isEmpty() ? home.resolve(".cache") : Path.of(shared);
    return new CacheFolder(caches.resolve(NAME).toAbsolutePath());
  }

  /** The SHA-256 of what a URL holds, in hexadecimal digits. */
  public static String contentHash(URL source) throws IOException {
    try (InputStream content = source.openStream()) {
      return hash(content);
    }
  }

  /**
   * Copies a resource to a file below the cache folder, unless it is there already, whole.
   *
   * @param name of the file
   * @param contentHash the SHA-256 of the content, in hexadecimal digits; the file lies in a folder
   *     of this name, so that different contents never meet
   * @throws IOException if the content does not have that hash, or the folder cannot be written
   */
  public Path extractOnce(URL source, String name, String contentHash) throws IOException {
    Path file = folder.resolve(contentHash).resolve(name);
    if (Files.isRegularFile(file) && contentHash.equals(hashOf(file))) {
      return file;
    }
    Path parent = Files.createDirectories(folder.resolve(contentHash));
    Path temporary = Files.createTempFile(parent, name, ".tmp");
    try {
      String found = copy(source, temporary);
      if (!found.equals(contentHash)) {
        throw new IOException(
            source + " should have the SHA-256 " + contentHash + " but has " + found);
      }
      // Another process may have been faster: then its equal file is replaced by ours.
      Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(temporary);
    }
    return file;
  }

  private static String copy(URL source, Path target) throws IOException {
    MessageDigest digest = sha256();
    try (InputStream content = source.openStream();
        FileChannel channel = FileChannel.open(target, StandardOpenOption.WRITE);
        OutputStream out = new DigestOutputStream(Channels.newOutputStream(channel), digest)) {
      content.transferTo(out);
      channel.force(true);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static String hashOf(Path file) throws IOException {
    try (InputStream content = Files.newInputStream(file)) {
      return hash(content);
    }
  }

  private static String hash(InputStream content) throws IOException {
    MessageDigest digest = sha256();
    content.transferTo(new DigestOutputStream(OutputStream.nullOutputStream(), digest));
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
