package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleSupplier;

/**
 * The scalars of an {@link EventLog} for TensorBoard, written along with it.
 *
 * <p>It follows from the events, except for the times in it. Opened again, it is made anew from the
 * events that are kept, with the times it had: so no step stands in it twice, and one that was
 * deleted or damaged comes back. The new file has a name of its own and begins with a mark, by
 * which a TensorBoard that is looking drops what it had read.
 */
final class TensorBoardLog implements AutoCloseable {

  private static final String NAME = "events.out.tfevents.";

  private final Path file;
  private final FileChannel channel;
  private final RunScalars scalars;
  private final DoubleSupplier clock;

  private TensorBoardLog(Path file, FileChannel channel, RunScalars scalars, DoubleSupplier clock) {
    this.file = file;
    this.channel = channel;
    this.scalars = scalars;
    this.clock = clock;
  }

  /** Opens the log in a folder, to go on behind these events. */
  static TensorBoardLog open(Path folder, List<Map<String, Object>> kept) {
    return open(folder, kept, () -> Instant.now().toEpochMilli() / 1000.0);
  }

  /**
   * @param clock seconds since 1970
   */
  static TensorBoardLog open(Path folder, List<Map<String, Object>> kept, DoubleSupplier clock) {
    try {
      Files.createDirectories(folder);
      List<Path> before = files(folder);
      List<Double> times = before.isEmpty() ? List.of() : TensorBoardFile.times(before.getLast());
      Path file = folder.resolve(NAME + "%04d".formatted(next(before)));
      RunScalars scalars = new RunScalars();
      List<byte[]> records = new ArrayList<>(TensorBoardFile.opening(clock.getAsDouble()));
      for (Map<String, Object> event : kept) {
        for (RunScalars.Point point : scalars.of(event)) {
          int number = records.size();
          double time = number < times.size() ? times.get(number) : clock.getAsDouble();
          records.add(TensorBoardFile.scalars(time, point.step(), point.values()));
        }
      }
      AtomicFile.write(
          file,
          out -> {
            for (byte[] record : records) {
              write(out, record);
            }
          });
      for (Path old : before) {
        Files.delete(old);
      }
      return new TensorBoardLog(
          file, FileChannel.open(file, StandardOpenOption.APPEND), scalars, clock);
    } catch (IOException e) {
      throw InputException.unwritable(folder, e);
    }
  }

  private static List<Path> files(Path folder) throws IOException {
    try (var all = Files.list(folder)) {
      return all.filter(path -> path.getFileName().toString().startsWith(NAME)).sorted().toList();
    }
  }

  private static int next(List<Path> before) {
    if (before.isEmpty()) {
      return 1;
    }
    String last = before.getLast().getFileName().toString();
    return 1 + Integer.parseInt(last.substring(NAME.length()));
  }

  void append(Map<String, Object> event) {
    try {
      for (RunScalars.Point point : scalars.of(event)) {
        write(channel, TensorBoardFile.scalars(clock.getAsDouble(), point.step(), point.values()));
      }
    } catch (IOException e) {
      throw InputException.unwritable(file, e);
    }
  }

  private static void write(FileChannel channel, byte[] record) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(record);
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw InputException.unwritable(file, e);
    }
  }
}
