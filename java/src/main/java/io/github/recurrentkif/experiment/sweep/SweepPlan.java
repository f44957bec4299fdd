package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.BackendRequest;
import io.github.recurrentkif.experiment.RunRequest;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.experiment.Spelling;
import io.github.recurrentkif.experiment.YamlNode;
import io.github.recurrentkif.experiment.sweep.SweepFile.Exclusion;
import io.github.recurrentkif.experiment.sweep.SweepFile.Variant;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;

/**
 * The runs of a sweep, in the order to carry them out: all that belong to the first seed, then
 * those of the second, so that a sweep that is stopped has whole comparisons.
 *
 * @param output the folder of the sweep
 * @param runs with different names, no two of them the same run
 */
public record SweepPlan(Path output, List<PlannedRun> runs) {

  /** What changes no result: two runs that differ in it alone are the same run. */
  static final Set<String> BESIDE =
      Set.of(Settings.THREADS.name(), Settings.CHECKPOINT_SECONDS.name(), Settings.LABEL.name());

  public SweepPlan {
    runs = List.copyOf(runs);
  }

  /** The names of the orders of tasks. */
  public List<String> orders() {
    return runs.stream().map(PlannedRun::order).distinct().toList();
  }

  /**
   * Some runs of this plan.
   *
   * @throws InputException if one is not in it; names the nearest
   */
  public SweepPlan only(List<String> wanted) {
    List<String> names = runs.stream().map(PlannedRun::name).toList();
    for (String name : wanted) {
      if (!names.contains(name)) {
        throw new InputException(
            "no run of the plan is called '%s'; did you mean '%s'?"
                .formatted(name, Spelling.nearest(name, names)));
      }
    }
    return new SweepPlan(output, runs.stream().filter(run -> wanted.contains(run.name())).toList());
  }

  /**
   * The plan of a sweep file.
   *
   * @param typed what the command line says of all runs; stronger than the file
   * @throws InputException if something is missing, does not fit or is unknown
   */
  public static SweepPlan read(Path path, RunRequest typed) {
    SweepFile file = SweepFile.read(path);
    RunRequest base = file.base().with(typed);
    for (String name : typed.settings().keySet()) {
      if (file.settings().containsKey(name)
          || (name.equals(Settings.SEED.name()) && !file.seeds().isEmpty())) {
        throw new InputException(
            "%s varies '%s'; take it out of the file, or off the command line"
                .formatted(path, name));
      }
    }
    Path output =
        base.output()
            .orElseThrow(
                () ->
                    new InputException(
                        path + ": a sweep needs a folder: 'output: DIR', or --output DIR"));
    List<PlannedRun> runs = new ArrayList<>();
    int[] excluded = new int[file.exclusions().size()];
    for (SequencedMap<String, String> seed : combinations(seedAxis(file))) {
      for (Map.Entry<String, Optional<List<String>>> order : orders(file)) {
        for (Variant variant : variants(file, base)) {
          SequencedMap<String, List<String>> axes = new LinkedHashMap<>(variant.settings());
          axes.putAll(file.settings());
          for (SequencedMap<String, String> varied : combinations(axes)) {
            PlannedRun run = run(path, base, seed, order, variant, varied);
            if (!isExcluded(run, file.exclusions(), excluded)) {
              runs.add(run);
            }
          }
        }
      }
    }
    for (int i = 0; i < excluded.length; i++) {
      if (excluded[i] == 0) {
        throw YamlNode.at(
            path,
            file.exclusions().get(i).line(),
            "excludes nothing: no run has " + file.exclusions().get(i).values());
      }
    }
    if (runs.isEmpty()) {
      throw new InputException(path + ": every run is excluded");
    }
    requireDifferent(path, runs);
    return new SweepPlan(output, runs);
  }

  private static SequencedMap<String, List<String>> seedAxis(SweepFile file) {
    SequencedMap<String, List<String>> axis = new LinkedHashMap<>();
    if (!file.seeds().isEmpty()) {
      axis.put(Settings.SEED.name(), file.seeds());
    }
    return axis;
  }

