package io.github.recurrentkif.model;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * How the frequencies of the rotary embedding are changed for contexts longer than those of
 * pre-training.
 */
public sealed interface RotaryScaling {

  /** Not at all. */
  record None() implements RotaryScaling {}

  /** All positions are divided by the factor (Chen et al., 2023). */
  record Linear(float factor) implements RotaryScaling {}

  /**
   * Llama 3.1: slow turns are divided by the factor, fast ones stay, those between are mixed.
   *
   * @param slowTurns {@code low_freq_factor}: fewer turns over the original context are slow
   * @param fastTurns {@code high_freq_factor}: more turns are fast
   * @param originalContext {@code original_max_position_embeddings}
   */
  record Llama3(float factor, float slowTurns, float fastTurns, int originalContext)
      implements RotaryScaling {

    public Llama3 {
      if (!(fastTurns > slowTurns)) {
        throw new InputException(
            "rope scaling of type llama3: high_freq_factor "
                + fastTurns
                + " must be greater than low_freq_factor "
                + slowTurns);
      }
    }
  }

  /** The base of the frequencies together with their scaling. */
  record Frequencies(double base, RotaryScaling scaling) {}

  /**
   * Reads {@code rope_parameters}, as Transformers writes it since version 5, or the older {@code
   * rope_theta} and {@code rope_scaling}.
   */
  static Frequencies parse(JsonNode config, Path file) {
    ConfigReader top = new ConfigReader(config, file);
    JsonNode parameters = given(config.get("rope_parameters"));
    if (parameters == null) {
      parameters = given(config.get("rope_scaling"));
    }
    if (parameters == null) {
      return new Frequencies(top.number("rope_theta", 10_000), new None());
    }
    ConfigReader reader = new ConfigReader(parameters, file);
    double base = reader.number("rope_theta", top.number("rope_theta", 10_000));
    double partial = reader.number("partial_rotary_factor", 1);
    if (partial != 1) {
      throw reader.unsupported(
          "partial_rotary_factor", String.valueOf(partial), "a model that turns whole heads");
    }
    String type = reader.text("rope_type", reader.text("type", "default"));
    RotaryScaling scaling =
        switch (type) {
          case "default" -> new None();
          case "linear" -> new Linear(factor(reader));
          case "llama3" ->
              new Llama3(
                  factor(reader),
                  (float) reader.number("low_freq_factor", 1),
                  (float) reader.number("high_freq_factor", 4),
                  reader.positive("original_max_position_embeddings"));
          default ->
              throw reader.unsupported(
                  "rope_type", '"' + type + '"', "\"default\", \"linear\" or \"llama3\"");
        };
    return new Frequencies(base, scaling);
  }

  private static @Nullable JsonNode given(@Nullable JsonNode node) {
    return node == null || node.isNull() ? null : node;
  }

  private static float factor(ConfigReader reader) {
    double factor = reader.number("factor", 0);
    if (!(factor > 0)) {
      throw reader.unsupported("factor", String.valueOf(factor), "a positive number");
    }
    return (float) factor;
  }

  /**
   * Radians per position of each pair of a head, in the float32 arithmetic of Transformers, so that
   * the angles are the same numbers.
   */
  static List<Float> radiansPerPosition(Frequencies frequencies, int headWidth) {
    List<Float> radians = new ArrayList<>();
    for (int i = 0; i < headWidth / 2; i++) {
      float exponent = (float) (2 * i) / headWidth;
      float plain = 1f / (float) Math.pow(frequencies.base(), exponent);
      radians.add(
          switch (frequencies.scaling()) {
            case None _ -> plain;
            case Linear linear -> plain / linear.factor();
            case Llama3 llama3 -> scaled(plain, llama3);
          });
    }
    return List.copyOf(radians);
  }

  private static float scaled(float radians, Llama3 llama3) {
    float wavelength = (float) (2 * Math.PI) / radians;
    if (wavelength > llama3.originalContext() / llama3.slowTurns()) {
      return radians / llama3.factor();
    }
    if (wavelength < llama3.originalContext() / llama3.fastTurns()) {
      return radians;
    }
    float fast =
        (llama3.originalContext() / wavelength - llama3.slowTurns())
            / (llama3.fastTurns() - llama3.slowTurns());
    return (1 - fast) * radians / llama3.factor() + fast * radians;
  }
}
