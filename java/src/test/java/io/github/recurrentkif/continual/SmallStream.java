package io.github.recurrentkif.continual;

import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.training.GradientSum;
import io.github.recurrentkif.training.Learner;
import io.github.recurrentkif.training.LearningRateSchedule.WarmupLinear;
import io.github.recurrentkif.training.Objective;
import io.github.recurrentkif.training.OptimizerSettings;
import io.github.recurrentkif.training.Resumable;
import io.github.recurrentkif.training.Update;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The problem of {@code bench/python/record_method_traces.py}, which says what it is: three tasks
 * of six updates, on two layers with adapters.
 */
final class SmallStream implements AutoCloseable {

  static final int TASKS = 3;
  static final int UPDATES = 6;
  private static final int[][] LAYERS = {{5, 4}, {3, 6}};

  /** A batch: of which task, and how far its minimum has moved. */
  record Pull(int task, long step) {}

  /** What a method is made from. */
  record Inputs(ParameterLayout layout, Kernels kernels) {}

  private final Kernels kernels = new ReferenceKernels();
  private final ParameterVector weights;
  private final Quadratics objective;
  private final Learner<Pull> learner;
  private final ContinualMethod<Pull> method;
  private final List<Float> norms = new ArrayList<>();

  /**
   * @param rank of the adapter: 2, or 2 for each task
   */
  SmallStream(int rank, Function<Inputs, ContinualMethod<Pull>> method) {
    var shapes = new LinkedHashMap<String, Shape>();
    var rows = new LinkedHashMap<String, Shape>();
    for (int layer = 0; layer < LAYERS.length; layer++) {
      shapes.put(layer + ".lora_A.weight", Shape.of(rank, LAYERS[layer][0]));
      shapes.put(layer + ".lora_B.weight", Shape.of(LAYERS[layer][1], rank));
    }
    shapes.forEach((name, shape) -> rows.put(name, Shape.of(shape.dimension(0))));
    ParameterLayout layout = ParameterLayout.of(shapes);
    this.weights = new ParameterVector(layout, kernels.device());
    this.objective =
        new Quadratics(weights, new ParameterVector(ParameterLayout.of(rows), kernels.device()));
    this.learner = new Learner<>(weights, kernels, objective, OptimizerSettings.reference(0, 1));
    this.method = method.apply(new Inputs(layout, kernels));
    int i = 0;
    for (var tensor : layout.tensors()) {
      float[] values = new float[(int) tensor.elements()];
      for (int j = 0; j < values.length; j++) {
        values[j] = (float) (0.1 * Math.sin(++i));
      }
      weights.upload(tensor.name(), MemorySegment.ofArray(values));
    }
  }

  private record Quadratics(ParameterVector weights, ParameterVector magnitudes)
      implements Objective<Pull> {

    @Override
    public List<Double> gradient(Update<Pull> update, GradientSum sum) {
      for (var tensor : magnitudes.layout().tensors()) {
        float[] w = weights.download(tensor.name());
        float[] sizes = new float[(int) tensor.elements()];
        int width = w.length / sizes.length;
        for (int i = 0; i < w.length; i++) {
          for (Pull pull : update.microBatches()) {
            sizes[i / width] +=
                (float) (Math.abs(w[i]) * (1 + Math.sin((double) (i / width + pull.step))));
          }
        }
        magnitudes.upload(tensor.name(), MemorySegment.ofArray(sizes));
      }
      return Objective.super.gradient(update, sum);
    }

    @Override
    public double gradient(Pull pull, RandomKey randomness, ParameterVector gradient) {
      double loss = 0;
      int i = 0;
      for (var tensor : weights.layout().tensors()) {
        float[] w = weights.download(tensor.name());
        float[] g = new float[w.length];
        for (int j = 0; j < w.length; j++) {
          double curvature = 1 + 0.5 * Math.sin(i * (pull.task + 1) + pull.task);
          double distance = w[j] - 0.3 * Math.cos(i * (pull.task + 2)) * (1 + 0.1 * pull.step);
          loss += 0.5 * curvature * distance * distance;
          g[j] = (float) (curvature * distance);
          i++;
        }
        gradient.upload(tensor.name(), MemorySegment.ofArray(g));
      }
      return loss;
    }

    @Override
    public void close() {
      magnitudes.close();
    }
  }

  private record Plan(int task) implements TaskPlan<Pull> {

    @Override
    public long updates() {
      return UPDATES;
    }

    private double rate(long completed) {
      return new WarmupLinear(0.05, 2, 8).at(completed);
    }

    @Override
    public Update<Pull> inner(long completed) {
      return new Update<>(
          List.of(new Pull(task, 2 * completed), new Pull(task, 2 * completed + 1)),
          0.5f,
          rate(completed),
          RandomKey.ofSeed(0));
    }

    @Override
    public boolean hasMemory() {
      return task > 0;
    }

    @Override
    public Update<Pull> outer(long completed, int repeat) {
      return new Update<>(
          List.of(new Pull(task - 1, completed)), 0.25f, rate(completed), RandomKey.ofSeed(0));
    }

    @Override
    public long samples() {
      return 4;
    }

    @Override
    public Update<Pull> sample(long number) {
      return new Update<>(List.of(new Pull(task, number)), 1, 0, RandomKey.ofSeed(0));
    }
  }

  /** Begins a task and learns it. */
  void learn(int task) {
    method.beginTask(task, learner);
    learn(task, 0, UPDATES);
  }

  /** Goes on with a task. */
  void learn(int task, long from, long to) {
    method.learn(
        new Plan(task),
        from,
        learner,
        new Observer() {
          @Override
          public void on(LearningEvent event) {
            if (event instanceof LearningEvent.AfterInner(long _, var outcome)) {
              norms.add(outcome.gradientNorm());
            }
          }

          @Override
          public boolean stopsAfter(long completed) {
            return completed == to;
          }
        });
  }

  Learner<Pull> learner() {
    return learner;
  }

  ContinualMethod<Pull> method() {
    return method;
  }

  /** Of the gradient of each update so far. */
  List<Float> norms() {
    return norms;
  }

  /** All elements, in the order of the layout. */
  float[] weights() {
    return elements(weights);
  }

  static float[] elements(ParameterVector vector) {
    float[] all = new float[(int) vector.layout().elements()];
    int i = 0;
    for (var tensor : vector.layout().tensors()) {
      for (float value : vector.download(tensor.name())) {
        all[i++] = value;
      }
    }
    return all;
  }

  /** What a checkpoint holds. */
  record State(Map<String, float[]> vectors, List<Map<String, Long>> counters) {}

  State state() {
    Map<String, float[]> vectors = new LinkedHashMap<>();
    for (Resumable part : List.of(learner, method)) {
      part.vectors().forEach((name, vector) -> vectors.put(name, elements(vector)));
    }
    return new State(vectors, List.of(learner.counters(), method.counters()));
  }

  void restore(State state) {
    for (Resumable part : List.of(learner, method)) {
      part.vectors()
          .forEach(
              (name, vector) -> {
                int i = 0;
                float[] all = state.vectors.get(name);
                for (var tensor : vector.layout().tensors()) {
                  float[] values = new float[(int) tensor.elements()];
                  System.arraycopy(all, i, values, 0, values.length);
                  i += values.length;
                  vector.upload(tensor.name(), MemorySegment.ofArray(values));
                }
              });
    }
    learner.restore(state.counters.get(0));
    method.restore(state.counters.get(1));
  }

  @Override
  public void close() {
    method.close();
    learner.close();
    objective.close();
    weights.close();
    kernels.close();
  }
}
