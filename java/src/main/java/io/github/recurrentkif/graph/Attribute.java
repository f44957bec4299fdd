package io.github.recurrentkif.graph;

import java.util.List;

/** A constant that belongs to a node. */
public sealed interface Attribute {

  String name();

  record Whole(String name, long value) implements Attribute {}

  record Real(String name, float value) implements Attribute {}

  record Ints(String name, List<Long> values) implements Attribute {}

  record Text(String name, String value) implements Attribute {}

  /** A tensor of one float, as ConstantOfShape wants its value. */
  record Scalar(String name, float value) implements Attribute {}

  static Attribute of(String name, long value) {
    return new Whole(name, value);
  }

  static Attribute of(String name, float value) {
    return new Real(name, value);
  }

  static Attribute of(String name, String value) {
    return new Text(name, value);
  }

  static Attribute ints(String name, Long... values) {
    return new Ints(name, List.of(values));
  }
}
