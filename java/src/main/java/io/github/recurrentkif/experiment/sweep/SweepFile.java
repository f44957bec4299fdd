package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.MethodName;
import io.github.recurrentkif.experiment.RunRequest;
import io.github.recurrentkif.experiment.Setting;
import io.github.recurrentkif.experiment.Settings;
import io.github.recurrentkif.experiment.Spelling;
import io.github.recurrentkif.experiment.YamlNode;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * What somebody asks of a sweep: a configuration file of a run, and below {@code grid} what varies.
 *
 * <pre>
 * model: DIR
 * data: DIR
 * output: SWEEP
 * settings:
 *   epochs: 10
 * grid:
 *   methods:
 *     - sequential-lora
 *     - recurrent-kif: {quantile: [0.7, 0.8]}
 *   orders:
 *     short: [dbpedia, amazon]
 *     long: order-4.yaml
 *   seeds: [1, 2, 3]
 *   settings:
 *     lora-rank: [4, 8]
 * exclude:
 *   - {method: sequential-lora, lora-rank: 4}
 * </pre>
 *
 * Below {@code grid} a list is always a list of alternatives. Every combination is a run, but for
 * those that {@code exclude} names.
 *
 * @param base what all runs have in common
 * @param methods empty for the method of the base
 * @param orders tasks by name; empty for those of the base
 * @param seeds as typed; empty for that of the base
 * @param settings alternatives by name
 */
