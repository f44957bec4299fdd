package io.github.recurrentkif.experiment;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.zip.CRC32C;

/**
 * What TensorBoard reads: a file of records, each one event in the wire format of protocol buffers.
 *
 * <p>A record is its length (8 bytes, little endian), a checksum of these 8 bytes, the event, and a
 * checksum of the event. Of the messages {@code Event} and {@code Summary} only what scalars need
 * is written. An event is as long whatever its time is, and its time always stands at one place.
 */
final class TensorBoardFile {

  private static final int HEADER = Long.BYTES + Integer.BYTES;
  private static final int MASK_DELTA = 0xa282ead8;

  private static final int VARINT = 0;
  private static final int FIXED_64 = 1;
  private static final int BYTES = 2;
  private static final int FIXED_32 = 5;

  /** Fields of {@code Event}. */
  private static final int WALL_TIME = 1;

  private static final int STEP = 2;
  private static final int FILE_VERSION = 3;
  private static final int SUMMARY = 5;
  private static final int SESSION_LOG = 7;

  /** Behind the tag of the first field. */
  private static final int TIME_OFFSET = HEADER + 1;

  private TensorBoardFile() {}

  /** Two records that begin every file; the second makes a reader forget what it had read. */
  static List<byte[]> opening(double seconds) {
    ByteArrayOutputStream version = event(seconds, 0);
    bytes(version, FILE_VERSION, "brain.Event:2".getBytes(StandardCharsets.UTF_8));
    ByteArrayOutputStream status = new ByteArrayOutputStream();
    varint(status, 1 << 3 | VARINT);
    varint(status, 1);
    ByteArrayOutputStream session = event(seconds, 0);
    bytes(session, SESSION_LOG, status.toByteArray());
    return List.of(record(version.toByteArray()), record(session.toByteArray()));
  }

  /**
   * One record.
   *
   * @param seconds since 1970, of the clock on the wall
   * @param scalars by tag
   */
  static byte[] scalars(double seconds, long step, SequencedMap<String, Float> scalars) {
    ByteArrayOutputStream summary = new ByteArrayOutputStream();
    for (Map.Entry<String, Float> scalar : scalars.entrySet()) {
      ByteArrayOutputStream value = new ByteArrayOutputStream();
      bytes(value, 1, scalar.getKey().getBytes(StandardCharsets.UTF_8));
      varint(value, 2 << 3 | FIXED_32);
      value.writeBytes(
          little(Float.BYTES).putInt(Float.floatToRawIntBits(scalar.getValue())).array());
      bytes(summary, 1, value.toByteArray());
    }
    ByteArrayOutputStream event = event(seconds, step);
    bytes(event, SUMMARY, summary.toByteArray());
    return record(event.toByteArray());
  }

  private static ByteArrayOutputStream event(double seconds, long step) {
    ByteArrayOutputStream event = new ByteArrayOutputStream();
    varint(event, WALL_TIME << 3 | FIXED_64);
    event.writeBytes(little(Double.BYTES).putDouble(seconds).array());
    varint(event, STEP << 3 | VARINT);
    varint(event, step);
    return event;
  }

  private static void bytes(ByteArrayOutputStream out, int field, byte[] content) {
    varint(out, (long) field << 3 | BYTES);
    varint(out, content.length);
    out.writeBytes(content);
  }

  private static void varint(ByteArrayOutputStream out, long value) {
    long rest = value;
    while ((rest & ~0x7fL) != 0) {
      out.write((int) ((rest & 0x7f) | 0x80));
      rest >>>= 7;
    }
    out.write((int) rest);
  }

  private static ByteBuffer little(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static byte[] record(byte[] event) {
    byte[] record = new byte[HEADER + event.length + Integer.BYTES];
    ByteBuffer.wrap(record)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(event.length)
        .position(HEADER)
        .put(event)
        .putInt(checksum(event, 0, event.length))
        .putInt(Long.BYTES, checksum(record, 0, Long.BYTES));
    return record;
  }

  /** CRC-32C, turned and shifted: a checksum of data that holds checksums would be weak. */
  static int checksum(byte[] data, int offset, int length) {
    CRC32C crc = new CRC32C();
    crc.update(data, offset, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + MASK_DELTA;
  }

  /** The times of the records of a file, up to the first that is not whole. */
  static List<Double> times(Path file) throws IOException {
    byte[] all = Files.readAllBytes(file);
    ByteBuffer in = ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN);
    List<Double> times = new ArrayList<>();
    int start = 0;
    while (in.limit() - start >= HEADER) {
      long length = in.getLong(start);
      if (in.getInt(start + Long.BYTES) != checksum(all, start, Long.BYTES)
          || length > in.limit() - start - HEADER - Integer.BYTES) {
        break;
      }
      int end = start + HEADER + (int) length;
      if (in.getInt(end) != checksum(all, start + HEADER, (int) length)) {
        break;
      }
      times.add(in.getDouble(start + TIME_OFFSET));
      start = end + Integer.BYTES;
    }
    return times;
  }
}
