package io.github.recurrentkif.training;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.runtime.Binding;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * How much each task's adapter takes part in a text, and the gradient of what decides it; {@link
 * TaskAttentionConfig} has the formula. It is computed here, in float64: a few products for each
 * text, beside which a pass through the model is long.
 */
final class TaskAttention implements Retention<Batch> {

  /** As of PyTorch's LayerNorm. */
  private static final double EPSILON = 1e-5;

  private final TaskAttentionConfig config;
  private final SourceTexts source;
  private final ParameterVector weights;

  /**
   * @param weights read anew for every pass
   */
  TaskAttention(TaskAttentionConfig config, SourceTexts source, ParameterVector weights) {
    this.config = config;
    this.source = source;
    this.weights = weights;
  }

  SourceTexts source() {
    return source;
  }

  /** Whose text each token belongs to, where every text has so many. */
  static long[] owners(int texts, int length) {
    return owners(IntStream.range(0, texts).toArray(), texts, length);
  }

  /** The same where other texts than the first ones are in the rows. */
  static long[] owners(int[] texts, int rows, int length) {
    long[] owners = new long[rows * length];
    Arrays.setAll(owners, i -> texts[i / length]);
    return owners;
  }

  /** Whose text each token belongs to, where the texts have these lengths. */
  static long[] owners(int[] lengths) {
    long[] owners = new long[Arrays.stream(lengths).sum()];
    int at = 0;
    for (int text = 0; text < lengths.length; text++) {
      Arrays.fill(owners, at, at + lengths[text], text);
      at += lengths[text];
    }
    return owners;
  }

  /** The attention paid to some texts, [texts, tasks], on the model's device. */
  Tensor gates(List<long[]> texts, Scratch scratch) {
    State state = new State(weights);
    return tensor(texts.stream().map(state::of).toList(), scratch);
  }

  private Tensor tensor(List<Attended> attended, Scratch scratch) {
    float[] gates = new float[attended.size() * config.tasks()];
    for (int i = 0; i < gates.length; i++) {
      gates[i] = (float) attended.get(i / config.tasks()).attention[i % config.tasks()];
    }
    return Tensor.float32(scratch.floats("gates", gates), attended.size(), config.tasks());
  }

  @Override
  public void addGradient(
      Batch batch,
      RandomKey randomness,
      ParameterVector before,
      double weight,
      ParameterVector gradient) {
    State then = new State(before);
    State now = new State(weights);
    Gradient sum = new Gradient();
    for (long[] text : source.texts(batch)) {
      double[] wanted = then.of(text).attention;
      Attended attended = now.of(text);
      double[] slopes = new double[config.tasks()];
      for (int t = 0; t < slopes.length; t++) {
        slopes[t] = weight / batch.rows() * (attended.attention[t] - wanted[t]);
      }
      sum.add(now, attended, slopes);
    }
    sum.parts.forEach(
        (name, part) -> {
          float[] total = gradient.download(name);
          for (int i = 0; i < total.length; i++) {
            total[i] += (float) part[i];
          }
          gradient.upload(name, MemorySegment.ofArray(total));
        });
  }

  /** The attention over one update. */
  Pass pass() {
    return new Pass();
  }

  /** Texts through one state of the weights, and the gradient of what was made of them. */
  final class Pass {

    private final State state = new State(weights);
    private final Gradient sum = new Gradient();
    private List<Attended> attended = List.of();
    private MemorySegment slopes = MemorySegment.NULL;

    /** Binds the attention paid to some texts, and where its gradient is to be written. */
    void bind(Binding binding, List<long[]> texts, Scratch scratch) {
      attended = texts.stream().map(state::of).toList();
      binding.bindInput(TaskAttentionConfig.GATES, tensor(attended, scratch));
      slopes = scratch.buffer("gate slopes", (long) texts.size() * config.tasks() * Float.BYTES);
      binding.bindOutput(
          Graph.gradientName(TaskAttentionConfig.GATES),
          Tensor.float32(slopes, texts.size(), config.tasks()));
    }

    /** Takes what the graph wrote, times the scale. */
    void add(Scratch scratch, float scale) {
      float[] values = scratch.floats(slopes);
      int tasks = config.tasks();
      for (int row = 0; row < attended.size(); row++) {
        double[] attention = attended.get(row).attention;
        double mean = 0;
        for (int t = 0; t < tasks; t++) {
          mean += attention[t] * values[row * tasks + t];
        }
        double[] logits = new double[tasks];
        for (int t = 0; t < tasks; t++) {
          logits[t] = scale * attention[t] * (values[row * tasks + t] - mean);
        }
        sum.add(state, attended.get(row), logits);
      }
    }

    /** Writes the gradient with respect to the attention's parameters. */
    void write(ParameterVector gradient) {
      sum.parts.forEach(gradient::upload);
    }
  }

  /** What came of one text on the way to its attention. */
  private record Attended(
      double[] embedding,
      double[] down,
      double[] normed,
      double deviation,
      double[] query,
      double[] attention) {}

  /** The parameters as they were at one moment. */
  private final class State {

    private final int width = source.width();
    private final float[] keys;
    private final float[] down;
    private final float[] up;
    private final float[] gain;
    private final float[] bias;
    private final boolean[] begun = new boolean[config.tasks()];
    private final double scale = 1 / (config.temperature() * Math.sqrt(width));

