package io.github.recurrentkif.graph;

import io.github.recurrentkif.memory.Shape;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/**
 * Writes a graph as an ONNX model: the handful of protobuf messages of onnx.proto (ModelProto,
 * GraphProto, NodeProto, TensorProto, ...) by field number.
 */
public final class OnnxWriter {

  static final int OPSET = 17;
  private static final int IR_VERSION = 8;

  /**
   * Where frozen parameters are declared to lie: ONNX Runtime wants the place to exist, and opens
   * it only for a parameter whose memory it was not handed. A folder cannot be read, so that a
   * forgotten parameter is an error.
   */
  private static final String NOWHERE = ".";

  private OnnxWriter() {}

  /** The model of a graph; frozen parameters are declared without data. */
  public static byte[] write(Graph graph, String name) {
    Message body = new Message();
    for (Node node : graph.nodes().emitted()) {
      body.message(1, node(node));
    }
    body.text(2, name);
    for (Graph.Constant constant : graph.nodes().constants()) {
      body.message(5, constant(constant));
    }
    graph
        .frozenParameters()
        .forEach((parameter, frozen) -> body.message(5, frozen(parameter, frozen)));
    graph.inputs().forEach(port -> body.message(11, port(port)));
    graph.outputs().forEach(port -> body.message(12, port(port)));
    Message model =
        new Message()
            .number(1, IR_VERSION)
            .text(2, "recurrent-kif")
            .message(7, body)
            .message(8, opset(Nodes.STANDARD, OPSET))
            .message(8, opset(Nodes.MICROSOFT, 1));
    if (graph.nodes().emitted().stream().anyMatch(node -> node.domain().equals(Nodes.OWN))) {
      model.message(8, opset(Nodes.OWN, 1));
    }
    return model.bytes();
  }

  private static Message opset(String domain, int version) {
    return new Message().text(1, domain).number(2, version);
  }

  private static Message node(Node node) {
    Message message = new Message();
    node.inputs().forEach(input -> message.text(1, input.name()));
    node.outputs().forEach(output -> message.text(2, output.name()));
    message.text(3, "node/" + node.outputs().getLast().name()).text(4, node.type());
    node.attributes().forEach(attribute -> message.message(5, attribute(attribute)));
    if (!node.domain().isEmpty()) {
      message.text(7, node.domain());
    }
    return message;
  }

  private static Message attribute(Attribute attribute) {
    Message message = new Message().text(1, attribute.name());
    return switch (attribute) {
      case Attribute.Real f -> message.float32(2, f.value()).number(20, 1);
      case Attribute.Whole i -> message.number(3, i.value()).number(20, 2);
      case Attribute.Text t -> message.text(4, t.value()).number(20, 3);
      case Attribute.Scalar s ->
          message
              .message(5, new Message().number(1, 1).number(2, 1).packedFloat(4, s.value()))
              .number(20, 4);
      case Attribute.Ints list -> {
        list.values().forEach(value -> message.number(8, value));
        yield message.number(20, 7);
      }
    };
  }

  private static Message constant(Graph.Constant constant) {
    return tensor(constant.value().name(), constant.type(), constant.shape())
        .data(9, constant.data());
  }

  private static Message frozen(String name, Graph.Frozen frozen) {
    Message message = tensor(name, frozen.type(), frozen.shape());
    message.message(13, new Message().text(1, "location").text(2, NOWHERE));
    return message.number(14, 1);
  }

  private static Message tensor(String name, ElementType type, Shape shape) {
    Message message = new Message();
    shape.dimensions().forEach(dimension -> message.number(1, dimension));
    return message.number(2, type.code()).text(8, name);
  }

  private static Message port(Graph.Port port) {
    Message shape = new Message();
    for (Dimension dimension : port.dimensions()) {
      shape.message(
          1,
          switch (dimension) {
            case Dimension.Fixed fixed -> new Message().number(1, fixed.size());
            case Dimension.Symbol symbol -> new Message().text(2, symbol.name());
          });
    }
    Message type = new Message().number(1, port.type().code()).message(2, shape);
    return new Message().text(1, port.value().name()).message(2, new Message().message(1, type));
  }

  /** A protobuf message under construction; methods are named for the kind of field they append. */
  private static final class Message {

    private static final int VARINT = 0;
    private static final int LENGTH_DELIMITED = 2;
    private static final int FIXED32 = 5;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    private void varint(long value) {
      long rest = value;
      while ((rest & ~0x7FL) != 0) {
        out.write((int) (rest & 0x7F) | 0x80);
        rest >>>= 7;
      }
      out.write((int) rest);
    }

    private void little32(int bits) {
      for (int shift = 0; shift < 32; shift += 8) {
        out.write(bits >>> shift);
      }
    }

    Message number(int field, long value) {
      varint((long) field << 3 | VARINT);
      varint(value);
      return this;
    }

    Message float32(int field, float value) {
      varint((long) field << 3 | FIXED32);
      little32(Float.floatToRawIntBits(value));
      return this;
    }

    Message packedFloat(int field, float value) {
      varint((long) field << 3 | LENGTH_DELIMITED);
      varint(4);
      little32(Float.floatToRawIntBits(value));
      return this;
    }

    Message data(int field, byte[] data) {
      varint((long) field << 3 | LENGTH_DELIMITED);
      varint(data.length);
      out.writeBytes(data);
      return this;
    }

    Message text(int field, String text) {
      return data(field, text.getBytes(StandardCharsets.UTF_8));
    }

    Message message(int field, Message message) {
      return data(field, message.bytes());
    }

    byte[] bytes() {
      return out.toByteArray();
    }
  }
}
