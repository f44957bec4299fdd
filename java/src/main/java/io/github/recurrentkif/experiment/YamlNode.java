package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.dataformat.yaml.YAMLMapper;
import tools.jackson.dataformat.yaml.YAMLParser;

/**
 * A piece of a YAML file that knows its line, so that a mistake can be named by it. Values are the
 * text that somebody typed: what it means is for the setting to say. JSON is YAML as well.
 */
public sealed interface YamlNode {

  /** Of the file, from 1. */
  int line();

  /** What it is, for messages. */
  String kind();

  record Text(String value, int line) implements YamlNode {
    @Override
    public String kind() {
      return "'" + value + "'";
    }
  }

  record Items(List<YamlNode> items, int line) implements YamlNode {
    @Override
    public String kind() {
      return "a list";
    }
  }

  record Mapping(SequencedMap<String, YamlNode> entries, int line) implements YamlNode {
    @Override
    public String kind() {
      return "keys and values";
    }
  }

  /**
   * Reads a file that holds keys and values.
   *
   * @throws InputException if there is no such file, or it is not YAML
   */
  static Mapping read(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new InputException(file + ": no such file; check the name");
    }
    try (JsonParser parser = new YAMLMapper().createParser(file)) {
      JsonToken first = parser.nextToken();
      if (first == null) {
        return new Mapping(new LinkedHashMap<>(), 1);
      }
      if (!(node(file, parser, first) instanceof Mapping mapping)) {
        throw new InputException(file + ": expected lines 'key: value'");
      }
      if (parser.nextToken() != null) {
        throw at(file, line(parser), "a second document begins; expected one");
      }
      return mapping;
    } catch (JacksonException e) {
      TokenStreamLocation where = e.getLocation();
      throw at(
          file,
          where == null ? 1 : where.getLineNr(),
          "not valid YAML: " + e.getOriginalMessage().lines().findFirst().orElse(""));
    }
  }

  /**
   * The one value that a key has; empty where there is no such key.
   *
   * @throws InputException if it is a list, or keys and values
   */
  static Optional<String> text(Path file, @Nullable YamlNode node) {
    return switch (node) {
      case null -> Optional.empty();
      case Text text -> Optional.of(text.value());
      default -> throw at(file, node.line(), "expected one value, found " + node.kind());
    };
  }

  /** A list, or words separated by commas. */
  static List<String> words(Path file, YamlNode node) {
    return switch (node) {
      case Text text -> List.of(text.value().strip().split("\\s*,\\s*", -1));
      case Items items ->
          items.items().stream().map(item -> text(file, item).orElseThrow()).toList();
      case Mapping _ -> throw at(file, node.line(), "expected a list, found " + node.kind());
    };
  }

  /** The keys below a key; none where there is no such key. */
  static Map<String, YamlNode> mapping(Path file, @Nullable YamlNode node) {
    return switch (node) {
      case null -> Map.of();
      case Mapping mapping -> mapping.entries();
      default -> throw at(file, node.line(), "expected keys below this one");
    };
  }

  /** A mistake in a file. */
  static InputException at(Path file, int line, String what) {
    return new InputException("%s, line %d: %s".formatted(file, line, what));
  }

  private static int line(JsonParser parser) {
    return parser.currentTokenLocation().getLineNr();
  }

  private static YamlNode node(Path file, JsonParser parser, JsonToken token) {
    int line = line(parser);
    if (parser instanceof YAMLParser yaml && yaml.isCurrentAlias()) {
      throw at(file, line, "an alias (*name) is not known here; write the value out");
    }
    return switch (token) {
      case START_OBJECT -> mapping(file, parser, line);
      case START_ARRAY -> {
        List<YamlNode> items = new ArrayList<>();
        for (JsonToken next = parser.nextToken();
            next != JsonToken.END_ARRAY;
            next = parser.nextToken()) {
          items.add(node(file, parser, next));
        }
        yield new Items(items, line);
      }
      case VALUE_NULL -> throw at(file, line, "a value is missing; give one, or leave the key out");
      default -> new Text(parser.getString(), line);
    };
  }

  private static Mapping mapping(Path file, JsonParser parser, int line) {
    SequencedMap<String, YamlNode> entries = new LinkedHashMap<>();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String key = parser.currentName();
      int keyLine = line(parser);
      if (entries.put(key, node(file, parser, parser.nextToken())) != null) {
        throw at(file, keyLine, "key '" + key + "' stands twice");
      }
    }
    return new Mapping(entries, line);
  }
}
