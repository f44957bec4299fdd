package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.AccuracyMatrix;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import org.apache.commons.statistics.inference.TTest;
import org.apache.commons.statistics.inference.WilcoxonSignedRankTest;

/**
 * Finished runs, grouped by method and settings: what differs inside a group is the seed (and, if
 * that was allowed, the stream). The first group is the one that the others are tested against.
 *
 * @param streams how many different streams the runs learned
 */
public record RunGroups(List<Group> groups, int streams) {

  private static final String METHOD = "method";

  /** What neither changes a result nor makes a group of its own. */
  private static final Set<String> BESIDE =
      Set.of(
          Settings.SEED.name(),
          Settings.THREADS.name(),
          Settings.CHECKPOINT_SECONDS.name(),
          Settings.LABEL.name());

  /** What is compared: all in shares of 1. */
  public enum Measure {
    OP,
    BWT,
    FWT,
    AAA,
    FORGETTING;

    private OptionalDouble of(RunSummary run) {
      AccuracyMatrix matrix = run.matrix();
      return switch (this) {
        case OP -> matrix.overallPerformance();
        case BWT -> matrix.backwardTransfer();
        case FWT -> matrix.zeroShotForwardTransfer();
        case AAA -> matrix.averageAnytimeAccuracy();
        case FORGETTING -> matrix.forgetting();
      };
    }
  }

  /** A test of paired differences, two-sided. */
  public enum Test {
    /** Student's, which takes the differences to be normal. */
    T(5),
    /** Wilcoxon's signed ranks: with 5 pairs no p below 0.0625 is possible. */
    WILCOXON(6);

    private final int pairs;

    Test(int pairs) {
      this.pairs = pairs;
    }

    /** The fewest pairs that say something. */
    public int pairs() {
      return pairs;
    }

    private double p(double[] a, double[] b) {
      return switch (this) {
        case T -> TTest.withDefaults().pairedTest(a, b).getPValue();
        case WILCOXON -> WilcoxonSignedRankTest.withDefaults().test(a, b).getPValue();
      };
    }
  }

  /** What makes two runs learn the same: order and content of the tasks, and the model. */
  private record Stream(List<String> tasks, Map<String, String> inputs, String limits) {
    static Stream of(RunSummary run) {
      RunConfiguration configuration = run.configuration().orElseThrow();
      Settings settings = configuration.settings();
      return new Stream(
          configuration.tasks(),
          run.inputs(),
          settings.get(Settings.MAXIMUM_TRAIN_SAMPLES)
              + " "
              + settings.get(Settings.MAXIMUM_TEST_SAMPLES));
    }
  }

  private record Pair(Stream stream, long seed) {
    static Pair of(RunSummary run) {
      Settings settings = run.configuration().orElseThrow().settings();
      return new Pair(Stream.of(run), settings.get(Settings.SEED));
    }
  }

  /**
   * Runs of one method with one choice of settings.
   *
   * @param label what the runs were labelled, else the method and the settings somebody chose that
   *     tell it from other groups
   */
  public record Group(String label, List<RunSummary> runs) {

    public Group {
      runs = List.copyOf(runs);
    }

    /** Of the runs that have the measure. */
    public double[] values(Measure measure) {
      return runs.stream()
          .map(measure::of)
          .filter(OptionalDouble::isPresent)
          .mapToDouble(OptionalDouble::getAsDouble)
          .toArray();
    }

    public OptionalDouble mean(Measure measure) {
      return DoubleStream.of(values(measure)).average();
    }

    /** The standard deviation of the sample (n - 1); empty for fewer than two runs. */
    public OptionalDouble deviation(Measure measure) {
      double[] values = values(measure);
      if (values.length < 2) {
        return OptionalDouble.empty();
      }
      double mean = DoubleStream.of(values).average().orElseThrow();
      double squares = DoubleStream.of(values).map(v -> (v - mean) * (v - mean)).sum();
      return OptionalDouble.of(Math.sqrt(squares / (values.length - 1)));
    }
  }

  public RunGroups {
    groups = List.copyOf(groups);
  }

  /**
   * Groups runs in the order in which their methods first occur.
   *
   * @param acrossStreams whether runs may have learned different streams
   * @throws InputException if a run is not finished, stands twice, or learned another stream
   */
  public static RunGroups of(List<RunSummary> runs, boolean acrossStreams) {
    SequencedMap<Stream, List<Path>> streams = new LinkedHashMap<>();
    SequencedMap<Map<String, String>, List<RunSummary>> byKey = new LinkedHashMap<>();
    for (RunSummary run : runs) {
      if (run.state() != RunSummary.State.FINISHED) {
        throw new InputException(
            "%s: the run is not finished: only finished runs can be compared"
                .formatted(run.folder()));
      }
      streams.computeIfAbsent(Stream.of(run), _ -> new ArrayList<>()).add(run.folder());
      List<RunSummary> group = byKey.computeIfAbsent(key(run), _ -> new ArrayList<>());
      for (RunSummary other : group) {
        if (Pair.of(other).equals(Pair.of(run))) {
          throw new InputException(
              "%s and %s are the same run, seed included; name one of them"
                  .formatted(other.folder(), run.folder()));
        }
      }
      group.add(run);
    }
    if (streams.size() > 1 && !acrossStreams) {
      throw new InputException(
          "these runs learned different streams, and a mean over them would mix them: %s; name runs of one stream, or say --across-streams"
              .formatted(
                  streams.entrySet().stream()
                          .map(e -> String.join(",", e.getKey().tasks()) + " in " + e.getValue())
                          .collect(Collectors.joining("; "))
                      + (streams.keySet().stream().map(Stream::tasks).distinct().count() == 1
                          ? " (the same tasks, but other data, sizes or another model)"
                          : "")));
    }
    Set<String> telling = telling(byKey.keySet());
    List<Group> groups = new ArrayList<>();
    Set<String> taken = new HashSet<>();
    byKey.forEach(
        (_, members) -> {
          String given = given(members);
          String label =
              !given.isEmpty() && taken.add(given) ? given : label(members.getFirst(), telling);
          groups.add(new Group(label, members));
        });
    return new RunGroups(groups, streams.size());
  }

