package io.github.recurrentkif.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.json.JsonMapper;

/** Against the numbers of Transformers, as bench/python/rotary_frequencies.py prints them. */
class RotaryScalingTest {

  private static final Path FILE = Path.of("config.json");

  private static RotaryScaling.Frequencies parse(String json) {
    return RotaryScaling.parse(new JsonMapper().readTree(json.replace('\'', '"')), FILE);
  }

  private static void assertRadians(String json, double... expected) {
    List<Float> found = RotaryScaling.radiansPerPosition(parse(json), 32);
    assertEquals(16, found.size());
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], found.get(i), 2e-7 * expected[i], "pair " + i);
    }
  }

  @Test
  void plainFrequencies() {
    assertRadians("{}", 1.0, 0.5623413324356079, 0.3162277638912201, 0.17782793939113617);
    assertRadians("{'rope_theta': 500000.0}", 1.0, 0.44036662578582764, 0.193922758102417);
    assertRadians("{'rope_theta': 500000.0, 'rope_scaling': null}", 1.0, 0.44036662578582764);
    assertRadians(
        "{'rope_parameters': {'rope_type': 'default', 'rope_theta': 500000.0}}",
        1.0,
        0.44036662578582764);
  }

  @Test
  void linearScalingDividesAll() {
    assertRadians(
        "{'rope_scaling': {'type': 'linear', 'factor': 4.0}}",
        0.25,
        0.14058533310890198,
        0.07905694097280502,
        0.04445698484778404,
        0.02500000037252903,
        0.014058532193303108);
  }

  @Test
  void llama3LeavesFastTurnsAndDividesSlowOnes() {
    assertRadians(
        "{'rope_theta': 500000.0, 'rope_scaling': {'rope_type': 'llama3', 'factor': 8.0,"
            + " 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,"
            + " 'original_max_position_embeddings': 8192}}",
        1.0,
        0.44036662578582764,
        0.193922758102417,
        0.08539710193872452,
        0.03760603070259094,
        0.016560440883040428,
        0.00729266507551074,
        0.0032114461064338684,
        0.0005248460220173001,
        7.784655463183299e-05,
        3.428102354519069e-05,
        1.5096217794052791e-05,
        6.647869668086059e-06,
        2.927499735960737e-06,
        1.289173155782919e-06,
        5.677088097399974e-07);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{'rope_type': 'yarn', 'factor': 4.0} | yarn",
        "{'rope_type': 'dynamic', 'factor': 4.0} | dynamic",
        "{'type': 'longrope'} | longrope",
        "{'rope_type': 'linear'} | factor",
        "{'rope_type': 'linear', 'factor': -1} | factor",
        "{'rope_type': 'llama3', 'factor': 8.0} | original_max_position_embeddings",
        "{'rope_type': 'default', 'partial_rotary_factor': 0.5} | partial_rotary_factor"
      })
  void refusesWhatItDoesNotCompute(String scaling, String word) {
    String json = "{\"rope_scaling\": " + scaling.replace("'", "\"") + "}";
    String message =
        String.valueOf(assertThrows(InputException.class, () -> parse(json)).getMessage());
    assertTrue(message.contains("config.json"), message);
    assertTrue(message.contains(word), message);
  }

  @Test
  void llama3NeedsTwoDifferentBounds() {
    assertThrows(
        InputException.class,
        () ->
            parse(
                "{'rope_scaling': {'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 4.0,"
                    + " 'original_max_position_embeddings': 8192}}"));
  }
}
