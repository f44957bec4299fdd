package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/**
 * What somebody asks of a run, as far as they said it: in configuration files, on the command line.
 * Several requests are laid over one another. As YAML:
 *
 * <pre>
 * model: DIR
 * data: DIR
 * tasks: [dbpedia, amazon]
 * method: recurrent-kif
 * output: RUN
 * backend:
 *   device: cpu
 *   onnx-runtime: FILE
 *   graph: auto
 *   lean: false
 * settings:
 *   epochs: 10
 * </pre>
 *
 * A path is seen from the current folder, as on the command line. The keys below {@code settings}
 * are those of {@link Settings}, which check names and ranges.
 *
 * @param settings by name, as typed
 */
public record RunRequest(
    Optional<Path> model,
    Optional<Path> data,
    Optional<List<String>> tasks,
    Optional<String> method,
    Optional<Path> output,
    BackendRequest backend,
    Map<String, String> settings) {

  private static final List<String> KEYS =
      List.of("model", "data", "tasks", "method", "output", "backend", "settings");

  /** What a run folder's own {@code configuration.json} says beside: nothing to ask for. */
  private static final List<String> OF_RUN_FOLDER = List.of("version", "chosen");

  private static final List<String> BACKEND_KEYS =
      List.of("device", "onnx-runtime", "graph", "lean");
  private static final String DEFAULT_METHOD = "recurrent-kif";

  /** What YAML takes for text as it stands. */
  private static final Pattern PLAIN = Pattern.compile("[A-Za-z0-9_./+-]+");

  public RunRequest {
    settings = Map.copyOf(settings);
  }

  /** The request that says nothing. */
  public static RunRequest nothing() {
    return new RunRequest(
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        BackendRequest.nothing(),
        Map.of());
  }

  /**
   * Reads a configuration file: YAML, or the {@code configuration.json} of a run folder, whose run
   * it repeats.
   *
   * @throws InputException if a key is unknown, with the nearest known one, or a value does not
   *     fit; with file and line
   */
  public static RunRequest read(Path file) {
    return read(file, YamlNode.read(file).entries(), List.of());
  }

  /**
   * What a file that also says other things says of a run.
   *
   * @param root of the file
   * @param beside keys that are somebody else's
   * @throws InputException as {@link #read(Path)}
   */
  public static RunRequest read(Path file, Map<String, YamlNode> root, List<String> beside) {
    List<String> suggested = new ArrayList<>(KEYS);
    suggested.addAll(beside);
    List<String> known = new ArrayList<>(suggested);
    known.addAll(OF_RUN_FOLDER);
    requireKnown(file, root, known, suggested, "");
    Map<String, YamlNode> backend = YamlNode.mapping(file, root.get("backend"));
    requireKnown(file, backend, BACKEND_KEYS, BACKEND_KEYS, "backend");
    return new RunRequest(
        path(file, root.get("model")),
        path(file, root.get("data")),
        Optional.ofNullable(root.get("tasks")).map(node -> YamlNode.words(file, node)),
        YamlNode.text(file, root.get("method")).map(method -> checkedMethod(file, root, method)),
        path(file, root.get("output")),
        new BackendRequest(
            YamlNode.text(file, backend.get("device")),
            path(file, backend.get("onnx-runtime")),
            YamlNode.text(file, backend.get("graph")),
            flag(file, backend.get("lean"))),
        settings(file, YamlNode.mapping(file, root.get("settings"))));
  }

  private static void requireKnown(
      Path file,
      Map<String, YamlNode> entries,
      List<String> known,
      List<String> suggested,
      String below) {
    entries.forEach(
        (key, node) -> {
          if (known.contains(key)) {
            return;
          }
          List<String> settings = Settings.all().stream().map(Setting::name).toList();
          throw YamlNode.at(
              file,
              node.line(),
              settings.contains(key)
                  ? "'%s' is a setting: it belongs below 'settings:'".formatted(key)
                  : "unknown key '%s'%s; did you mean '%s'?"
                      .formatted(
                          key,
                          below.isEmpty() ? "" : " below '" + below + "'",
                          Spelling.nearest(key, suggested)));
        });
  }

  private static String checkedMethod(Path file, Map<String, YamlNode> root, String method) {
    YamlNode node = root.get("method");
    try {
      return MethodName.parse(method).text();
    } catch (InputException e) {
      throw YamlNode.at(file, node == null ? 1 : node.line(), String.valueOf(e.getMessage()));
    }
  }

  private static Map<String, String> settings(Path file, Map<String, YamlNode> entries) {
    Map<String, String> settings = new LinkedHashMap<>();
    entries.forEach(
        (key, node) -> {
          settings.put(key, setting(file, key, node));
        });
    return settings;
  }

  /**
   * The value of a setting, as it would be typed.
   *
   * @throws InputException if there is no such setting, or it cannot have this value
   */
  public static String setting(Path file, String name, YamlNode node) {
    String value =
        node instanceof YamlNode.Text(String text, int _)
            ? text
            : String.join(",", YamlNode.words(file, node));
    try {
      Settings.defaults().with(Map.of(name, value));
    } catch (InputException e) {
      throw YamlNode.at(file, node.line(), String.valueOf(e.getMessage()));
    }
    return value;
  }

  private static Optional<Boolean> flag(Path file, @Nullable YamlNode node) {
    return YamlNode.text(file, node)
        .map(
            text ->
                switch (text) {
                  case "true" -> true;
                  case "false" -> false;
                  default -> {
                    int line = node == null ? 1 : node.line();
                    throw YamlNode.at(file, line, "expected true or false, found '" + text + "'");
                  }
                });
  }

  private static Optional<Path> path(Path file, @Nullable YamlNode node) {
    return YamlNode.text(file, node)
        .map(
            text -> {
              try {
                return Path.of(text);
              } catch (InvalidPathException e) {
                int line = node == null ? 1 : node.line();
                throw YamlNode.at(file, line, "'" + text + "' is no path");
              }
            });
  }

  /** This request, to be computed there. */
  public RunRequest withBackend(BackendRequest asked) {
    return new RunRequest(model, data, tasks, method, output, asked, settings);
  }

  /** This request, but for what a stronger one says. */
  public RunRequest with(RunRequest stronger) {
    Map<String, String> all = new LinkedHashMap<>(settings);
    all.putAll(stronger.settings);
    return new RunRequest(
        stronger.model.or(() -> model),
        stronger.data.or(() -> data),
        stronger.tasks.or(() -> tasks),
        stronger.method.or(() -> method),
        stronger.output.or(() -> output),
        backend.with(stronger.backend),
        all);
  }

  /**
   * The run that is asked for.
   *
   * @throws InputException if something that a run cannot do without was not said; names all of it
   */
  public RunConfiguration configuration() {
    requireSaid();
    return new RunConfiguration(
        model.orElseThrow(),
        data.orElseThrow(),
        tasks.orElseThrow(),
        MethodName.parse(methodOrDefault()),
        Settings.defaults().with(settings));
  }

  /** The method that was named, or the one that is taken where none was. */
  public String methodOrDefault() {
    return method.orElse(DEFAULT_METHOD);
  }

  /**
   * Where the run is to be written.
   *
   * @throws InputException as {@link #configuration}
   */
  public Path requiredOutput() {
    requireSaid();
    return output.orElseThrow();
  }

  private void requireSaid() {
    Map<String, Optional<?>> needed = new LinkedHashMap<>();
    needed.put("model", model);
    needed.put("data", data);
    needed.put("tasks", tasks);
    needed.put("output", output);
    needed.values().removeIf(Optional::isPresent);
    if (!needed.isEmpty()) {
      throw new InputException(
          "a run also needs --%s; on the command line, or in a file given by --config; see kif train --help"
              .formatted(String.join(", --", needed.keySet())));
    }
  }

  /**
   * This request as a configuration file with a comment for every key. What was not said stands
   * there with its default; where there is none, or it follows from another setting or from the
   * model, the line is a comment.
   */
  public String toYaml() {
    StringBuilder yaml = new StringBuilder();
    yaml.append("# A run of 'kif train --config FILE'. What the command line says wins.\n\n");
    line(yaml, "", "model", model.map(Path::toString), "DIR", "a Hugging Face folder");
    line(yaml, "", "data", data.map(Path::toString), "DIR", "with train/, dev/ and test/");
    yaml.append(
        tasks
            .map(
                names ->
                    "tasks: ["
                        + String.join(", ", names.stream().map(RunRequest::quoted).toList())
                        + "]")
            .orElse("# tasks: [dbpedia, amazon, yahoo, agnews]"));
    yaml.append("  # in the order to learn them\n");
    line(
        yaml,
        "",
        "method",
        Optional.of(methodOrDefault()),
        "",
        "one of " + String.join(", ", MethodName.texts()));
    line(yaml, "", "output", output.map(Path::toString), "RUN", "a new folder for the run");
    yaml.append("\nbackend:\n");
    line(yaml, "  ", "device", Optional.of(backend.device().orElse("cpu")), "", "where to compute");
    line(
        yaml,
        "  ",
        "onnx-runtime",
        backend.library().map(Path::toString),
        "FILE",
        "another library than the one that comes with kif");
    line(
        yaml,
        "  ",
        "graph",
        Optional.of(backend.graph().orElse("auto")),
        "",
        "packed (no padding, our operators), padded (stock operators) or auto");
    line(
        yaml,
        "  ",
        "lean",
        Optional.of(String.valueOf(backend.lean().orElse(false))),
        "",
        "compute with the weights where they are mapped: slower, less memory");
    yaml.append("\nsettings:\n");
    Settings resolved = Settings.defaults().with(settings);
    Map<String, String> values = resolved.resolved();
    for (Setting<?> setting : Settings.all()) {
      String value = String.valueOf(values.get(setting.name()));
      boolean stands = settings.containsKey(setting.name()) || !Settings.isPreset(setting);
      line(
          yaml,
          "  ",
          setting.name(),
          stands ? Optional.of(value) : Optional.empty(),
          value,
          setting.description()
              + "; "
              + setting.expected()
              + (Settings.isPreset(setting) ? "; if left out, mode or model decide" : ""));
    }
    return yaml.toString();
  }

  private static void line(
      StringBuilder yaml,
      String indent,
      String key,
      Optional<String> value,
      String example,
      String comment) {
    String text = indent + (value.isPresent() ? "" : "# ") + key + ": ";
    text += value.map(RunRequest::quoted).orElse(example);
    yaml.append("%-32s  # %s\n".formatted(text, comment));
  }

  private static String quoted(String text) {
    return PLAIN.matcher(text).matches() && !text.equals("null")
        ? text
        : new JsonMapper().writeValueAsString(text);
  }
}
