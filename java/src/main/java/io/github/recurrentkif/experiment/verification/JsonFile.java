package io.github.recurrentkif.experiment.verification;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** A JSON file of a recorded folder; what is missing or of another type is named with its place. */
record JsonFile(Path file, String place, JsonNode node) {

  static JsonFile read(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new InputException(file + ": there is no such file");
    }
    try {
      return new JsonFile(file, "", new ObjectMapper().readTree(file.toFile()));
    } catch (JacksonException e) {
      throw new InputException(file + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
  }

  boolean has(String key) {
    return node.has(key);
  }

  JsonFile at(String key) {
    JsonNode child = node.get(key);
    if (child == null) {
      throw new InputException(file + ": " + place + "/" + key + " is missing");
    }
    return new JsonFile(file, place + "/" + key, child);
  }

  List<JsonFile> elements() {
    if (!node.isArray()) {
      throw wrong("an array");
    }
    List<JsonFile> elements = new ArrayList<>(node.size());
    for (int i = 0; i < node.size(); i++) {
      elements.add(new JsonFile(file, place + "/" + i, node.get(i)));
    }
    return elements;
  }

  int whole() {
    if (!node.canConvertToExactIntegral()) {
      throw wrong("a whole number");
    }
    return node.intValue();
  }

  /** True or false, or 1 or 0 as some programs write them. */
  boolean flag() {
    return node.isBoolean() ? node.booleanValue() : whole() != 0;
  }

  double number() {
    if (!node.isNumber()) {
      throw wrong("a number");
    }
    return node.doubleValue();
  }

  String text() {
    if (!node.isString()) {
      throw wrong("a string");
    }
    return node.stringValue();
  }

  long[] longs() {
    return elements().stream().mapToLong(element -> element.whole()).toArray();
  }

  private InputException wrong(String expected) {
    return new InputException(file + ": " + place + " should be " + expected + ", found " + node);
  }
}
