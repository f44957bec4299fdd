package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * The folder of one run, held by one process at a time.
 *
 * <pre>
 * configuration.json    everything that was asked for, defaults included
 * provenance.json       versions, hashes of model and data, machine, kernels
 * events.jsonl          every update, fusion and evaluation, one JSON object a line
 * tensorboard/          scalars of the same, for TensorBoard
 * times.json            where the time went
 * checkpoint.safetensors  the newest state to go on from, and in
 * checkpoint.previous.safetensors  the one before it
 * adapters/01-TASK/     the adapter after each task, as PEFT writes it
 * predictions/01-TASK/  what was answered after that task, TASK.jsonl for every task seen
 * result.json           accuracy matrix and measures, once the run is complete
 * </pre>
 */
public final class RunFolder implements AutoCloseable {

  /** Changes when a folder of an older version could no longer be resumed. */
  static final int VERSION = 1;

  /** In the folder of a sweep: its runs as planned. */
  public static final String SWEEP_PLAN = "sweep.json";

  /** In the folder of a sweep: where its runs are. */
  public static final String SWEEP_RUNS = "runs";

  static final String CONFIGURATION = "configuration.json";
  static final String PROVENANCE = "provenance.json";
  static final String RESULT = "result.json";
  static final String EVENTS = "events.jsonl";
  static final String TIMES = "times.json";
  private static final String TENSORBOARD = "tensorboard";
  private static final String LOCK = "run.lock";

  private static final JsonMapper JSON =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  private final Path folder;
  private final FolderLock lock;

  private RunFolder(Path folder, FolderLock lock) {
    this.folder = folder;
    this.lock = lock;
  }

  /**
   * Makes a new run folder.
   *
   * @throws InputException if the folder already holds a run, something else, or cannot be made
   */
  public static RunFolder create(Path folder) {
    if (Files.exists(folder.resolve(CONFIGURATION))) {
      throw new InputException(
          folder
              + ": already holds a run; go on with it by 'kif resume "
              + folder
              + "', or name another folder");
    }
    try {
      if (Files.isDirectory(folder)) {
        try (var files = Files.list(folder)) {
          if (!files.allMatch(RunFolder::isBeginning)) {
            throw new InputException(
                folder + ": is not empty and holds no run; name a new folder for the run");
          }
        }
      }
      Files.createDirectories(folder);
      return locked(folder);
    } catch (IOException e) {
      throw new InputException(
          folder + ": the run folder cannot be made: " + InputException.reason(folder, e), e);
    }
  }

  /**
   * Opens the folder of a run that was begun before.
   *
   * @throws InputException if it holds no run, one of another version, or one that another process
   *     works on
   */
  public static RunFolder open(Path folder) {
    if (!Files.isRegularFile(folder.resolve(CONFIGURATION))) {
      throw new InputException(
          folder
              + ": holds no run: there is no "
              + CONFIGURATION
              + " in it; 'kif train --output "
              + folder
              + "' begins one");
    }
    try {
      RunFolder run = locked(folder);
      run.deleteTemporaryFiles();
      int version = run.version();
      if (version != VERSION) {
        run.close();
        throw new InputException(
            folder
                + ": the run was written in version "
                + version
                + " of the folder, this program"
                + " reads version "
                + VERSION
                + "; resume it with the program that began it");
      }
      return run;
    } catch (IOException e) {
      throw new InputException(
          folder + ": the run folder cannot be opened: " + InputException.reason(folder, e), e);
    }
  }

  private int version() {
    try {
      return configuration().path("version").asInt(0);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /** Whether a file is what is left of a run that was killed before its configuration stood. */
  private static boolean isBeginning(Path file) {
    String name = file.getFileName().toString();
    return name.equals(LOCK) || name.equals(PROVENANCE) || isTemporary(file);
  }

  private static boolean isTemporary(Path file) {
    String name = file.getFileName().toString();
    return name.startsWith(".") && name.endsWith(".tmp");
  }

  /** Takes away what a killed process had begun to write: a checkpoint may be large. */
  private void deleteTemporaryFiles() throws IOException {
    try (var files = Files.walk(folder)) {
      for (Path file : files.filter(RunFolder::isTemporary).toList()) {
        Files.deleteIfExists(file);
      }
    }
  }

  private static RunFolder locked(Path folder) throws IOException {
    return new RunFolder(
        folder,
        FolderLock.take(folder, LOCK)
            .orElseThrow(
                () ->
                    new InputException(
                        folder
                            + ": another process works on this run; wait for it or stop it"
                            + " first")));
  }

  /** Whether a process works on the run of a folder at this moment. */
  static boolean isHeld(Path folder) {
    return FolderLock.isHeld(folder, LOCK);
  }

  /** Whether a folder holds a run that can be gone on with. */
  public static boolean holdsRun(Path folder) {
    return Files.isRegularFile(folder.resolve(CONFIGURATION));
  }

  public Path path() {
    return folder;
  }

  Path resolve(String name) {
    return folder.resolve(name);
  }

  Path events() {
    return folder.resolve(EVENTS);
  }

  Path times() {
    return folder.resolve(TIMES);
  }

  Path tensorBoard() {
    return folder.resolve(TENSORBOARD);
  }

  CheckpointFiles checkpoints() {
    return new CheckpointFiles(folder);
  }

  /** {@code adapters/01-dbpedia}: tasks are counted from 1. */
  Path adapter(int task, String name) {
    return folder.resolve("adapters").resolve(numbered(task, name));
  }

  Path predictions(int afterTask, String after, String task) {
    return folder
        .resolve("predictions")
        .resolve(numbered(afterTask, after))
        .resolve(task + ".jsonl");
  }

  private static String numbered(int task, String name) {
    return "%02d-%s".formatted(task + 1, name);
  }

  boolean isComplete() {
    return Files.isRegularFile(folder.resolve(RESULT));
  }

  JsonNode configuration() {
    return read(CONFIGURATION);
  }

  void writeConfiguration(Object json) {
    write(CONFIGURATION, json);
  }

  JsonNode provenance() {
    return read(PROVENANCE);
  }

  void writeProvenance(Object json) {
    write(PROVENANCE, json);
  }

  void writeResult(Object json) {
    write(RESULT, json);
  }

  public JsonNode result() {
    return read(RESULT);
  }

  private JsonNode read(String name) {
    Path file = folder.resolve(name);
    try {
      return new ObjectMapper().readTree(file.toFile());
    } catch (JacksonException e) {
      throw new InputException(
          "%s: cannot be read: %s; put back a copy of the file, or begin a new run"
              .formatted(file, e.getOriginalMessage()),
          e);
    }
  }

  private void write(String name, Object json) {
    AtomicFile.write(folder.resolve(name), JSON.writeValueAsBytes(json));
  }

  @Override
  public void close() {
    lock.close();
  }
}
