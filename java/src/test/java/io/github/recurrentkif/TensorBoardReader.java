package io.github.recurrentkif;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads TensorBoard's files by what their formats say, with a checksum worked out bit by bit:
 * nothing here comes from what writes them.
 */
public final class TensorBoardReader {

  /**
   * One record.
   *
   * @param version of the file, or empty
   * @param scalars by tag
   */
  public record Event(
      double time, long step, String version, boolean begins, Map<String, Float> scalars) {}

  private TensorBoardReader() {}

  /** All events of the one file in a folder. */
  public static List<Event> read(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      List<Path> all = files.toList();
      if (all.size() != 1) {
        throw new IOException("expected one file, found " + all);
      }
      return events(Files.readAllBytes(all.getFirst()));
    }
  }

  /** What scalars a folder has, without their times. */
  public static List<String> scalars(Path folder) throws IOException {
    List<String> lines = new ArrayList<>();
    for (Event event : read(folder)) {
      event.scalars().forEach((tag, value) -> lines.add(event.step() + " " + tag + " " + value));
    }
    return lines;
  }

  static List<Event> events(byte[] file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    List<Event> events = new ArrayList<>();
    while (in.hasRemaining()) {
      byte[] length = bytes(in, 8);
      check(in.getInt(), length);
      byte[] event =
          bytes(in, (int) ByteBuffer.wrap(length).order(ByteOrder.LITTLE_ENDIAN).getLong());
      check(in.getInt(), event);
      events.add(event(ByteBuffer.wrap(event).order(ByteOrder.LITTLE_ENDIAN)));
    }
    return events;
  }

  private static void check(int found, byte[] data) throws IOException {
    int crc = crc32c(data);
    int masked = ((crc >>> 15) | (crc << 17)) + 0xa282ead8;
    if (found != masked) {
      throw new IOException("checksum %08x, expected %08x".formatted(found, masked));
    }
  }

  /** Castagnoli's polynomial, bit by bit. */
  public static int crc32c(byte[] data) {
    int crc = -1;
    for (byte b : data) {
      crc ^= b & 0xff;
      for (int bit = 0; bit < 8; bit++) {
        crc = (crc & 1) == 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82F63B78;
      }
    }
    return ~crc;
  }

  private static Event event(ByteBuffer in) {
    double time = 0;
    long step = 0;
    String version = "";
    boolean begins = false;
    Map<String, Float> scalars = new LinkedHashMap<>();
    while (in.hasRemaining()) {
      long key = varint(in);
      switch ((int) key) {
        case (1 << 3) | 1 -> time = in.getDouble();
        case 2 << 3 -> step = varint(in);
        case (3 << 3) | 2 -> version = text(in);
        case (5 << 3) | 2 -> summary(message(in), scalars);
        case (7 << 3) | 2 -> {
          ByteBuffer session = message(in);
          begins = varint(session) == 1 << 3 && varint(session) == 1;
        }
        default -> throw new IllegalStateException("field " + key);
      }
    }
    return new Event(time, step, version, begins, scalars);
  }

  private static void summary(ByteBuffer in, Map<String, Float> scalars) {
    while (in.hasRemaining()) {
      if (varint(in) != ((1 << 3) | 2)) {
        throw new IllegalStateException("a summary holds values");
      }
      ByteBuffer value = message(in);
      String tag = "";
      float scalar = Float.NaN;
      while (value.hasRemaining()) {
        switch ((int) varint(value)) {
          case (1 << 3) | 2 -> tag = text(value);
          case (2 << 3) | 5 -> scalar = value.getFloat();
          default -> throw new IllegalStateException("a value has a tag and a number");
        }
      }
      scalars.put(tag, scalar);
    }
  }

  private static long varint(ByteBuffer in) {
    long value = 0;
    int shift = 0;
    byte next;
    do {
      next = in.get();
      value |= (next & 0x7fL) << shift;
      shift += 7;
    } while (next < 0);
    return value;
  }

  private static ByteBuffer message(ByteBuffer in) {
    return ByteBuffer.wrap(bytes(in, (int) varint(in))).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static String text(ByteBuffer in) {
    return new String(bytes(in, (int) varint(in)), StandardCharsets.UTF_8);
  }

  private static byte[] bytes(ByteBuffer in, int count) {
    byte[] bytes = new byte[count];
    in.get(bytes);
    return bytes;
  }
}
