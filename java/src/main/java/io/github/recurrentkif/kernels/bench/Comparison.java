package io.github.recurrentkif.kernels.bench;

import io.github.recurrentkif.kernels.bench.Outcome.Copy;
import io.github.recurrentkif.kernels.bench.Outcome.Entry;
import io.github.recurrentkif.kernels.bench.Outcome.Times;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Checks contestants against the specification, then lets those that agree take turns under one
 * clock.
 *
 * <p>In each round every contestant and every copy has its turn, and each round begins with another
 * one, so that what else the machine does meets all alike. A turn restores the arrays, clears the
 * caches and measures one run; then it restores the arrays, runs once unmeasured, and measures runs
 * right after it. Runs of less than five milliseconds are measured together until they take that
 * long, restoring the arrays now and then. Contestants and copies work on the same arrays.
 *
 * @param repetitions rounds, at least 1
 * @param cacheBytes the size of the largest cache that counts
 */
public record Comparison(int repetitions, long cacheBytes) {

  /** Beyond this, a copy's bandwidth does not change any more. */
  private static final long LONGEST_COPY = 1L << 30;

  private static final double WARM_NANOSECONDS = 5_000_000;
  private static final int MOST_WARM_RUNS = 50_000;

  /** Repeated without end, a moving average would decay into denormals. */
  private static final int RUNS_BEFORE_RESTORING = 64;

  private static final double WARM_UP_NANOSECONDS = 50e6;
  private static final int MOST_WARM_UPS = 200_000;

  public Comparison {
    if (repetitions < 1) {
      throw new IllegalArgumentException("a comparison needs one round at least: " + repetitions);
    }
  }

  /** Somebody whose turn it is. */
  private static final class Turn {
    final Contestant contestant;
    final Operation operation;
    final Vectors vectors;
    final Set<Role> restored;
    final double[] cold;
    final double[] warm;
    int warmRuns;

    Turn(Contestant contestant, Operation operation, Vectors vectors, int repetitions) {
      this.contestant = contestant;
      this.operation = operation;
      this.vectors = vectors;
      this.restored = operation == Operation.COPY ? Set.of() : operation.written();
      this.cold = new double[repetitions];
      this.warm = new double[repetitions];
    }

    Times times() {
      return new Times(Sample.of(cold), Sample.of(warm));
    }
  }

  /** Compares all of the field that can do the operation. */
  public Outcome run(Field field, Operation operation, long n, Values values) {
    List<Contestant> able =
        field.contestants().stream()
            .filter(contestant -> contestant.operations().contains(operation))
            .toList();
    long bytes = operation.bytesPerElement() * n;
    long copied = Math.min(bytes, LONGEST_COPY) / Operation.COPY.bytesPerElement();
    Contestant last = field.copiers().getLast();
    try (Agreement agreement = new Agreement(operation, n, values);
        Vectors vectors = new Vectors(operation.arrays(), n, last.device());
        Vectors copy = new Vectors(Operation.COPY.arrays(), copied, last.device());
        Vectors cleared =
            new Vectors(Operation.COPY.arrays(), cacheBytes / Float.BYTES, last.device())) {
      Map<Contestant, Optional<String>> faults = new LinkedHashMap<>();
      List<Turn> turns = new ArrayList<>();
      for (Contestant contestant : able) {
        Optional<String> fault =
            Agreement.faultOnSmallSizes(contestant, operation)
                .or(() -> agreement.fault(contestant, vectors));
        faults.put(contestant, fault);
        if (fault.isEmpty()) {
          turns.add(new Turn(contestant, operation, vectors, repetitions));
        }
      }
      vectors.set(agreement.inputs(), operation.arrays());
      for (Contestant copier : field.copiers()) {
        turns.add(new Turn(copier, Operation.COPY, copy, repetitions));
      }
      measure(turns, agreement.inputs(), () -> clear(last, cleared));

      Turn fastest =
          turns.stream()
              .filter(turn -> turn.operation == Operation.COPY)
              .min(Comparator.comparingDouble(turn -> turn.times().cold().median()))
              .orElseThrow();
      List<Entry> entries = new ArrayList<>();
      faults.forEach(
          (contestant, fault) ->
              entries.add(
                  new Entry(
                      contestant.name(),
                      fault,
                      turns.stream()
                          .filter(turn -> turn.contestant.equals(contestant))
                          .filter(turn -> turn.operation == operation)
                          .map(Turn::times)
                          .findFirst())));
      return new Outcome(
          field.device(),
          operation,
          n,
          values,
          bytes,
          new Copy(
              fastest.contestant.name(),
              copied * Operation.COPY.bytesPerElement(),
              fastest.times()),
          entries);
    }
  }

  private static void clear(Contestant contestant, Vectors cleared) {
    contestant.run(Operation.COPY, cleared);
    contestant.await();
  }

  private void measure(List<Turn> turns, Vectors inputs, Runnable clearCaches) {
    for (Turn turn : turns) {
      warmUp(turn, inputs);
    }
    for (int round = 0; round < repetitions; round++) {
      for (int i = 0; i < turns.size(); i++) {
        Turn turn = turns.get((i + round) % turns.size());
        restore(turn, inputs);
        clearCaches.run();
        turn.cold[round] = turn.contestant.nanoseconds(turn.operation, turn.vectors, 1);
        turn.warm[round] = warm(turn, inputs);
      }
    }
  }

  /** Nanoseconds of one run right after another. */
  private static double warm(Turn turn, Vectors inputs) {
    double sum = 0;
    for (int left = turn.warmRuns; left > 0; left -= RUNS_BEFORE_RESTORING) {
      restore(turn, inputs);
      turn.contestant.nanoseconds(turn.operation, turn.vectors, 1);
      int runs = Math.min(left, RUNS_BEFORE_RESTORING);
      sum += turn.contestant.nanoseconds(turn.operation, turn.vectors, runs);
    }
    return sum / turn.warmRuns;
  }

  /** Lets the compiler of Java finish, and counts how many runs take long enough for the clock. */
  private static void warmUp(Turn turn, Vectors inputs) {
    double sum = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int i = 0; i < 2 || (sum < WARM_UP_NANOSECONDS && i < MOST_WARM_UPS); i++) {
      if (i % RUNS_BEFORE_RESTORING == 0) {
        restore(turn, inputs);
      }
      double time = turn.contestant.nanoseconds(turn.operation, turn.vectors, 1);
      sum += time;
      least = Math.min(least, time);
    }
    turn.warmRuns = (int) Math.clamp(WARM_NANOSECONDS / Math.max(1, least), 1, MOST_WARM_RUNS);
  }

  private static void restore(Turn turn, Vectors inputs) {
    if (!turn.restored.isEmpty()) {
      turn.vectors.set(inputs, turn.restored);
    }
  }
}