    State(ParameterVector from) {
      keys = from.download(TaskAttentionConfig.KEYS);
      down = from.download(TaskAttentionConfig.DOWN);
      up = from.download(TaskAttentionConfig.UP);
      gain = from.download(TaskAttentionConfig.GAIN);
      bias = from.download(TaskAttentionConfig.BIAS);
      for (int i = 0; i < keys.length; i++) {
        begun[i / width] |= keys[i] != 0;
      }
    }

    Attended of(long[] text) {
      double[] embedding = largest(text);
      double[] hidden = product(down, embedding, config.hidden());
      double[] raised = product(up, Arrays.stream(hidden).map(State::silu).toArray(), width);
      double mean = Arrays.stream(raised).average().orElse(0);
      double variance = Arrays.stream(raised).map(x -> (x - mean) * (x - mean)).sum() / width;
      double deviation = Math.sqrt(variance + EPSILON);
      double[] normed = Arrays.stream(raised).map(x -> (x - mean) / deviation).toArray();
      double[] query = new double[width];
      for (int j = 0; j < width; j++) {
        query[j] = normed[j] * gain[j] + bias[j];
      }
      return new Attended(embedding, hidden, normed, deviation, query, softmax(query));
    }

    private double[] largest(long[] text) {
      double[] largest = new double[width];
      Arrays.fill(largest, text.length == 0 ? 0 : Double.NEGATIVE_INFINITY);
      for (long token : text) {
        for (int j = 0; j < width; j++) {
          largest[j] = Math.max(largest[j], source.embedding(token, j));
        }
      }
      return largest;
    }

    private double[] softmax(double[] query) {
      double[] logits = product(keys, query, config.tasks());
      double most =
          IntStream.range(0, logits.length)
              .filter(t -> begun[t])
              .mapToDouble(t -> logits[t])
              .max()
              .orElse(0);
      double sum = 0;
      for (int t = 0; t < logits.length; t++) {
        logits[t] = begun[t] ? Math.exp(scale * (logits[t] - most)) : 0;
        sum += logits[t];
      }
      for (int t = 0; t < logits.length && sum > 0; t++) {
        logits[t] /= sum;
      }
      return logits;
    }

    /** A matrix [rows, x.length] times x. */
    private static double[] product(float[] matrix, double[] x, int rows) {
      double[] y = new double[rows];
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < x.length; j++) {
          y[i] += matrix[i * x.length + j] * x[j];
        }
      }
      return y;
    }

    private static double silu(double x) {
      return x / (1 + Math.exp(-x));
    }

    private static double siluSlope(double x) {
      double sigmoid = 1 / (1 + Math.exp(-x));
      return sigmoid * (1 + x * (1 - sigmoid));
    }
  }

  /** A gradient with respect to the attention's parameters, summed over texts. */
  private final class Gradient {

    private final int width = source.width();
    private final double[] keys = new double[config.tasks() * width];
    private final double[] down = new double[config.hidden() * width];
    private final double[] up = new double[width * config.hidden()];
    private final double[] gain = new double[width];
    private final double[] bias = new double[width];
    private final Map<String, double[]> parts = new LinkedHashMap<>();

    Gradient() {
      parts.put(TaskAttentionConfig.KEYS, keys);
      parts.put(TaskAttentionConfig.DOWN, down);
      parts.put(TaskAttentionConfig.UP, up);
      parts.put(TaskAttentionConfig.GAIN, gain);
      parts.put(TaskAttentionConfig.BIAS, bias);
    }

    /**
     * @param slopes of the loss by the logits of the text's attention
     */
    void add(State state, Attended text, double[] slopes) {
      double[] query = new double[width];
      for (int t = 0; t < slopes.length; t++) {
        double slope = state.begun[t] ? state.scale * slopes[t] : 0;
        for (int j = 0; j < width; j++) {
          query[j] += slope * state.keys[t * width + j];
          keys[t * width + j] += slope * text.query[j];
        }
      }
      double[] raised = throughNorm(state, text, query);
      double[] active = new double[config.hidden()];
      for (int j = 0; j < width; j++) {
        for (int i = 0; i < active.length; i++) {
          active[i] += state.up[j * active.length + i] * raised[j];
          up[j * active.length + i] += raised[j] * State.silu(text.down[i]);
        }
      }
      for (int i = 0; i < active.length; i++) {
        double slope = active[i] * State.siluSlope(text.down[i]);
        for (int j = 0; j < width; j++) {
          down[i * width + j] += slope * text.embedding[j];
        }
      }
    }

    private double[] throughNorm(State state, Attended text, double[] query) {
      double mean = 0;
      double along = 0;
      double[] normed = new double[width];
      for (int j = 0; j < width; j++) {
        gain[j] += query[j] * text.normed[j];
        bias[j] += query[j];
        normed[j] = query[j] * state.gain[j];
        mean += normed[j] / width;
        along += normed[j] * text.normed[j] / width;
      }
      double[] raised = new double[width];
      for (int j = 0; j < width; j++) {
        raised[j] = (normed[j] - mean - text.normed[j] * along) / text.deviation;
      }
      return raised;
    }
  }
}
