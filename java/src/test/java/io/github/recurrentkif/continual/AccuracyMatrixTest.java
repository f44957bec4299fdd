package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

class AccuracyMatrixTest {

  /** Three tasks; task 0 peaks after task 1; the next task is always examined, too. */
  private static final AccuracyMatrix EXAMPLE =
      AccuracyMatrix.EMPTY
          .with(List.of(0.8, 0.1))
          .with(List.of(0.9, 0.6, 0.3))
          .with(List.of(0.5, 0.7, 0.9));

  /** The same without looking ahead. */
  private static final AccuracyMatrix LEARNED_ONLY =
      new AccuracyMatrix(List.of(List.of(0.8), List.of(0.9, 0.6), List.of(0.5, 0.7, 0.9)));

  private static void assertClose(double expected, OptionalDouble found) {
    assertEquals(expected, found.orElseThrow(), 1e-12);
  }

  @Test
  void entriesAreTheAccuracyOfATaskAfterATask() {
    assertEquals(0.9, EXAMPLE.accuracy(0, 1));
    assertEquals(0.3, EXAMPLE.accuracy(2, 1));
    assertEquals(3, EXAMPLE.tasks());
    assertFalse(LEARNED_ONLY.has(2, 1));
    assertThrows(IllegalArgumentException.class, () -> LEARNED_ONLY.accuracy(2, 1));
    assertThrows(IllegalArgumentException.class, () -> EXAMPLE.accuracy(0, 3));
  }

  @Test
  void overallPerformanceIsTheMeanAfterTheLastTask() {
    assertClose((0.5 + 0.7 + 0.9) / 3, EXAMPLE.overallPerformance());
  }

  @Test
  void backwardTransferComparesWithJustAfterLearning() {
    assertClose((0.5 - 0.8 + 0.7 - 0.6) / 2, EXAMPLE.backwardTransfer());
  }

  @Test
  void forgettingComparesWithTheBestSoFar() {
    assertClose((0.9 - 0.5 + 0.6 - 0.7) / 2, EXAMPLE.forgetting());
  }

  @Test
  void forwardTransferIsMeasuredJustBeforeLearning() {
    assertClose((0.1 + 0.3) / 2, EXAMPLE.zeroShotForwardTransfer());
    assertTrue(LEARNED_ONLY.zeroShotForwardTransfer().isEmpty());
  }

  @Test
  void forwardTransferAgainstTrainingAlone() {
    assertClose(
        (0.8 - 0.7 + 0.6 - 0.8 + 0.9 - 0.7) / 3, EXAMPLE.forwardTransfer(List.of(0.7, 0.8, 0.7)));
    assertThrows(IllegalArgumentException.class, () -> EXAMPLE.forwardTransfer(List.of(0.7, 0.8)));
  }

  @Test
  void anytimeAccuracyAveragesOverTheStream() {
    assertClose(
        (0.8 + (0.9 + 0.6) / 2 + (0.5 + 0.7 + 0.9) / 3) / 3, EXAMPLE.averageAnytimeAccuracy());
  }

  @Test
  void lookingAheadChangesNoOtherMeasure() {
    AccuracyMatrix surprising =
        AccuracyMatrix.EMPTY.with(List.of(0.8, 1.0)).with(List.of(0.9, 0.6));
    AccuracyMatrix plain = AccuracyMatrix.EMPTY.with(List.of(0.8)).with(List.of(0.9, 0.6));
    assertEquals(plain.overallPerformance(), surprising.overallPerformance());
    assertEquals(plain.backwardTransfer(), surprising.backwardTransfer());
    assertEquals(plain.averageAnytimeAccuracy(), surprising.averageAnytimeAccuracy());
    AccuracyMatrix longer = plain.with(List.of(0.1, 0.2, 0.3));
    AccuracyMatrix longerSurprising = surprising.with(List.of(0.1, 0.2, 0.3));
    assertEquals(longer.forgetting(), longerSurprising.forgetting());
  }

  @Test
  void measuresOfTooFewTasksAreAbsent() {
    AccuracyMatrix one = AccuracyMatrix.EMPTY.with(List.of(0.8));
    assertClose(0.8, one.overallPerformance());
    assertClose(0.8, one.averageAnytimeAccuracy());
    for (OptionalDouble absent :
        List.of(
            one.backwardTransfer(),
            one.forgetting(),
            one.zeroShotForwardTransfer(),
            AccuracyMatrix.EMPTY.overallPerformance(),
            AccuracyMatrix.EMPTY.backwardTransfer(),
            AccuracyMatrix.EMPTY.forgetting(),
            AccuracyMatrix.EMPTY.averageAnytimeAccuracy(),
            AccuracyMatrix.EMPTY.forwardTransfer(List.of()),
            AccuracyMatrix.EMPTY.zeroShotForwardTransfer())) {
      assertTrue(absent.isEmpty());
    }
  }

  @Test
  void incompleteRowsAndNumbersThatAreNoAccuraciesAreRefused() {
    AccuracyMatrix one = AccuracyMatrix.EMPTY.with(List.of(0.8));
    assertThrows(IllegalArgumentException.class, () -> one.with(List.of(0.8)));
    for (double wrong : new double[] {-0.1, 1.1, 80, Double.NaN}) {
      assertThrows(IllegalArgumentException.class, () -> one.with(List.of(0.5, wrong)));
    }
  }

  @Test
  void matricesDoNotChange() {
    List<Double> row = new ArrayList<>(List.of(0.8));
    AccuracyMatrix matrix = AccuracyMatrix.EMPTY.with(row);
    row.set(0, 0.1);
    matrix.with(List.of(0.1, 0.2));
    assertEquals(new AccuracyMatrix(List.of(List.of(0.8))), matrix);
  }

  @Test
  void measuresOfTheReferenceRun() {
    AccuracyMatrix matrix = AccuracyMatrix.EMPTY;
    for (JsonNode task : SharedFolder.json("golden/authors-t5/manifest.json").get("summary")) {
      List<Double> row = new ArrayList<>();
      for (JsonNode accuracy : task.get("accuracy")) {
        row.add(accuracy.doubleValue());
      }
      matrix = matrix.with(row);
    }
    // agnews .25 .5625 .5, sst-2 .4375 .5625, qqp .3125
    assertClose((0.5 + 0.5625 + 0.3125) / 3, matrix.overallPerformance());
    assertClose((0.25 + 0.125) / 2, matrix.backwardTransfer());
    assertClose((0.0625 - 0.125) / 2, matrix.forgetting());
    assertClose((0.25 + 0.5 + 1.375 / 3) / 3, matrix.averageAnytimeAccuracy());
  }
}