  private static Map<String, String> key(RunSummary run) {
    RunConfiguration configuration = run.configuration().orElseThrow();
    Map<String, String> key = new LinkedHashMap<>(configuration.settings().resolved());
    key.keySet().removeAll(BESIDE);
    key.put(METHOD, configuration.method().text());
    return key;
  }

  /** Settings that are not the same in all groups. */
  private static Set<String> telling(Set<Map<String, String>> keys) {
    Set<String> names = new LinkedHashSet<>();
    for (String name : keys.iterator().next().keySet()) {
      if (!name.equals(METHOD) && keys.stream().map(k -> k.get(name)).distinct().count() > 1) {
        names.add(name);
      }
    }
    return names;
  }

  /** The label that all runs of a group were given; empty if they were given none, or several. */
  private static String given(List<RunSummary> group) {
    List<String> labels =
        group.stream()
            .map(run -> run.configuration().orElseThrow().settings().get(Settings.LABEL))
            .distinct()
            .toList();
    return labels.size() == 1 ? labels.getFirst() : "";
  }

  /** A method by itself stands for its defaults: what nobody chose is not said. */
  private static String label(RunSummary run, Set<String> telling) {
    RunConfiguration configuration = run.configuration().orElseThrow();
    Map<String, String> values = configuration.settings().resolved();
    List<String> words = new ArrayList<>();
    words.add(configuration.method().text());
    for (String name : configuration.settings().chosenNames()) {
      if (telling.contains(name)) {
        words.add(name + "=" + values.get(name));
      }
    }
    return String.join(" ", words);
  }

  /** How many runs of two groups have stream and seed in common. */
  public int pairs(Group a, Group b) {
    return paired(a, b, Measure.OP)[0].length;
  }

  private static double[][] paired(Group a, Group b, Measure measure) {
    Map<Pair, RunSummary> others =
        b.runs().stream().collect(Collectors.toMap(Pair::of, Function.identity()));
    List<double[]> pairs = new ArrayList<>();
    for (RunSummary run : a.runs()) {
      RunSummary other = others.get(Pair.of(run));
      if (other != null) {
        OptionalDouble x = measure.of(run);
        OptionalDouble y = measure.of(other);
        if (x.isPresent() && y.isPresent()) {
          pairs.add(new double[] {x.getAsDouble(), y.getAsDouble()});
        }
      }
    }
    return new double[][] {
      pairs.stream().mapToDouble(pair -> pair[0]).toArray(),
      pairs.stream().mapToDouble(pair -> pair[1]).toArray()
    };
  }

  /**
   * The probability of differences to the first group at least as large as these if there were
   * none, corrected for the number of groups (Holm, 1979).
   *
   * @return for each group; empty for the first, and where there are too few pairs or their
   *     differences have no spread
   */
  public List<OptionalDouble> significance(Measure measure, Test test) {
    double[] raw = new double[groups.size()];
    Arrays.fill(raw, Double.NaN);
    for (int i = 1; i < groups.size(); i++) {
      double[][] pairs = paired(groups.get(i), groups.getFirst(), measure);
      double[] a = pairs[0];
      double[] b = pairs[1];
      double[] differences = new double[a.length];
      Arrays.setAll(differences, j -> a[j] - b[j]);
      if (a.length >= test.pairs && DoubleStream.of(differences).distinct().count() > 1) {
        raw[i] = test.p(a, b);
      }
    }
    double[] corrected = holm(raw);
    return DoubleStream.of(corrected)
        .mapToObj(p -> Double.isNaN(p) ? OptionalDouble.empty() : OptionalDouble.of(p))
        .toList();
  }

  /** Steps down from the smallest; what is no number stays so and does not count. */
  static double[] holm(double[] raw) {
    double[] sorted = DoubleStream.of(raw).filter(p -> !Double.isNaN(p)).sorted().toArray();
    double[] corrected = raw.clone();
    for (int i = 0; i < raw.length; i++) {
      if (Double.isNaN(raw[i])) {
        continue;
      }
      double largest = 0;
      for (int rank = 0; rank < sorted.length && sorted[rank] <= raw[i]; rank++) {
        largest = Math.max(largest, (sorted.length - rank) * sorted[rank]);
      }
      corrected[i] = Math.min(1, largest);
    }
    return corrected;
  }
}