record SweepFile(
    Path file,
    RunRequest base,
    List<Variant> methods,
    SequencedMap<String, List<String>> orders,
    List<String> seeds,
    SequencedMap<String, List<String>> settings,
    List<Exclusion> exclusions) {

  private static final String GRID = "grid";
  private static final String EXCLUDE = "exclude";
  private static final String METHODS = "methods";
  private static final String ORDERS = "orders";
  private static final String SEEDS = "seeds";
  private static final String SETTINGS = "settings";
  private static final List<String> GRID_KEYS = List.of(METHODS, ORDERS, SEEDS, SETTINGS);

  /**
   * A method, with settings of its own.
   *
   * @param settings alternatives by name
   */
  record Variant(String method, SequencedMap<String, List<String>> settings) {}

  /** Combinations to leave out: all that have each of these values. */
  record Exclusion(SequencedMap<String, String> values, int line) {}

  /**
   * Reads a file.
   *
   * @throws InputException if a key is unknown, with the nearest known one, a value does not fit,
   *     or something is said twice; with file and line
   */
  static SweepFile read(Path file) {
    Map<String, YamlNode> root = YamlNode.read(file).entries();
    RunRequest base = RunRequest.read(file, root, List.of(GRID, EXCLUDE));
    YamlNode grid = root.get(GRID);
    if (grid == null) {
      throw new InputException(
          file
              + ": says nothing that varies; put lists of methods, orders, seeds or settings below"
              + " 'grid:'");
    }
    Map<String, YamlNode> axes = YamlNode.mapping(file, grid);
    axes.forEach((key, node) -> requireAxis(file, key, node));
    SweepFile sweep =
        new SweepFile(
            file,
            base,
            methods(file, axes.get(METHODS)),
            orders(file, axes.get(ORDERS)),
            seeds(file, axes.get(SEEDS)),
            alternatives(file, YamlNode.mapping(file, axes.get(SETTINGS))),
            exclusions(file, root.get(EXCLUDE)));
    sweep.requireSaidOnce(root, axes);
    return sweep;
  }

  private static void requireAxis(Path file, String key, YamlNode node) {
    if (!GRID_KEYS.contains(key)) {
      boolean setting = Settings.all().stream().map(Setting::name).anyMatch(key::equals);
      throw YamlNode.at(
          file,
          node.line(),
          setting
              ? "'%s' is a setting: it belongs below 'settings:' of 'grid:'".formatted(key)
              : "unknown key '%s' below 'grid'; did you mean '%s'?"
                  .formatted(key, Spelling.nearest(key, GRID_KEYS)));
    }
  }

  private static List<Variant> methods(Path file, @Nullable YamlNode node) {
    List<Variant> variants = new ArrayList<>();
    for (YamlNode item : items(node)) {
      switch (item) {
        case YamlNode.Text text ->
            variants.add(new Variant(method(file, text.value(), item), new LinkedHashMap<>()));
        case YamlNode.Mapping mapping when mapping.entries().size() == 1 -> {
          var entry = mapping.entries().firstEntry();
          variants.add(
              new Variant(
                  method(file, entry.getKey(), item),
                  alternatives(file, YamlNode.mapping(file, entry.getValue()))));
        }
        default ->
            throw YamlNode.at(
                file,
                item.line(),
                "expected a method, or a method with its settings: '- recurrent-kif: {quantile:"
                    + " [0.7, 0.8]}'");
      }
    }
    return variants;
  }

  private static String method(Path file, String name, YamlNode node) {
    try {
      return MethodName.parse(name).text();
    } catch (InputException e) {
      throw YamlNode.at(
          file,
          node.line(),
          e.getMessage() + "; did you mean '" + Spelling.nearest(name, MethodName.texts()) + "'?");
    }
  }

  private static SequencedMap<String, List<String>> orders(Path file, @Nullable YamlNode node) {
    SequencedMap<String, List<String>> orders = new LinkedHashMap<>();
    if (node instanceof YamlNode.Mapping(SequencedMap<String, YamlNode> entries, int _)) {
      entries.forEach((name, tasks) -> orders.put(name, tasks(file, tasks)));
      return orders;
    }
    for (YamlNode item : items(node)) {
      if (!(item instanceof YamlNode.Text(String path, int line))) {
        throw YamlNode.at(
            file,
            item.line(),
            "an order written out needs a name: 'orders: {short: [dbpedia, amazon]}'");
      }
      String name = stem(path);
      if (orders.put(name, tasks(file, item)) != null) {
        throw YamlNode.at(file, line, "a second order '" + name + "'");
      }
    }
    return orders;
  }

  /** {@code order-1} of {@code configs/order-1.yaml}. */
  private static String stem(String path) {
    String name = path.substring(path.lastIndexOf('/') + 1);
    return name.replaceFirst("\\.(ya?ml|json)$", "");
  }

  /** A list, or a configuration file that has one; its path is seen from the sweep's file. */
  private static List<String> tasks(Path file, YamlNode node) {
    if (!(node instanceof YamlNode.Text(String path, int line))) {
      return YamlNode.words(file, node);
    }
    if (path.contains(",")) {
      return YamlNode.words(file, node);
    }
    return RunRequest.read(file.resolveSibling(path))
        .tasks()
        .orElseThrow(() -> YamlNode.at(file, line, path + " names no tasks"));
  }

  private static List<String> seeds(Path file, @Nullable YamlNode node) {
    return node == null ? List.of() : alternatives(file, Settings.SEED.name(), node);
  }

  private static SequencedMap<String, List<String>> alternatives(
      Path file, Map<String, YamlNode> nodes) {
    SequencedMap<String, List<String>> alternatives = new LinkedHashMap<>();
    nodes.forEach((name, node) -> alternatives.put(name, alternatives(file, name, node)));
    return alternatives;
  }

  private static List<String> alternatives(Path file, String setting, YamlNode node) {
    if (setting.equals(Settings.THREADS.name())) {
      throw YamlNode.at(
          file,
          node.line(),
          "'threads' changes no result, so it cannot vary; it may stand below 'settings:' outside"
              + " of 'grid:'");
    }
    List<String> values = new ArrayList<>();
    for (YamlNode item : items(node)) {
      String value = RunRequest.setting(file, setting, item);
      if (values.contains(value)) {
        throw YamlNode.at(file, item.line(), "'" + value + "' stands twice in " + setting);
      }
      values.add(value);
    }
    if (values.isEmpty()) {
      throw YamlNode.at(file, node.line(), "expected at least one value for " + setting);
    }
    return values;
  }

  private static List<YamlNode> items(@Nullable YamlNode node) {
    return switch (node) {
      case null -> List.of();
      case YamlNode.Items items -> items.items();
      default -> List.of(node);
    };
  }

  private static List<Exclusion> exclusions(Path file, @Nullable YamlNode node) {
    List<String> known = new ArrayList<>(List.of("method", "order"));
    Settings.all().forEach(setting -> known.add(setting.name()));
    List<Exclusion> exclusions = new ArrayList<>();
    for (YamlNode item : items(node)) {
      SequencedMap<String, String> values = new LinkedHashMap<>();
      YamlNode.mapping(file, item)
          .forEach(
              (key, value) -> {
                if (!known.contains(key)) {
                  throw YamlNode.at(
                      file,
                      value.line(),
                      "unknown key '%s' below 'exclude'; did you mean '%s'?"
                          .formatted(key, Spelling.nearest(key, known)));
                }
                values.put(
                    key,
                    switch (key) {
                      case "method" ->
                          method(file, YamlNode.text(file, value).orElseThrow(), value);
                      case "order" -> YamlNode.text(file, value).orElseThrow();
                      default -> printed(key, RunRequest.setting(file, key, value));
                    });
              });
      exclusions.add(new Exclusion(values, item.line()));
    }
    return exclusions;
  }

  /** A value in the one way it is printed: {@code 0.8} for {@code .80}. */
  private static String printed(String setting, String value) {
    return Settings.defaults().with(Map.of(setting, value)).resolved().getOrDefault(setting, value);
  }

  private void requireSaidOnce(Map<String, YamlNode> root, Map<String, YamlNode> axes) {
    Map<String, String> single = Map.of(METHODS, "method", ORDERS, "tasks");
    single.forEach(
        (axis, key) -> {
          YamlNode node = root.get(key);
          if (axes.containsKey(axis) && node != null) {
            throw YamlNode.at(
                file,
                node.line(),
                "'%s' and '%s' below 'grid' say the same; leave one out".formatted(key, axis));
          }
        });
    List<String> varied = new ArrayList<>(settings.keySet());
    if (!seeds.isEmpty()) {
      if (varied.contains(Settings.SEED.name())) {
        throw new InputException(file + ": seeds stand twice below 'grid'; leave one out");
      }
      varied.add(Settings.SEED.name());
    }
    for (String name : varied) {
      if (base.settings().containsKey(name)) {
        throw new InputException(
            "%s: setting '%s' stands below 'settings' and below 'grid'; leave one out"
                .formatted(file, name));
      }
      for (Variant variant : methods) {
        if (variant.settings().containsKey(name)) {
          throw new InputException(
              "%s: setting '%s' stands below 'grid' and again at %s; leave one out"
                  .formatted(file, name, variant.method()));
        }
      }
    }
  }
}
