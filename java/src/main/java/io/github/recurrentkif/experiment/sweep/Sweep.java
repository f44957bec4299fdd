package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.RunFolder;
import io.github.recurrentkif.experiment.RunSummary;
import io.github.recurrentkif.experiment.sweep.Workload.Amount;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Carries out a plan: starts a process for each run, several at once, until all are finished or
 * have failed. A run that was begun before goes on; one process's end, however it comes, ends
 * nothing else.
 */
public final class Sweep {

  private static final long BEAT_MILLISECONDS = 100;
  private static final long LOOK_NANOS = 500_000_000;
  private static final long ELSEWHERE_NANOS = 1_000_000_000;
  private static final int SIGNALS = 128;
  private static final int KILLED = SIGNALS + 9;

  /** Of a process that was asked to end: by SIGHUP, SIGINT or SIGTERM. */
  private static final Set<Integer> ASKED = Set.of(SIGNALS + 1, SIGNALS + 2, SIGNALS + 15);

  /** Starts the program that this is, with other arguments. */
  @FunctionalInterface
  public interface Launcher {
    /**
     * @param log takes what the process writes to its error stream
     */
    Process start(List<String> arguments, Path log) throws IOException;
  }

  /**
   * How many processes work at once.
   *
   * @param workers at most; fewer while memory is short
   * @param threads of each
   */
  public record Crew(int workers, int threads) {}

  /**
   * What came of a sweep.
   *
   * @param unfinished stopped, or never begun
   * @param interrupted whether it was asked to stop before all was done
   */
  public record Outcome(
      List<PlannedRun> finished,
      List<PlannedRun> failed,
      List<PlannedRun> unfinished,
      boolean interrupted) {}

  private record Said(Worker worker, @Nullable WorkerMessage message) {}

  private final SweepPlan plan;
  private final SweepFolder folder;
  private final Map<PlannedRun, Needs> needs;
  private final Crew crew;
  private final Launcher launcher;
  private final SweepListener listener;
  private final BooleanSupplier stop;

  private final Speeds speeds;
  private final BlockingQueue<Said> said = new LinkedBlockingQueue<>();
  private final Deque<PlannedRun> waiting = new ArrayDeque<>();
  private final List<PlannedRun> elsewhere = new ArrayList<>();
  private final List<Worker> workers = new ArrayList<>();
  private final List<PlannedRun> finished = new ArrayList<>();
  private final List<PlannedRun> failed = new ArrayList<>();
  private long looked = System.nanoTime() - LOOK_NANOS;
  private long lookedElsewhere = System.nanoTime() - ELSEWHERE_NANOS;
  private boolean saidMemory;

  /**
   * @param needs of each run of the plan
   * @param stop asked several times a second; then every process saves its state and ends
   */
  public Sweep(
      SweepPlan plan,
      SweepFolder folder,
      Map<PlannedRun, Needs> needs,
      Crew crew,
      Launcher launcher,
      SweepListener listener,
      BooleanSupplier stop) {
    this.plan = plan;
    this.folder = folder;
    this.needs = needs;
    this.crew = crew;
    this.launcher = launcher;
    this.listener = listener;
    this.stop = stop;
    this.speeds = folder.speeds();
  }

