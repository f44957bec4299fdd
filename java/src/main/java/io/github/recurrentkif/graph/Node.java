package io.github.recurrentkif.graph;

import java.util.List;

/** One ONNX operation; an absent optional input has the empty name. */
record Node(
    String type,
    String domain,
    List<Value> inputs,
    List<Value> outputs,
    List<Attribute> attributes) {}
