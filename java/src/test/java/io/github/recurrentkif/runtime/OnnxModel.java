package io.github.recurrentkif.runtime;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.SequencedSet;

/**
 * Writes the few ONNX models that the tests of this package need, field by field as {@code
 * onnx.proto} numbers them.
 */
final class OnnxModel {

  private static final int IR_VERSION = 8;
  private static final int OPERATOR_SET = 17;
  private static final int OWN_SET = 1;
  private static final int EXTERNAL = 1;
  private static final int FLOAT_ATTRIBUTE = 1;
  private static final int INT_ATTRIBUTE = 2;
  private static final int STRING_ATTRIBUTE = 3;

  /** A message under construction. */
  private static final class Message {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    private void rawNumber(long value) {
      long rest = value;
      while ((rest & ~0x7FL) != 0) {
        bytes.write((int) (rest & 0x7F) | 0x80);
        rest >>>= 7;
      }
      bytes.write((int) rest);
    }

    Message number(int field, long value) {
      rawNumber((long) field << 3);
      rawNumber(value);
      return this;
    }

    Message bytes(int field, byte[] value) {
      rawNumber((long) field << 3 | 2);
      rawNumber(value.length);
      bytes.writeBytes(value);
      return this;
    }

    Message fixed(int field, float value) {
      rawNumber((long) field << 3 | 5);
      byte[] raw = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array();
      bytes.writeBytes(raw);
      return this;
    }

    Message text(int field, String value) {
      return bytes(field, value.getBytes(StandardCharsets.UTF_8));
    }

    Message message(int field, Message value) {
      return bytes(field, value.bytes.toByteArray());
    }
  }

  private final Message graph = new Message();
  private final SequencedSet<String> domains = new LinkedHashSet<>();

  /**
   * Dimensions are numbers, names of open dimensions, or the empty string for open and nameless.
   */
  OnnxModel input(String name, ElementType type, Object... dimensions) {
    graph.message(11, valueInfo(name, type, dimensions));
    return this;
  }

  OnnxModel output(String name, ElementType type, Object... dimensions) {
    graph.message(12, valueInfo(name, type, dimensions));
    return this;
  }

  OnnxModel node(String operator, List<String> inputs, List<String> outputs) {
    return node(operator, inputs, outputs, Map.of());
  }

  OnnxModel node(
      String operator, List<String> inputs, List<String> outputs, Map<String, ?> attributes) {
    return node("", operator, inputs, outputs, attributes);
  }

  /**
   * A node of another domain than the standard one.
   *
   * @param attributes longs, floats and strings
   */
  OnnxModel node(
      String domain,
      String operator,
      List<String> inputs,
      List<String> outputs,
      Map<String, ?> attributes) {
    Message node = new Message();
    inputs.forEach(input -> node.text(1, input));
    outputs.forEach(output -> node.text(2, output));
    node.text(3, operator + " to " + outputs.getFirst()).text(4, operator);
    attributes.forEach((name, value) -> node.message(5, attribute(name, value)));
    if (!domain.isEmpty()) {
      node.text(7, domain);
      domains.add(domain);
    }
    graph.message(1, node);
    return this;
  }

  private static Message attribute(String name, Object value) {
    Message attribute = new Message().text(1, name);
    return switch (value) {
      case Long number -> attribute.number(3, number).number(20, INT_ATTRIBUTE);
      case Float number -> attribute.fixed(2, number).number(20, FLOAT_ATTRIBUTE);
      case String text -> attribute.text(4, text).number(20, STRING_ATTRIBUTE);
      default -> throw new IllegalArgumentException(value.toString());
    };
  }

  OnnxModel initializer(String name, float[] values, long... shape) {
    ByteBuffer raw =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(values);
    graph.message(5, tensor(name, ElementType.FLOAT32, shape).bytes(9, raw.array()));
    return this;
  }

  /** An initializer with a name, a type and a shape, and no data at all. */
  OnnxModel initializerWithoutData(String name, long... shape) {
    graph.message(5, tensor(name, ElementType.FLOAT32, shape));
    return this;
  }

  /** An initializer whose data lies in another file. */
  OnnxModel externalInitializer(
      String name, String location, long offset, long length, long... shape) {
    Message tensor = tensor(name, ElementType.FLOAT32, shape);
    Map.of("location", location, "offset", "" + offset, "length", "" + length)
        .forEach((key, value) -> tensor.message(13, new Message().text(1, key).text(2, value)));
    graph.message(5, tensor.number(14, EXTERNAL));
    return this;
  }

  byte[] encode() {
    graph.text(2, "test");
    Message model =
        new Message()
            .number(1, IR_VERSION)
            .text(2, "recurrent-kif tests")
            .message(7, graph)
            .message(8, new Message().text(1, "").number(2, OPERATOR_SET));
    domains.forEach(domain -> model.message(8, new Message().text(1, domain).number(2, OWN_SET)));
    return model.bytes.toByteArray();
  }

  private static Message tensor(String name, ElementType type, long... shape) {
    Message tensor = new Message();
    for (long dimension : shape) {
      tensor.number(1, dimension);
    }
    return tensor.number(2, type.code()).text(8, name);
  }

  private static Message valueInfo(String name, ElementType type, Object... dimensions) {
    Message shape = new Message();
    for (Object dimension : dimensions) {
      shape.message(
          1,
          switch (dimension) {
            case String symbol when symbol.isEmpty() -> new Message();
            case String symbol -> new Message().text(2, symbol);
            case Number extent -> new Message().number(1, extent.longValue());
            default -> throw new IllegalArgumentException(dimension.toString());
          });
    }
    Message tensorType = new Message().number(1, type.code()).message(2, shape);
    return new Message().text(1, name).message(2, new Message().message(1, tensorType));
  }
}
