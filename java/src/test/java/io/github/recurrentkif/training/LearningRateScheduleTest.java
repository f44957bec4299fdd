package io.github.recurrentkif.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.recurrentkif.training.LearningRateSchedule.Constant;
import io.github.recurrentkif.training.LearningRateSchedule.WarmupLinear;
import org.junit.jupiter.api.Test;

class LearningRateScheduleTest {

  @Test
  void warmsUpFromZeroAndDecaysToZero() {
    var schedule = new WarmupLinear(3e-4, 50, 1250);
    assertEquals(0, schedule.at(0));
    assertEquals(3e-4 * (1 / 50.0), schedule.at(1));
    assertEquals(3e-4 * (49 / 50.0), schedule.at(49));
    assertEquals(3e-4, schedule.at(50));
    assertEquals(3e-4 * (600 / 1200.0), schedule.at(650));
    assertEquals(3e-4 * (1 / 1200.0), schedule.at(1249));
    assertEquals(0, schedule.at(1250));
    assertEquals(0, schedule.at(1251), "past the end");
  }

  @Test
  void neverReachesThePeakOfATaskShorterThanItsWarmUp() {
    var schedule = new WarmupLinear(1, 50, 40);
    assertEquals(0.5, schedule.at(25));
    assertEquals(0.8, schedule.at(40));
    assertEquals(0, schedule.at(50));
  }

  @Test
  void decaysFromTheStartWithoutAWarmUp() {
    var schedule = new WarmupLinear(2, 0, 4);
    assertEquals(2, schedule.at(0));
    assertEquals(0.5, schedule.at(3));
  }

  @Test
  void staysConstant() {
    assertEquals(1e-3, new Constant(1e-3).at(0));
    assertEquals(1e-3, new Constant(1e-3).at(1_000_000));
  }

  @Test
  void refusesRatesThatMakeNoSense() {
    assertThrows(IllegalArgumentException.class, () -> new Constant(-1));
    assertThrows(IllegalArgumentException.class, () -> new Constant(Double.NaN));
    assertThrows(IllegalArgumentException.class, () -> new WarmupLinear(1, -1, 3));
  }
}
