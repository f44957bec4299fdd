package io.github.recurrentkif.training;

import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.AdapterMagnitudes;
import io.github.recurrentkif.model.RotaryAngles;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.Tensor;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A session of a training graph with what is bound to it: the weights it reads and the gradient it
 * writes where they lie in their vectors, and buffers for the batch, all on one device.
 */
final class TrainingSession implements AutoCloseable {

  private final Session session;
  private final ParameterVector weights;
  private final Scratch scratch;
  private final @Nullable ParameterVector magnitudesOfPass;
  private final @Nullable ParameterVector magnitudes;
  private final Map<Binding, ParameterVector> boundGradients = new HashMap<>();
  private final @Nullable TaskAttention attention;
  private TaskAttention.@Nullable Pass attending;

  /**
   * @param session its frozen weights handed in; closed with this
   * @param attention over the adapters of tasks, if the graph has such
   */
  TrainingSession(Session session, ParameterVector weights, @Nullable TaskAttention attention) {
    this.attention = attention;
    this.session = session;
    this.weights = weights;
    this.scratch = new Scratch(weights.device());
    this.magnitudesOfPass = magnitudes(session, weights);
    this.magnitudes = magnitudes(session, weights);
  }

  private static @Nullable ParameterVector magnitudes(Session session, ParameterVector weights) {
    SequencedMap<String, Shape> shapes = new LinkedHashMap<>();
    for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
      if (session.outputs().containsKey(AdapterMagnitudes.outputName(tensor.name()))) {
        shapes.put(tensor.name(), Shape.of(tensor.shape().dimension(0)));
      }
    }
    return shapes.isEmpty()
        ? null
        : new ParameterVector(ParameterLayout.of(shapes), weights.device());
  }

  /** Begins an update: the attention over tasks is what the weights make it now. */
  void beginAttention() {
    attending = attention == null ? null : attention.pass();
  }

  /** Binds how much each task's adapter takes part in some texts, if the graph asks. */
  void bindAttention(Binding target, Function<SourceTexts, List<long[]>> texts) {
    if (attention != null && attending != null) {
      attending.bind(target, texts.apply(attention.source()), scratch);
    }
  }

  /** Binds whose text each row of a side belongs to, if the graph asks. */
  void bindOwners(Binding target, String name, long[] owners, long... shape) {
    if (hasInput(name)) {
      bindLongs(target, name, owners, shape);
    }
  }

  /** Takes what the last pass said of the attention, times the scale. */
  void addAttention(float scale) {
    if (attending != null) {
      attending.add(scratch, scale);
    }
  }

  /** Writes the gradient of what decides the attention, which no graph does. */
  void writeAttention(ParameterVector gradient) {
    if (attending != null) {
      attending.write(gradient);
    }
  }

  /** Begins to add up what passes say of the adapter's outputs, if the graph says anything. */
  void beginMagnitudes(Kernels kernels) {
    if (magnitudes != null) {
      kernels.zero(magnitudes);
    }
  }

  /** Adds what the last pass said. */
  void addMagnitudes(Kernels kernels) {
    if (magnitudes != null && magnitudesOfPass != null) {
      kernels.accumulate(magnitudes, magnitudesOfPass, 1);
    }
  }

  /** The sum; null where the graph says nothing. */
  @Nullable ParameterVector magnitudes() {
    return magnitudes;
  }

  static void bindWeights(Binding binding, ParameterVector weights, Session session) {
    for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
      if (session.inputs().containsKey(tensor.name())) {
        binding.bindInput(
            tensor.name(), Tensor.float32(weights.slice(tensor), tensor.shape().toArray()));
      }
    }
  }

  /** Another binding over the same weights, with no gradient bound yet. */
  Binding newBinding() {
    Binding binding = session.binding();
    bindWeights(binding, weights, session);
    return binding;
  }

  Scratch scratch() {
    return scratch;
  }

  boolean hasInput(String name) {
    return session.inputs().containsKey(name);
  }

  void bindGradient(Binding binding, ParameterVector gradient) {
    if (!gradient.layout().equals(weights.layout())) {
      throw new IllegalArgumentException("the gradient has another layout than the weights");
    }
    if (boundGradients.put(binding, gradient) == gradient) {
      return;
    }
    if (magnitudesOfPass != null) {
      for (ParameterLayout.Tensor tensor : magnitudesOfPass.layout().tensors()) {
        binding.bindOutput(
            AdapterMagnitudes.outputName(tensor.name()),
            Tensor.float32(magnitudesOfPass.slice(tensor), tensor.shape().toArray()));
      }
    }
    for (ParameterLayout.Tensor tensor : gradient.layout().tensors()) {
      String output = Graph.gradientName(tensor.name());
      if (session.outputs().containsKey(output)) {
        binding.bindOutput(
            output, Tensor.float32(gradient.slice(tensor), tensor.shape().toArray()));
      }
    }
  }

  void bindLongs(Binding target, String name, long[] values, long... shape) {
    target.bindInput(name, Tensor.int64(scratch.longs(name, values), shape));
  }

  void bindFloats(Binding target, String name, float[] values, long... shape) {
    target.bindInput(name, Tensor.float32(scratch.floats(name, values), shape));
  }

  /**
   * Binds the inputs cosine and sine.
   *
   * @param shape of both; as many angles as positions has elements, times those of one position
   */
  static void bindAngles(
      Binding target, Scratch scratch, RotaryAngles angles, long[] positions, long... shape) {
    RotaryAngles.Table table = angles.of(positions);
    target.bindInput("cosine", Tensor.float32(scratch.floats("cosine", table.cosine()), shape));
    target.bindInput("sine", Tensor.float32(scratch.floats("sine", table.sine()), shape));
  }

  @Override
  public void close() {
    session.close();
    scratch.close();
    if (magnitudes != null && magnitudesOfPass != null) {
      magnitudes.close();
      magnitudesOfPass.close();
    }
  }
}
