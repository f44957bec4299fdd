package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.FolderLock;
import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.RunFolder;
import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * The folder of a sweep.
 *
 * <pre>
 * sweep.json                the runs as planned last
 * configurations/NAME.json  each of them as a configuration file for kif train
 * runs/NAME/                the run folders
 * logs/NAME.log             what the process of a run wrote, attempt after attempt
 * failures/NAME.txt         why a run failed; taken away when it is tried again
 * speeds.json               how fast the runs went
 * comparison.*              the table of the finished runs
 * </pre>
 */
public record SweepFolder(Path path) {

  private static final String PLAN = RunFolder.SWEEP_PLAN;
  private static final String LOCK = "sweep.lock";
  private static final String SPEEDS = "speeds.json";
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  /** Where the runs are. */
  public Path runs() {
    return path.resolve(RunFolder.SWEEP_RUNS);
  }

  public Path run(PlannedRun run) {
    return runs().resolve(run.name());
  }

  public Path log(PlannedRun run) {
    return path.resolve("logs").resolve(run.name() + ".log");
  }

  public Path configuration(PlannedRun run) {
    return path.resolve("configurations").resolve(run.name() + ".json");
  }

  private Path failure(PlannedRun run) {
    return path.resolve("failures").resolve(run.name() + ".txt");
  }

  /**
   * Makes the folder where it is not there, and writes the plan into it.
   *
   * @throws InputException if it holds something else
   */
  public void write(SweepPlan plan) {
    makeFolder();
    write(path.resolve(PLAN), toJson(plan));
  }

  /**
   * Keeps the folder to this process, and writes the plan into it.
   *
   * @throws InputException if another sweep works on it, or it holds something else
   */
  public FolderLock take(SweepPlan plan) {
    makeFolder();
    try {
      FolderLock lock =
          FolderLock.take(path, LOCK)
              .orElseThrow(
                  () ->
                      new InputException(
                          path
                              + ": another sweep works on this folder; wait for it or stop it"
                              + " first"));
      try {
        write(plan);
      } catch (RuntimeException e) {
        lock.close();
        throw e;
      }
      return lock;
    } catch (IOException e) {
      throw new InputException(path + ": cannot be locked: " + InputException.reason(path, e), e);
    }
  }

  private void makeFolder() {
    try {
      if (!Files.exists(path.resolve(PLAN)) && Files.isDirectory(path)) {
        try (var files = Files.list(path)) {
          if (!files.allMatch(SweepFolder::isBeginning)) {
            throw new InputException(
                path + ": is not empty and holds no sweep; name a new folder for it");
          }
        }
      }
      Files.createDirectories(path);
    } catch (IOException e) {
      throw new InputException(
          path + ": the folder cannot be made: " + InputException.reason(path, e), e);
    }
  }

  private static boolean isBeginning(Path file) {
    String name = file.getFileName().toString();
    return name.equals(LOCK) || name.endsWith(".tmp");
  }

  private static Map<String, Object> toJson(SweepPlan plan) {
    List<Map<String, Object>> runs = new ArrayList<>();
    for (PlannedRun run : plan.runs()) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("name", run.name());
      one.put("method", run.configuration().method().text());
      one.put("order", run.order());
      one.put("seed", run.seed());
      one.put("tasks", run.configuration().tasks());
      one.put("settings", run.chosen());
      runs.add(one);
    }
    return Map.of("version", 1, "runs", runs);
  }

  /** How a run stands; empty if it was not begun. */
  public Optional<RunSummary> summary(PlannedRun run) {
    return RunFolder.holdsRun(run(run)) ? Optional.of(RunSummary.of(run(run))) : Optional.empty();
  }

  /**
   * Checks that a run that was begun is the one that is planned.
   *
   * @throws InputException if it is another one; names what differs
   */
  void requireSame(PlannedRun run, RunConfiguration planned) {
    RunConfiguration begun = summary(run).flatMap(RunSummary::configuration).orElse(null);
    if (begun == null) {
      return;
    }
    String difference = difference(begun, planned);
    if (!difference.isEmpty()) {
      throw new InputException(
          "%s: was begun as another run: %s; name another folder for this sweep, or remove that run to begin it again"
              .formatted(run(run), difference));
    }
  }

  private static String difference(RunConfiguration begun, RunConfiguration planned) {
    Map<String, String> there = facts(begun);
    Map<String, String> asked = facts(planned);
    for (Map.Entry<String, String> fact : asked.entrySet()) {
      String other = there.getOrDefault(fact.getKey(), "nothing");
      if (!other.equals(fact.getValue())) {
        return "%s is %s there, asked for is %s".formatted(fact.getKey(), other, fact.getValue());
      }
    }
    return "";
  }

  private static Map<String, String> facts(RunConfiguration run) {
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("method", run.method().text());
    facts.put("tasks", String.join(",", run.tasks()));
    facts.put("model", run.model().toAbsolutePath().normalize().toString());
    facts.put("data", run.data().toAbsolutePath().normalize().toString());
    facts.putAll(run.settings().resolved());
    facts.keySet().removeAll(SweepPlan.BESIDE);
    return facts;
  }

  void writeConfiguration(PlannedRun run, int threads) {
    AtomicFile.write(configuration(run), run.configurationFile(threads));
  }

  /** Why a run failed when it was last tried. */
  public Optional<String> reason(PlannedRun run) {
    Path file = failure(run);
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      return Optional.of(Files.readString(file).strip());
    } catch (IOException e) {
      return Optional.of(file + ": cannot be read: " + InputException.reason(file, e));
    }
  }

  void writeFailure(PlannedRun run, String reason) {
    AtomicFile.write(failure(run), (reason + "\n").getBytes(StandardCharsets.UTF_8));
  }

  void forgetFailure(PlannedRun run) {
    try {
      Files.deleteIfExists(failure(run));
    } catch (IOException e) {
      throw new InputException(
          failure(run) + ": cannot be removed: " + InputException.reason(failure(run), e), e);
    }
  }

  /** What was measured in this folder; nothing if that cannot be read. */
  public Speeds speeds() {
    Path file = path.resolve(SPEEDS);
    if (!Files.isRegularFile(file)) {
      return new Speeds();
    }
    try {
      JsonNode json = JSON.readTree(file.toFile());
      return Speeds.fromJson(json);
    } catch (JacksonException e) {
      // It only serves to guess.
      return new Speeds();
    }
  }

  void writeSpeeds(Speeds speeds) {
    write(path.resolve(SPEEDS), speeds.toJson());
  }

  private static void write(Path file, Object json) {
    AtomicFile.write(file, JSON.writeValueAsBytes(json));
  }
}