  /**
   * Works until nothing is left to do, or until it is asked to stop and every process has ended.
   *
   * @param retryFailed whether runs that failed before are tried again
   */
  public Outcome run(boolean retryFailed) {
    for (PlannedRun run : plan.runs()) {
      if (isFinished(run)) {
        folder.forgetFailure(run);
        finished.add(run);
      } else if (!retryFailed && folder.reason(run).isPresent()) {
        failed.add(run);
      } else {
        waiting.add(run);
      }
    }
    boolean stopping = false;
    try {
      while (true) {
        if (!stopping && stop.getAsBoolean()) {
          stopping = true;
          workers.forEach(Worker::askToStop);
        }
        if (!stopping) {
          lookElsewhere();
          fill();
        }
        if (workers.isEmpty() && (stopping || (waiting.isEmpty() && elsewhere.isEmpty()))) {
          break;
        }
        hear(said.poll(BEAT_MILLISECONDS, TimeUnit.MILLISECONDS));
        listener.at(state());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      workers.forEach(Worker::askToStop);
    }
    List<PlannedRun> unfinished = new ArrayList<>(plan.runs());
    unfinished.removeAll(finished);
    unfinished.removeAll(failed);
    return new Outcome(
        inOrder(finished), inOrder(failed), unfinished, stopping && !unfinished.isEmpty());
  }

  private List<PlannedRun> inOrder(List<PlannedRun> runs) {
    return plan.runs().stream().filter(runs::contains).toList();
  }

  /** What was measured, in this folder and by this sweep. */
  public Speeds speeds() {
    Speeds all = new Speeds();
    all.addAll(speeds);
    workers.forEach(worker -> all.add(method(worker.run()), worker.speedSoFar()));
    return all;
  }

  private static String method(PlannedRun run) {
    return run.configuration().method().text();
  }

  private Workload workload(PlannedRun run) {
    return needs(run).workload();
  }

  private Needs needs(PlannedRun run) {
    Needs of = needs.get(run);
    if (of == null) {
      throw new IllegalStateException("nothing is known of " + run.name());
    }
    return of;
  }

  private boolean isFinished(PlannedRun run) {
    return folder
        .summary(run)
        .map(RunSummary::state)
        .filter(RunSummary.State.FINISHED::equals)
        .isPresent();
  }

  private boolean isHeld(PlannedRun run) {
    return folder
        .summary(run)
        .map(RunSummary::state)
        .filter(RunSummary.State.RUNNING::equals)
        .isPresent();
  }

  /** Runs that other processes work on: those of a sweep that was killed are about to end. */
  private void lookElsewhere() {
    long now = System.nanoTime();
    if (elsewhere.isEmpty() || now - lookedElsewhere < ELSEWHERE_NANOS) {
      return;
    }
    lookedElsewhere = now;
    for (PlannedRun run : List.copyOf(elsewhere)) {
      if (isFinished(run)) {
        elsewhere.remove(run);
        finished.add(run);
        listener.notice(run.name() + ": finished by another process");
      } else if (!isHeld(run)) {
        elsewhere.remove(run);
        waiting.addFirst(run);
      }
    }
  }

  private void fill() {
    while (workers.size() < crew.workers() && !waiting.isEmpty()) {
      PlannedRun run = waiting.getFirst();
      if (isHeld(run)) {
        waiting.removeFirst();
        elsewhere.add(run);
        listener.notice(run.name() + ": another process works on it; waiting for that one");
        continue;
      }
      if (!workers.isEmpty() && !hasRoomFor(run)) {
        return;
      }
      waiting.removeFirst();
      start(run);
    }
  }

  /** Whether memory suffices when those at work have grown as far as they will. */
  private boolean hasRoomFor(PlannedRun run) {
    long wanted = expected(run);
    long grown = 0;
    long growing = 0;
    for (Worker worker : workers) {
      long will = Math.max(worker.memory(), expected(worker.run()));
      grown += will;
      growing += will - worker.memory();
    }
    boolean room =
        MachineMemory.available() - growing >= wanted
            && grown + wanted + needs(run).weights() <= MachineMemory.usable();
    if (!room && !saidMemory) {
      saidMemory = true;
      listener.notice(
          "note: memory suffices for %d of %d processes (%s wants %.1f GiB)"
              .formatted(
                  workers.size(), crew.workers(), method(run), wanted / (double) (1L << 30)));
    }
    return room;
  }

  private long expected(PlannedRun run) {
    return needs(run).memory(speeds, method(run));
  }

  private void start(PlannedRun run) {
    folder.forgetFailure(run);
    Path output = folder.run(run);
    boolean resumed = RunFolder.holdsRun(output);
    List<String> arguments = new ArrayList<>();
    if (resumed) {
      arguments.addAll(List.of("resume", output.toString(), "--threads=" + crew.threads()));
      run.backend().device().ifPresent(device -> arguments.add("--device=" + device));
      run.backend().library().ifPresent(file -> arguments.add("--onnx-runtime=" + file));
      run.backend().graph().ifPresent(graph -> arguments.add("--graph=" + graph));
      run.backend().lean().filter(lean -> lean).ifPresent(_ -> arguments.add("--lean"));
    } else {
      folder.writeConfiguration(run, crew.threads());
      Path configuration = folder.configuration(run);
      arguments.addAll(List.of("train", "--config=" + configuration, "--output=" + output));
    }
    arguments.add("--worker");
    Path log = folder.log(run);
    try {
      Files.createDirectories(log.toAbsolutePath().getParent());
      long from = Files.exists(log) ? Files.size(log) : 0;
      Amount before = folder.summary(run).map(workload(run)::done).orElse(Workload.NOTHING);
      Worker worker = new Worker(run, workload(run), launcher.start(arguments, log), before, from);
      workers.add(worker);
      listener.begins(run, resumed);
      worker.listen((who, message) -> said.add(new Said(who, message)));
    } catch (IOException e) {
      fail(run, "its process cannot be started: " + InputException.reason(e));
    }
  }

  private void hear(@Nullable Said first) {
    for (Said one = first; one != null; one = said.poll()) {
      if (one.message() == null) {
        ended(one.worker());
      } else {
        one.worker().heard(one.message());
      }
    }
    if (System.nanoTime() - looked >= LOOK_NANOS) {
      looked = System.nanoTime();
      workers.forEach(Worker::look);
    }
  }

  private void ended(Worker worker) {
    PlannedRun run = worker.run();
    workers.remove(worker);
    speeds.add(method(run), worker.speed());
    folder.writeSpeeds(speeds);
    int status = worker.status();
    if (status == 0 && isFinished(run)) {
      finished.add(run);
      listener.finished(run, worker.seconds());
    } else if (ASKED.contains(status)) {
      listener.stopped(run);
    } else {
      fail(run, reason(status, folder.log(run), worker.logFrom()));
    }
  }

  private void fail(PlannedRun run, String reason) {
    folder.writeFailure(run, reason);
    failed.add(run);
    listener.failed(run, reason, folder.log(run));
  }

  /** Why a process ended: its own last word, or the signal that ended it. */
  static String reason(int status, Path log, long from) {
    String own = lastError(log, from).orElse("");
    if (status > SIGNALS) {
      String signal = "killed by signal " + (status - SIGNALS);
      String why = status == KILLED ? " (by somebody, or by the system for want of memory)" : "";
      return own.isEmpty() ? signal + why : signal + ": " + own;
    }
    return own.isEmpty() ? "ended with status " + status : own;
  }

  private static Optional<String> lastError(Path log, long from) {
    try {
      byte[] bytes = Files.readAllBytes(log);
      int start = (int) Math.min(from, bytes.length);
      String text = new String(bytes, start, bytes.length - start, StandardCharsets.UTF_8);
      return text.lines()
          .filter(line -> line.startsWith("kif: error: ") || line.startsWith("kif: bug: "))
          .reduce((_, last) -> last)
          .map(line -> line.replaceFirst("^kif: error: ", "").replaceFirst("^kif: bug", "bug"))
          .or(
              () ->
                  text.lines()
                      .filter(line -> line.matches("#\\s+SIG.*|.*OutOfMemoryError.*"))
                      .findFirst()
                      .map(line -> line.replaceFirst("^#\\s*", "crashed: ")));
    } catch (IOException | InputException e) {
      return Optional.empty();
    }
  }

  private SweepListener.State state() {
    Speeds known = speeds();
    double all = 0;
    double done = 0;
    double left = 0;
    boolean told = true;
    double learned = 0;
    List<SweepListener.Active> active = new ArrayList<>();
    for (PlannedRun run : plan.runs()) {
      if (failed.contains(run)) {
        continue;
      }
      Amount total = workload(run).total();
      Amount behind = finished.contains(run) ? total : Workload.NOTHING;
      boolean starts = !finished.contains(run);
      for (Worker worker : workers) {
        if (worker.run().equals(run)) {
          behind = worker.done();
          starts = false;
          learned += worker.learned() / worker.seconds();
          active.add(
              new SweepListener.Active(
                  run, worker.task(), worker.doing(), share(known, run, behind, total)));
        }
      }
      OptionalDouble whole = known.seconds(method(run), total, false);
      OptionalDouble rest = known.seconds(method(run), total.minus(behind), starts);
      told &= whole.isPresent() && rest.isPresent();
      all += whole.orElse(0);
      done += share(known, run, behind, total) * whole.orElse(0);
      left += rest.orElse(0);
    }
    int atWork = Math.max(1, Math.min(crew.workers(), workers.size() + waiting.size()));
    return new SweepListener.State(
        plan.runs().size(),
        finished.size(),
        failed.size(),
        active,
        all > 0 ? done / all : (double) finished.size() / plan.runs().size(),
        told ? OptionalDouble.of(left / atWork) : OptionalDouble.empty(),
        learned,
        workers.stream().mapToLong(Worker::memory).sum());
  }

  private static double share(Speeds known, PlannedRun run, Amount behind, Amount total) {
    OptionalDouble part = known.seconds(method(run), behind, false);
    OptionalDouble whole = known.seconds(method(run), total, false);
    return part.isPresent() && whole.isPresent() && whole.getAsDouble() > 0
        ? part.getAsDouble() / whole.getAsDouble()
        : behind.learned() / Math.max(1, total.learned());
  }
}
