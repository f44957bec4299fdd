package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.ObjectMapper;

/**
 * What happened in a run, one JSON object a line; TensorBoard gets the numbers in it. A checkpoint
 * remembers how long the log was, and resuming cuts it there: no event stands in it twice.
 */
final class EventLog implements AutoCloseable {

  private final Path file;
  private final FileChannel channel;
  private final TensorBoardLog tensorBoard;
  private final ObjectMapper json = new ObjectMapper();

  private EventLog(Path file, FileChannel channel, TensorBoardLog tensorBoard) {
    this.file = file;
    this.channel = channel;
    this.tensorBoard = tensorBoard;
  }

  /**
   * Opens the log to go on behind its first {@code length} bytes.
   *
   * @param tensorBoard the folder of what TensorBoard reads
   */
  static EventLog open(Path file, long length, Path tensorBoard) {
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
      return new EventLog(file, channel, TensorBoardLog.open(tensorBoard, read(file)));
    } catch (IOException e) {
      throw InputException.unwritable(file, e);
    }
  }

  private static List<Map<String, Object>> read(Path file) throws IOException {
    ObjectMapper json = new ObjectMapper();
    List<Map<String, Object>> events = new ArrayList<>();
    try (var lines = Files.lines(file)) {
      lines.forEach(line -> events.add(json.readValue(line, new TypeReference<>() {})));
      return events;
    } catch (JacksonException e) {
      throw new InputException(
          "%s: line %d is no event: %s; put the file back, or begin a new run"
              .formatted(file, events.size() + 1, e.getOriginalMessage()),
          e);
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
      throw InputException.unwritable(file, e);
    }
    tensorBoard.append(event);
  }

  /** Bytes so far, all of which are safe on the disk when this returns. */
  long saved() {
    try {
      channel.force(false);
      return channel.position();
    } catch (IOException e) {
      throw InputException.unwritable(file, e);
    }
  }

  @Override
  public void close() {
    try (tensorBoard) {
      channel.close();
    } catch (IOException e) {
      throw InputException.unwritable(file, e);
    }
  }
}