  private static List<Map.Entry<String, Optional<List<String>>>> orders(SweepFile file) {
    if (file.orders().isEmpty()) {
      return List.of(Map.entry("", Optional.empty()));
    }
    List<Map.Entry<String, Optional<List<String>>>> orders = new ArrayList<>();
    file.orders().forEach((name, tasks) -> orders.add(Map.entry(name, Optional.of(tasks))));
    return orders;
  }

  private static List<Variant> variants(SweepFile file, RunRequest base) {
    return file.methods().isEmpty()
        ? List.of(new Variant(base.methodOrDefault(), new LinkedHashMap<>()))
        : file.methods();
  }

  /** One value of each axis; the last axis changes fastest. */
  private static List<SequencedMap<String, String>> combinations(
      SequencedMap<String, List<String>> axes) {
    List<SequencedMap<String, String>> all = List.of(new LinkedHashMap<>());
    for (Map.Entry<String, List<String>> axis : axes.entrySet()) {
      List<SequencedMap<String, String>> longer = new ArrayList<>();
      for (SequencedMap<String, String> shorter : all) {
        for (String value : axis.getValue()) {
          SequencedMap<String, String> combination = new LinkedHashMap<>(shorter);
          combination.put(axis.getKey(), value);
          longer.add(combination);
        }
      }
      all = longer;
    }
    return all;
  }

  private static PlannedRun run(
      Path path,
      RunRequest base,
      SequencedMap<String, String> seed,
      Map.Entry<String, Optional<List<String>>> order,
      Variant variant,
      SequencedMap<String, String> varied) {
    Map<String, String> settings = new HashMap<>(seed);
    settings.putAll(varied);
    RunRequest request =
        base.with(
            new RunRequest(
                Optional.empty(),
                Optional.empty(),
                order.getValue(),
                Optional.of(variant.method()),
                Optional.empty(),
                BackendRequest.nothing(),
                settings));
    String label = label(variant, varied);
    SequencedMap<String, String> chosen = new LinkedHashMap<>();
    new TreeSet<>(request.settings().keySet())
        .forEach(name -> chosen.put(name, request.settings().getOrDefault(name, "")));
    try {
      return new PlannedRun(
          label, order.getKey(), request.configuration(), chosen, request.backend());
    } catch (InputException e) {
      throw new InputException(path + ": " + label + ": " + e.getMessage(), e);
    }
  }

  /** A label of its own says what a variant is, but not which of several values a run has. */
  private static String label(Variant variant, SequencedMap<String, String> varied) {
    String given = varied.get(Settings.LABEL.name());
    StringBuilder label = new StringBuilder(given == null ? variant.method() : given);
    varied.forEach(
        (name, value) -> {
          List<String> own = variant.settings().getOrDefault(name, List.of());
          if (given == null || own.size() != 1) {
            label.append(',').append(name).append('=').append(value);
          }
        });
    return label.toString();
  }

  private static boolean isExcluded(PlannedRun run, List<Exclusion> exclusions, int[] counts) {
    Map<String, String> values = new HashMap<>(run.configuration().settings().resolved());
    values.put("method", run.configuration().method().text());
    values.put("order", run.order());
    boolean excluded = false;
    for (int i = 0; i < counts.length; i++) {
      boolean all =
          exclusions.get(i).values().entrySet().stream()
              .allMatch(entry -> entry.getValue().equals(values.get(entry.getKey())));
      if (all) {
        counts[i]++;
        excluded = true;
      }
    }
    return excluded;
  }

  private static void requireDifferent(Path path, List<PlannedRun> runs) {
    Map<Object, String> known = new HashMap<>();
    Set<String> names = new HashSet<>();
    for (PlannedRun run : runs) {
      Map<String, String> settings = new HashMap<>(run.configuration().settings().resolved());
      settings.keySet().removeAll(BESIDE);
      Object same = List.of(run.configuration().method(), run.configuration().tasks(), settings);
      String other = known.putIfAbsent(same, run.name());
      if (other != null) {
        throw new InputException(
            "%s: %s and %s are the same run; leave one out".formatted(path, other, run.name()));
      }
      if (!names.add(run.name())) {
        throw new InputException(
            "%s: two runs would have the folder %s; rename an order".formatted(path, run.name()));
      }
    }
  }
}
