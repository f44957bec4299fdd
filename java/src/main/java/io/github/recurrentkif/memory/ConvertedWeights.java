package io.github.recurrentkif.memory;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The tensors of a model folder that cannot be used as they are stored (float16, bfloat16, float64,
 * or float32 at an odd address), as a float32 file in a cache: written once, and from then on
 * mapped read-only, so that opening costs nothing and all processes share its pages.
 *
 * <p>The file is named by the identity of those it was made from: path, size, time of the last
 * change, and the number that the file system gives a file. Whoever rewrites weights in place and
 * sets back the clock must delete it.
 */
public final class ConvertedWeights {

  private static final String VERSION = "1";

  private ConvertedWeights() {}

  /**
   * Takes the file from the cache, or writes it there first, a few megabytes at a time.
   *
   * @throws IOException that says what to do, if the cache folder has no room or cannot be written
   */
  public static SafetensorsFile open(SafetensorsFolder source, Path cache) throws IOException {
    Path folder = cache.resolve("weights");
    Path file = folder.resolve(identity(source.paths()) + ".safetensors");
    if (Files.isRegularFile(file)) {
      try {
        return SafetensorsFile.open(file);
      } catch (MalformedSafetensorsException e) {
        // Damaged since; it is made again.
      }
    }
    List<StoredTensor> tensors = new ArrayList<>();
    for (String name : source.names()) {
      if (source.dataType(name).readsAsFloat32() && !source.isFloat32InPlace(name)) {
        tensors.add(source.tensor(name));
      }
    }
    try {
      Files.createDirectories(folder);
      requireRoom(folder, tensors);
      SafetensorsWriter.writeFloat32(file, tensors);
    } catch (IOException e) {
      throw new IOException(
          "the weights cannot be kept as float32: "
              + InputException.reason(e)
              + "; "
              + CacheFolder.VARIABLE
              + " names another folder to use",
          e);
    }
    return SafetensorsFile.open(file);
  }

  private static void requireRoom(Path folder, List<StoredTensor> tensors) throws IOException {
    long needed = tensors.stream().mapToLong(t -> DataType.F32.bytes(t.shape())).sum();
    long free = Files.getFileStore(folder).getUsableSpace();
    if (free < needed) {
      throw new IOException(
          "%s has %d MB left, they take %d MB"
              .formatted(folder, free / 1_000_000, Math.ceilDiv(needed, 1_000_000)));
    }
  }

  private static String identity(List<Path> files) throws IOException {
    StringBuilder text = new StringBuilder(VERSION);
    for (Path file : files) {
      Path real = file.toRealPath();
      BasicFileAttributes attributes = Files.readAttributes(real, BasicFileAttributes.class);
      text.append('\n').append(real).append('\n').append(attributes.size());
      text.append('\n').append(attributes.lastModifiedTime().to(TimeUnit.NANOSECONDS));
      text.append('\n').append(attributes.fileKey());
    }
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256")
              .digest(text.toString().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(hash, 0, 10);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
