package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import tools.jackson.databind.ObjectMapper;

/**
 * What happened in a run, one JSON object a line. A checkpoint remembers how long the log was, and
 * resuming cuts it there: no event stands in it twice.
 */
final class EventLog implements AutoCloseable {

  private final Path file;
  private final FileChannel channel;
  private final ObjectMapper json = new ObjectMapper();

  private EventLog(Path file, FileChannel channel) {
    this.file = file;
    this.channel = channel;
  }

  /** Opens the log to go on behind its first {@code length} bytes. */
  static EventLog open(Path file, long length) {
    try {
      FileChannel channel =
          FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      if (channel.size() < length) {
        channel.close();
        throw new InputException(
            "%s: expected at least the %d bytes that the checkpoint remembers, found %d; put the file back, or begin a new run"
                .formatted(file, length, Files.size(file)));
      }
      channel.truncate(length);
      channel.position(length);
      return new EventLog(file, channel);
    } catch (IOException e) {
      throw new InputException(file + ": cannot be written: " + RunFolder.message(e), e);
    }
  }

  void append(Map<String, Object> event) {
    byte[] line = (json.writeValueAsString(event) + "\n").getBytes(StandardCharsets.UTF_8);
    ByteBuffer buffer = ByteBuffer.wrap(line);
    try {
      while (buffer.hasRemaining()) {
        channel.write(buffer);
      }
    } catch (IOException e) {
      throw new InputException(file + ": cannot be written: " + RunFolder.message(e), e);
    }
  }

  /** Bytes so far, all of which are safe on the disk when this returns. */
  long saved() {
    try {
      channel.force(false);
      return channel.position();
    } catch (IOException e) {
      throw new InputException(file + ": cannot be written: " + RunFolder.message(e), e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new InputException(file + ": cannot be written: " + RunFolder.message(e), e);
    }
  }
}
