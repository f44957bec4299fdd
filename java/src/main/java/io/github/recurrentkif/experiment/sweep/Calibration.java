package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.RunConfiguration;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.memory.AtomicFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * Measures a short run of each method before the sweep is begun: the first tasks, a few updates and
 * answers each, alone on the machine, in a folder that is removed again.
 */
public final class Calibration {

  private static final int TASKS = 4;
  private static final int UPDATES = 8;
  private static final int ANSWER_BATCHES = 2;
  private static final double PATIENCE_SECONDS = 60;

  private final int threads;
  private final Sweep.Launcher launcher;
  private final Consumer<String> say;

  /**
   * @param threads of each process of the sweep to come
   */
  public Calibration(int threads, Sweep.Launcher launcher, Consumer<String> say) {
    this.threads = threads;
    this.launcher = launcher;
    this.say = say;
  }

  /**
   * Measures the methods that nothing is known of.
   *
   * @param speeds takes what was measured
   * @return what it rests on, in words
   */
  public List<String> measure(
      List<PlannedRun> runs, Speeds speeds, Map<PlannedRun, Needs> needs, BooleanSupplier stop) {
    SequencedMap<String, PlannedRun> first = new LinkedHashMap<>();
    for (PlannedRun run : runs) {
      String method = run.configuration().method().text();
      if (!speeds.knows(method)) {
        first.putIfAbsent(method, run);
      }
    }
    List<String> notes = new ArrayList<>();
    for (Map.Entry<String, PlannedRun> entry : first.entrySet()) {
      if (stop.getAsBoolean()) {
        return notes;
      }
      say.accept("measuring a short run of " + entry.getKey());
      String problem = measure(entry.getValue(), speeds, needs, stop);
      if (!problem.isEmpty()) {
        notes.add("note: " + entry.getKey() + " could not be measured: " + problem);
      }
    }
    if (!first.isEmpty()) {
      notes.add(
          "both rest on a short run of %s, measured alone with the first order and settings: %d updates of each of the first tasks, %d batches of answers"
              .formatted(String.join(", ", first.keySet()), UPDATES, ANSWER_BATCHES));
    }
    return notes;
  }

  private String measure(
      PlannedRun run, Speeds speeds, Map<PlannedRun, Needs> needs, BooleanSupplier stop) {
    try {
      Path folder = Files.createTempDirectory("kif-measured-");
      try {
        PlannedRun shorter = shorter(run);
        SweepPlan plan = new SweepPlan(folder, List.of(shorter));
        Needs of = needs.get(run);
        if (of == null) {
          return "nothing is known of it";
        }
        Needs shortened =
            new Needs(
                new Workload.Counter().of(shorter.configuration()), of.weights(), of.memory());
        String[] problem = {""};
        SweepListener listener =
            new SweepListener() {
              @Override
              public void failed(PlannedRun failed, String reason, Path log) {
                problem[0] = reason;
              }
            };
        long start = System.nanoTime();
        Sweep sweep =
            new Sweep(
                plan,
                new SweepFolder(folder),
                Map.of(shorter, shortened),
                new Sweep.Crew(1, threads),
                launcher,
                listener,
                () -> stop.getAsBoolean() || (System.nanoTime() - start) / 1e9 > PATIENCE_SECONDS);
        sweep.run(false);
        speeds.addAll(sweep.speeds());
        return problem[0];
      } finally {
        AtomicFolder.delete(folder);
      }
    } catch (IOException e) {
      throw new InputException(
          "no folder for a short run can be made: " + InputException.reason(e), e);
    }
  }

  /** The same run with little to do. */
  private static PlannedRun shorter(PlannedRun run) {
    RunConfiguration configuration = run.configuration();
    Settings settings = configuration.settings();
    int batch = settings.get(Settings.MICRO_BATCH_SIZE) * settings.get(Settings.ACCUMULATION);
    int updates = Math.max(UPDATES, settings.get(Settings.CYCLE_LENGTH));
    int answers = ANSWER_BATCHES * settings.get(Settings.EVALUATION_BATCH_SIZE);
    int train = limit(batch * updates, settings.get(Settings.MAXIMUM_TRAIN_SAMPLES));
    SequencedMap<String, String> chosen = new LinkedHashMap<>(run.chosen());
    chosen.put(Settings.EPOCHS.name(), "1");
    chosen.put(Settings.MAXIMUM_TRAIN_SAMPLES.name(), String.valueOf(train));
    chosen.put(
        Settings.MAXIMUM_TEST_SAMPLES.name(),
        String.valueOf(limit(answers, settings.get(Settings.MAXIMUM_TEST_SAMPLES))));
    // So few samples would leave a memory too small for one of its batches.
    double percent =
        Math.max(
            settings.get(Settings.MEMORY_PERCENT),
            Math.min(100, 100.0 * settings.get(Settings.MEMORY_BATCH_SIZE) / train));
    chosen.put(Settings.MEMORY_PERCENT.name(), String.valueOf(percent));
    List<String> tasks = configuration.tasks();
    return new PlannedRun(
        run.label(),
        run.order(),
        new RunConfiguration(
            configuration.model(),
            configuration.data(),
            tasks.subList(0, Math.min(TASKS, tasks.size())),
            configuration.method(),
            Settings.defaults().with(chosen)),
        chosen,
        run.backend());
  }

  private static int limit(int wanted, int setting) {
    return setting == 0 ? wanted : Math.min(wanted, setting);
  }
}
