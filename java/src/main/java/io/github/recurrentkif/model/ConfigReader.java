package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** Reads keys of a JSON object with one kind of message when a key is not what it should be. */
final class ConfigReader {

  private final JsonNode json;
  private final Path file;

  ConfigReader(JsonNode json, Path file) {
    if (!json.isObject()) {
      throw new InputException(file + ": expected a JSON object");
    }
    this.json = json;
    this.file = file;
  }

  int positive(String key) {
    JsonNode node = json.get(key);
    if (node == null || node.isNull()) {
      throw new InputException(
          file + ": key '" + key + "' is missing; expected a positive integer");
    }
    return positive(key, 0);
  }

  int positive(String key, int otherwise) {
    JsonNode node = json.get(key);
    if (node == null || node.isNull()) {
      return otherwise;
    }
    if (!node.isInt() || node.intValue() <= 0) {
      throw wrong(key, node, "a positive integer");
    }
    return node.intValue();
  }

  int token(String key, int otherwise) {
    JsonNode node = json.get(key);
    if (node == null || node.isNull()) {
      return otherwise;
    }
    if (!node.isInt() || node.intValue() < 0) {
      throw wrong(key, node, "a token id");
    }
    return node.intValue();
  }

  /** One token id, or a list of them. */
  List<Integer> tokens(String key, int otherwise) {
    JsonNode node = json.get(key);
    if (node == null || !node.isArray()) {
      return List.of(token(key, otherwise));
    }
    List<Integer> ids = new ArrayList<>();
    for (JsonNode id : node) {
      if (!id.isInt() || id.intValue() < 0) {
        throw wrong(key, node, "a token id or a list of them");
      }
      ids.add(id.intValue());
    }
    return List.copyOf(ids);
  }

  double number(String key, double otherwise) {
    JsonNode node = json.get(key);
    if (node == null || node.isNull()) {
      return otherwise;
    }
    if (!node.isNumber()) {
      throw wrong(key, node, "a number");
    }
    return node.doubleValue();
  }

  boolean flag(String key, boolean otherwise) {
    JsonNode node = json.get(key);
    if (node == null || node.isNull()) {
      return otherwise;
    }
    if (!node.isBoolean()) {
      throw wrong(key, node, "true or false");
    }
    return node.booleanValue();
  }

  String text(String key, String otherwise) {
    JsonNode node = json.get(key);
    if (node == null || node.isNull()) {
      return otherwise;
    }
    if (!node.isString()) {
      throw wrong(key, node, "a string");
    }
    return node.stringValue();
  }

  InputException unsupported(String key, String found, String supported) {
    return new InputException(
        file + ": '" + key + "' is " + found + ", which is not supported; use " + supported);
  }

  private InputException wrong(String key, JsonNode found, String expected) {
    return new InputException(file + ": '" + key + "' should be " + expected + ", found " + found);
  }
}
