package io.github.recurrentkif.runtime;

import static io.github.recurrentkif.runtime.OperatorRun.normal;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Our operators but for attention against their formulas in double precision, on every instruction
 * set that this processor has.
 */
class OperatorsTest {

  @SuppressWarnings("NullAway.Init") // set before any test
  private static OnnxRuntime runtime;

  @BeforeAll
  static void load() {
    runtime = TestRuntime.load();
  }

  @AfterAll
  static void close() {
    runtime.close();
  }

  /** Largest difference, relative to the largest number expected. */
  static void assertClose(double[] expected, float[] actual, double tolerance, String what) {
    assertEquals(expected.length, actual.length, what);
    double largest = Arrays.stream(expected).map(Math::abs).max().orElse(0);
    for (int i = 0; i < expected.length; i++) {
      if (!(Math.abs(expected[i] - actual[i]) <= tolerance * Math.max(largest, 1e-3))) {
        throw new AssertionError(
            "%s: element %d is %s, not %s".formatted(what, i, actual[i], expected[i]));
      }
    }
  }

  /** x [m, k] times the weight, or its transpose. */
  private static double[] product(
      float[] x, float[] weight, int m, int k, int n, boolean transposed) {
    double[] y = new double[m * n];
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int l = 0; l < k; l++) {
          sum += (double) x[i * k + l] * weight[transposed ? j * k + l : l * n + j];
        }
        y[i * n + j] = sum;
      }
    }
    return y;
  }

  private static long[] weightShape(int k, int n, boolean transposed) {
    return transposed ? new long[] {n, k} : new long[] {k, n};
  }

  /**
   * Also where a tier makes float32 of smaller numbers: its sums round off no more than others do.
   */
  @Test
  void productsOfManyRowsAreAsExactAsFloat32() {
    int m = 200;
    int k = 512;
    int n = 64;
    float[] x = normal(1, m, k);
    float[] weight = normal(2, k, n);
    for (String tier : OperatorRun.tiers()) {
      for (boolean transposed : new boolean[] {false, true}) {
        double[] expected = product(x, weight, m, k, n, transposed);
        float[] y =
            new OperatorRun("FrozenProduct")
                .tier(tier)
                .attribute("transposed", transposed ? 1 : 0)
                .input(x, m, k)
                .constant(weight, weightShape(k, n, transposed))
                .run(runtime, 1)
                .getFirst();
        double distance = 0;
        double size = 0;
        for (int i = 0; i < m * n; i++) {
          distance += Math.pow(y[i] - expected[i], 2);
          size += expected[i] * expected[i];
        }
        double error = Math.sqrt(distance / size);
        assertTrue(error < 6e-7, tier + " is " + error + " from the exact products");
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1",
    "7, 5, 3",
    "13, 64, 48",
    "97, 300, 130",
    "6, 513, 17",
    "200, 31, 64",
    "0, 8, 8",
    "3, 16, 63",
    "3, 16, 65",
    "400, 20, 70",
    "2, 37, 70",
    "16, 130, 66",
    "300, 1100, 130"
  })
  void aProductWithAFrozenWeight(int m, int k, int n) {
    float[] x = normal(1, m, k);
    float[] weight = normal(2, k, n);
    float[] addend = normal(3, m, n);
    for (String tier : OperatorRun.tiers()) {
      for (boolean transposed : new boolean[] {false, true}) {
        String what = tier + (transposed ? " transposed" : "");
        double[] sums = product(x, weight, m, k, n, transposed);
        float[] plain =
            new OperatorRun("FrozenProduct")
                .tier(tier)
                .attribute("transposed", transposed ? 1 : 0)
                .input(x, m, k)
                .constant(weight, weightShape(k, n, transposed))
                .run(runtime, 1)
                .getFirst();
        assertClose(sums, plain, 1e-5, what);
        double[] expected = sums.clone();
        Arrays.setAll(expected, i -> Math.max(0, 0.5 * sums[i] + addend[i]));
        float[] full =
            new OperatorRun("FrozenProduct")
                .tier(tier)
                .attribute("transposed", transposed ? 1 : 0)
                .attribute("few_rows", "dots")
                .attribute("scale", 0.5f)
                .attribute("activation", "relu")
                .input(x, m, k)
                .constant(weight, weightShape(k, n, transposed))
                .input(addend, m, n)
                .run(runtime, 1)
                .getFirst();
        assertClose(expected, full, 1e-5, what + " with scale, addend and relu");
        Arrays.setAll(expected, i -> addend[i] > 0 ? sums[i] : 0);
        float[] masked =
            new OperatorRun("FrozenProductMasked")
                .tier(tier)
                .attribute("transposed", transposed ? 1 : 0)
                .input(x, m, k)
                .constant(weight, weightShape(k, n, transposed))
                .input(addend, m, n)
                .run(runtime, 1)
                .getFirst();
        assertClose(expected, masked, 1e-5, what + " masked");
      }
    }
  }

  /** So that greedy answers do not depend on which others are still going on. */
  @Test
  void rowsOfASmallBatchAreTheSameInAnyCompany() {
    int k = 133;
    int n = 70;
    float[] x = normal(1, 16, k);
    float[] weight = normal(2, n, k);
    for (String tier : OperatorRun.tiers()) {
      for (String precision : List.of("float32", "bf16")) {
        float[] together = dots(tier, precision, x, weight, 16, k, n);
        for (int rows = 1; rows < 16; rows++) {
          float[] some = dots(tier, precision, Arrays.copyOf(x, rows * k), weight, rows, k, n);
          assertArrayEquals(
              Arrays.copyOf(together, rows * n),
              some,
              tier + " in " + precision + ", rows: " + rows);
        }
      }
    }
  }

  private static float[] dots(
      String tier, String precision, float[] x, float[] weight, int m, int k, int n) {
    return new OperatorRun("FrozenProduct")
        .tier(tier)
        .attribute("precision", precision)
        .attribute("transposed", 1)
        .attribute("few_rows", "dots")
        .input(x, m, k)
        .constant(weight, n, k)
        .run(runtime, 1)
        .getFirst();
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1, 1, 0",
    "3, 2, 5, 37, 2",
    "8, 3, 64, 530, 8",
    "16, 2, 48, 20, 17",
    "20, 2, 70, 90, 3",
    "17, 1, 16, 600, 0",
    "0, 2, 4, 4, 2"
  })
  void headsHaveRowsOfAWeight(int m, int heads, int width, int depth, int rank) {
    float[] weight = normal(1, (long) heads * width, depth);
    float[] a = normal(2, rank, depth);
    float[] b = normal(3, (long) heads * width, rank);
    for (boolean intoDepth : new boolean[] {false, true}) {
      int in = intoDepth ? width : depth;
      int out = intoDepth ? depth : width;
      float[] x = normal(4, m, (long) heads * in);
      double[] expected = new double[m * heads * out];
      for (int h = 0; h < heads; h++) {
        for (int w = 0; w < width; w++) {
          for (int d = 0; d < depth; d++) {
            double element = weight[(h * width + w) * depth + d];
            for (int r = 0; r < rank; r++) {
              element += 0.5 * b[(h * width + w) * rank + r] * a[r * depth + d];
            }
            for (int i = 0; i < m; i++) {
              int from = (i * heads + h) * in + (intoDepth ? w : d);
              expected[(i * heads + h) * out + (intoDepth ? d : w)] += x[from] * element;
            }
          }
        }
      }
      for (String tier : OperatorRun.tiers()) {
        OperatorRun run =
            new OperatorRun("HeadProduct")
                .tier(tier)
                .attribute("heads", heads)
                .attribute("scale", 0.5f)
                .attribute("into", intoDepth ? "depth" : "width")
                .input(x, m, (long) heads * in)
                .constant(weight, (long) heads * width, depth);
        if (rank > 0) {
          run.input(a, rank, depth).input(b, (long) heads * width, rank);
        }
        assertClose(expected, run.run(runtime, 1).getFirst(), 1e-5, tier + " " + intoDepth);
      }
    }
  }

  /** Of tokens that bf16 cannot tell apart, too, and of equal ones the first. */
  @ParameterizedTest
  @CsvSource({"1, 1, 1", "3, 33, 5", "8, 64, 700", "9, 130, 289", "16, 20, 900", "0, 8, 40"})
  void theNextTokenIsThatOfTheLargestProduct(int m, int k, int vocabulary) {
    float[] x = normal(1, m, k);
    float[] head = normal(2, vocabulary, k);
    // Far behind each token an equal one, or one as near to it as bf16 is.
    float[] noise = normal(3, vocabulary, k);
    int half = vocabulary / 2;
    for (int i = 0; i < half * k; i++) {
      head[half * k + i] = head[i] * (1 + (i / k % 2 == 0 ? 0 : 0.002f * noise[i]));
    }
    for (String tier : OperatorRun.tiers()) {
      float[] products = dots(tier, "float32", x, head, m, k, vocabulary);
      long[] expected = new long[m];
      for (int i = 0; i < m; i++) {
        for (int v = 1; v < vocabulary; v++) {
          if (products[i * vocabulary + v] > products[i * vocabulary + (int) expected[i]]) {
            expected[i] = v;
          }
        }
      }
      assertArrayEquals(
          expected,
          new OperatorRun("NextToken")
              .tier(tier)
              .input(x, m, k)
              .constant(head, vocabulary, k)
              .runToLongs(runtime),
          tier);
    }
  }

  @Test
  void manyRowsChooseAsFewDo() {
    int k = 96;
    int vocabulary = 300;
    float[] x = normal(1, 40, k);
    float[] head = normal(2, vocabulary, k);
    for (String tier : OperatorRun.tiers()) {
      long[] together =
          new OperatorRun("NextToken")
              .tier(tier)
              .input(x, 40, k)
              .constant(head, vocabulary, k)
              .runToLongs(runtime);
      for (int row = 0; row < 40; row++) {
        long[] alone =
            new OperatorRun("NextToken")
                .tier(tier)
                .input(Arrays.copyOfRange(x, row * k, (row + 1) * k), 1, k)
                .constant(head, vocabulary, k)
                .runToLongs(runtime);
        assertArrayEquals(new long[] {together[row]}, alone, tier + ", row " + row);
      }
    }
  }

  private static float[] inBf16(float[] values) {
    float[] rounded = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      rounded[i] = inBf16(values[i]);
    }
    return rounded;
  }

  static float inBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    return Float.intBitsToFloat((bits + 0x7fff + (bits >>> 16 & 1)) & 0xffff0000);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1",
    "7, 5, 3",
    "97, 600, 70",
    "13, 1, 48",
    "3, 1025, 17",
    "800, 33, 65",
    "33, 64, 32",
    "8, 70, 100",
    "16, 64, 5"
  })
  void aProductInBf16RoundsBothFactors(int m, int k, int n) {
    float[] x = normal(1, m, k);
    float[] weight = normal(2, k, n);
    for (String tier : OperatorRun.tiers()) {
      for (boolean transposed : new boolean[] {false, true}) {
        for (String fewRows : List.of("packed", "dots")) {
          assertClose(
              product(inBf16(x), inBf16(weight), m, k, n, transposed),
              new OperatorRun("FrozenProduct")
                  .tier(tier)
                  .attribute("precision", "bf16")
                  .attribute("few_rows", fewRows)
                  .attribute("transposed", transposed ? 1 : 0)
                  .input(x, m, k)
                  .constant(weight, weightShape(k, n, transposed))
                  .run(runtime, 1)
                  .getFirst(),
              1e-5,
              tier + (transposed ? " transposed, " : ", ") + fewRows);
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 4, 9", "5, 33, 130", "101, 16, 700", "0, 8, 16"})
  void theLossOfAHead(int rows, int width, int words) {
    float[] x = normal(1, rows, width);
    float[] head = normal(2, words, width);
    Random random = new Random(3);
    long[] labels = random.longs(rows, 0, words).toArray();
    float[] weights = new float[rows];
    for (int i = 0; i < rows; i++) {
      weights[i] = i % 5 == 4 ? 0 : random.nextFloat();
    }
    double scale = 0.25;
    double[] logits = product(x, head, rows, width, words, true);
    double[] rowLoss = new double[rows];
    double[] dx = new double[rows * width];
    double loss = 0;
    for (int i = 0; i < rows; i++) {
      double sum = 0;
      for (int v = 0; v < words; v++) {
        sum += Math.exp(scale * logits[i * words + v]);
      }
      rowLoss[i] = Math.log(sum) - scale * logits[i * words + (int) labels[i]];
      loss += weights[i] * rowLoss[i];
      for (int v = 0; v < words; v++) {
        double p = Math.exp(scale * logits[i * words + v]) / sum - (v == labels[i] ? 1 : 0);
        for (int j = 0; j < width; j++) {
          dx[i * width + j] += scale * weights[i] * p * head[v * width + j];
        }
      }
    }
    for (String tier : OperatorRun.tiers()) {
      List<float[]> results =
          headLoss(x, head, labels, weights, rows, width, words).tier(tier).run(runtime, 3);
      assertClose(new double[] {loss}, results.get(0), 1e-5, tier + " loss");
      assertClose(dx, results.get(1), 1e-5, tier + " dx");
      assertClose(rowLoss, results.get(2), 1e-5, tier + " row_loss");
    }
  }

  /** A factor rounded to bf16 is off by at most 1 in 256. */
  @Test
  void theLossOfAHeadInBf16() {
    int rows = 101;
    int width = 45;
    int words = 210;
    float[] x = normal(1, rows, width);
    float[] head = normal(2, words, width);
    long[] labels = new Random(3).longs(rows, 0, words).toArray();
    float[] weights = normal(4, rows);
    for (String tier : OperatorRun.tiers()) {
      List<float[]> exact =
          headLoss(x, head, labels, weights, rows, width, words).tier(tier).run(runtime, 3);
      List<float[]> backward =
          headLoss(x, head, labels, weights, rows, width, words)
              .attribute("gradient_precision", "bf16")
              .tier(tier)
              .run(runtime, 3);
      assertArrayEquals(exact.get(0), backward.get(0), tier);
      assertArrayEquals(exact.get(2), backward.get(2), tier);
      assertClose(doubles(exact.get(1)), backward.get(1), 1e-2, tier + " dx");
      List<float[]> both =
          headLoss(x, head, labels, weights, rows, width, words)
              .attribute("precision", "bf16")
              .attribute("gradient_precision", "bf16")
              .tier(tier)
              .run(runtime, 3);
      assertClose(doubles(exact.get(2)), both.get(2), 1e-2, tier + " row_loss");
      assertClose(doubles(exact.get(1)), both.get(1), 5e-2, tier + " dx");
      assertFalse(Arrays.equals(exact.get(2), both.get(2)), tier);
    }
  }

  private static double[] doubles(float[] values) {
    double[] result = new double[values.length];
    Arrays.setAll(result, i -> values[i]);
    return result;
  }

  private static OperatorRun headLoss(
      float[] x, float[] head, long[] labels, float[] weights, int rows, int width, int words) {
    return new OperatorRun("HeadLoss")
        .attribute("scale", 0.25f)
        .input(x, rows, width)
        .constant(head, words, width)
        .input(labels, rows, 1)
        .input(weights, rows, 1);
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "5, 7", "70, 64", "33, 130", "0, 8"})
  void theGradientOfARmsNorm(int rows, int width) {
    float[] g = normal(1, rows, width);
    float[] x = normal(2, rows, width);
    float[] weight = normal(3, width);
    float[] inverse = normal(4, rows);
    float[] residual = normal(5, rows, width);
    double[] dx = new double[rows * width];
    double[] both = new double[rows * width];
    for (int i = 0; i < rows; i++) {
      double along = 0;
      for (int j = 0; j < width; j++) {
        along += (double) g[i * width + j] * weight[j] * x[i * width + j];
      }
      for (int j = 0; j < width; j++) {
        int at = i * width + j;
        dx[at] =
            inverse[i] * ((double) g[at] * weight[j])
                - x[at] * Math.pow(inverse[i], 3) / width * along;
        both[at] = dx[at] + residual[at];
      }
    }
    for (String tier : OperatorRun.tiers()) {
      OperatorRun run =
          new OperatorRun("RmsNormGrad")
              .tier(tier)
              .input(g, rows, width)
              .input(x, rows, width)
              .input(weight, width)
              .input(inverse, rows, 1);
      assertClose(dx, run.run(runtime, 1).getFirst(), 1e-5, tier);
      run.input(residual, rows, width);
      assertClose(both, run.run(runtime, 1).getFirst(), 1e-5, tier + " with residual");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 6, 64, 300})
  void dropoutDropsWhatTheKernelsMaskDrops(int width) {
    long[] offsets = {0, 3, 3, 40};
    long[][] sequenceKeys = {{0x1234_5678_9abc_def0L, 1, 0}, {7, 0, 5}, {-1, 3, 9}};
    int rows = 40;
    float[] x = normal(1, rows, width);
    float[] residual = normal(2, rows, width);
    float[] expected = new float[rows * width];
    double[] added = new double[rows * width];
    for (int s = 0; s < 3; s++) {
      float[] mask = DropoutMasks.of(sequenceKeys[s], 46, width, 12, 0.25);
      for (int i = 0; i < offsets[s + 1] - offsets[s]; i++) {
        for (int j = 0; j < width; j++) {
          int at = (int) (offsets[s] + i) * width + j;
          expected[at] = x[at] * mask[((int) sequenceKeys[s][2] + i) * width + j];
          added[at] = (double) residual[at] + expected[at];
        }
      }
    }
    for (String tier : OperatorRun.tiers()) {
      long[] keys = Arrays.stream(sequenceKeys).flatMapToLong(Arrays::stream).toArray();
      assertArrayEquals(
          expected,
          new OperatorRun("Drop")
              .tier(tier)
              .attribute("place", 12)
              .attribute("probability", 0.25f)
              .input(x, rows, width)
              .input(offsets, 4)
              .input(keys, 3, 3)
              .run(runtime, 1)
              .getFirst());
      assertClose(
          added,
          new OperatorRun("DropAdd")
              .tier(tier)
              .attribute("place", 12)
              .attribute("probability", 0.25f)
              .input(x, rows, width)
              .input(residual, rows, width)
              .input(offsets, 4)
              .input(keys, 3, 3)
              .run(runtime, 1)
              .getFirst(),
          1e-6,
          tier);
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 2", "3, 6", "2, 64"})
  void theRotaryEmbeddingTurnsAndTurnsBack(int heads, int width) {
    int rows = 35;
    int half = width / 2;
    float[] x = normal(1, rows, (long) heads * width);
    float[] cosine = normal(2, rows, half);
    float[] sine = normal(3, rows, half);
    for (String tier : OperatorRun.tiers()) {
      for (int sign : new int[] {1, -1}) {
        double[] y = new double[x.length];
        for (int i = 0; i < rows; i++) {
          for (int h = 0; h < heads; h++) {
            for (int p = 0; p < half; p++) {
              int a = (i * heads + h) * width + p;
              int b = a + half;
              double c = cosine[i * half + p];
              double s = sign * sine[i * half + p];
              y[a] = x[a] * c - x[b] * s;
              y[b] = x[b] * c + x[a] * s;
            }
          }
        }
        assertClose(
            y,
            new OperatorRun("Rotary")
                .tier(tier)
                .attribute("heads", heads)
                .attribute("width", width)
                .attribute("backward", sign < 0 ? 1 : 0)
                .input(x, rows, (long) heads * width)
                .input(cosine, rows, half)
                .input(sine, rows, half)
                .run(runtime, 1)
                .getFirst(),
            1e-6,
            tier);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"silu", "gelu_new", "relu"})
  void theGateAndItsGradient(String activation) {
    DoubleUnaryOperator f =
        switch (activation) {
          case "silu" -> a -> a / (1 + Math.exp(-a));
          case "relu" -> a -> Math.max(a, 0);
          default ->
              a -> 0.5 * a * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (a + 0.044715 * a * a * a)));
        };
    int rows = 7;
    int width = 13;
    float[] g = normal(1, rows, width);
    float[] a = normal(2, rows, width);
    float[] b = normal(3, rows, width);
    a[0] = 100;
    a[1] = -100;
    double[] y = new double[a.length];
    double[] da = new double[a.length];
    double[] db = new double[a.length];
    double h = 1e-5;
    for (int i = 0; i < a.length; i++) {
      y[i] = f.applyAsDouble(a[i]) * b[i];
      db[i] = g[i] * f.applyAsDouble(a[i]);
      da[i] = g[i] * b[i] * (f.applyAsDouble(a[i] + h) - f.applyAsDouble(a[i] - h)) / (2 * h);
    }
    for (String tier : OperatorRun.tiers()) {
      assertClose(
          y,
          new OperatorRun("Gate")
              .tier(tier)
              .attribute("activation", activation)
              .input(a, rows, width)
              .input(b, rows, width)
              .run(runtime, 1)
              .getFirst(),
          1e-6,
          tier);
      List<float[]> gradients =
          new OperatorRun("GateGrad")
              .tier(tier)
              .attribute("activation", activation)
              .input(g, rows, width)
              .input(a, rows, width)
              .input(b, rows, width)
              .run(runtime, 2);
      assertClose(da, gradients.get(0), 1e-6, tier + " da");
      assertClose(db, gradients.get(1), 1e-6, tier + " db");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1, 3, 2, 1, false",
    "70, 33, 50, 8, false",
    "70, 300, 130, 8, true",
    "300, 20, 17, 20, true",
    "0, 8, 8, 4, true"
  })
  void anAdapterAndItsGradient(int rows, int in, int out, int rank, boolean dropout) {
    float scale = 2;
    float[] y = normal(1, rows, out);
    float[] x = normal(2, rows, in);
    float[] a = normal(3, rank, in);
    float[] b = normal(4, out, rank);
    float[] gz = normal(5, rows, out);
    long[] offsets = {0, rows / 3, rows};
    long[] keys = {99, 0, 4, 99, 1, 0};
    double[] mask = new double[rows * in];
    Arrays.fill(mask, 1);
    for (int s = 0; s < 2 && dropout; s++) {
      int first = (int) keys[3 * s + 2];
      long[] key = {keys[3 * s], keys[3 * s + 1]};
      float[] plane = DropoutMasks.of(key, first + rows, in, 3, 0.25);
      for (int i = (int) offsets[s]; i < offsets[s + 1]; i++) {
        for (int j = 0; j < in; j++) {
          mask[i * in + j] = plane[(first + i - (int) offsets[s]) * in + j];
        }
      }
    }
    double[] t = new double[rows * rank];
    double[] z = new double[rows * out];
    double[] da = new double[rank * in];
    double[] db = new double[out * rank];
    double[] dx = new double[rows * in];
    for (int i = 0; i < rows; i++) {
      for (int l = 0; l < rank; l++) {
        double dt = 0;
        for (int j = 0; j < in; j++) {
          t[i * rank + l] += mask[i * in + j] * x[i * in + j] * a[l * in + j];
        }
        for (int o = 0; o < out; o++) {
          z[i * out + o] += scale * t[i * rank + l] * b[o * rank + l];
          dt += scale * (double) gz[i * out + o] * b[o * rank + l];
          db[o * rank + l] += scale * gz[i * out + o] * t[i * rank + l];
        }
        for (int j = 0; j < in; j++) {
          da[l * in + j] += dt * mask[i * in + j] * x[i * in + j];
          dx[i * in + j] += mask[i * in + j] * dt * a[l * in + j];
        }
      }
    }
    Arrays.setAll(z, i -> z[i] + y[i]);
    for (String tier : OperatorRun.tiers()) {
      OperatorRun forward = new OperatorRun("LowRankUpdate").input(y, rows, out).input(x, rows, in);
      List<float[]> results =
          adapter(forward, a, b, in, out, rank, dropout ? offsets : new long[0], keys)
              .tier(tier)
              .run(runtime, 2);
      assertClose(z, results.get(0), 1e-5, tier + " z");
      assertClose(t, results.get(1), 1e-5, tier + " t");
      OperatorRun backward =
          new OperatorRun("LowRankUpdateGrad")
              .input(gz, rows, out)
              .input(x, rows, in)
              .input(results.get(1), rows, rank);
      List<float[]> gradients =
          adapter(backward, a, b, in, out, rank, dropout ? offsets : new long[0], keys)
              .tier(tier)
              .run(runtime, 3);
      assertClose(da, gradients.get(0), 1e-5, tier + " dA");
      assertClose(db, gradients.get(1), 1e-5, tier + " dB");
      assertClose(dx, gradients.get(2), 1e-5, tier + " dx");
      OperatorRun added =
          new OperatorRun("LowRankUpdateGrad")
              .input(gz, rows, out)
              .input(x, rows, in)
              .input(results.get(1), rows, rank);
      adapter(added, a, b, in, out, rank, dropout ? offsets : new long[0], keys);
      if (!dropout) {
        added.absent().absent();
      }
      double[] both = new double[dx.length];
      Arrays.setAll(both, i -> dx[i] + x[i]);
      List<float[]> sums = added.input(x, rows, in).tier(tier).run(runtime, 3);
      assertClose(both, sums.get(2), 1e-5, tier + " dx added to a sum");
    }
  }

  private static OperatorRun adapter(
      OperatorRun run,
      float[] a,
      float[] b,
      int in,
      int out,
      int rank,
      long[] offsets,
      long[] keys) {
    run.attribute("scale", 2f)
        .attribute("place", 3)
        .attribute("probability", 0.25f)
        .input(a, rank, in)
        .input(b, out, rank);
    return offsets.length == 0 ? run : run.input(offsets, 3).input(keys, 2, 3);
  }

  @Test
  void resultsDoNotDependOnTheThreads() {
    int m = 300;
    int k = 700;
    int n = 150;
    OperatorRun product =
        new OperatorRun("FrozenProduct")
            .input(normal(1, m, k), m, k)
            .constant(normal(2, k, n), k, n);
    List<float[]> one = product.threads(1).run(runtime, 1);
    assertArrayEquals(one.getFirst(), product.threads(3).run(runtime, 1).getFirst());
    long[] labels = new Random(1).longs(m, 0, k).toArray();
    OperatorRun loss = headLoss(normal(1, m, n), normal(2, k, n), labels, normal(3, m), m, n, k);
    List<float[]> alone = loss.threads(1).run(runtime, 3);
    List<float[]> together = loss.threads(3).run(runtime, 3);
    for (int i = 0; i < 3; i++) {
      assertArrayEquals(alone.get(i), together.get(i));
    }
  }

  @Test
  void whatDoesNotFitIsRefusedByName() {
    String width =
        TestRuntime.refusal(
            () ->
                new OperatorRun("FrozenProduct")
                    .input(normal(1, 2, 5), 2, 5)
                    .constant(normal(2, 4, 3), 4, 3)
                    .run(runtime, 1));
    assertTrue(
        width.contains(
            "FrozenProduct 'FrozenProduct to out0': input 'x' must be [*, 4], but is [2, 5]"),
        width);
    String word =
        TestRuntime.refusal(
            () ->
                new OperatorRun("FrozenProduct")
                    .attribute("activation", "tanh")
                    .input(normal(1, 2, 4), 2, 4)
                    .constant(normal(2, 4, 3), 4, 3)
                    .run(runtime, 1));
    assertTrue(word.contains("attribute 'activation' is 'tanh', which is not known"), word);
    String missing =
        TestRuntime.refusal(
            () ->
                new OperatorRun("Rotary")
                    .input(normal(1, 2, 4), 2, 4)
                    .input(normal(2, 2, 2), 2, 2)
                    .input(normal(2, 2, 2), 2, 2)
                    .run(runtime, 1));
    assertTrue(missing.contains("attribute 'heads' (an integer) is missing"), missing);
    String label =
        TestRuntime.refusal(
            () ->
                headLoss(normal(1, 2, 4), normal(2, 9, 4), new long[] {8, 9}, normal(3, 2), 2, 4, 9)
                    .run(runtime, 3));
    assertTrue(label.contains("labels must lie in [0, 9), but row 1 has 9"), label);
    String offsets =
        TestRuntime.refusal(
            () ->
                new OperatorRun("Drop")
                    .input(normal(1, 4, 2), 4, 2)
                    .input(new long[] {0, 3, 2, 4}, 4)
                    .input(new long[9], 3, 3)
                    .run(runtime, 1));
    assertTrue(
        offsets.contains("'offsets' must begin with 0 and never descend, but has 2 at 2"), offsets);
    String end =
        TestRuntime.refusal(
            () ->
                new OperatorRun("Drop")
                    .input(normal(1, 4, 2), 4, 2)
                    .input(new long[] {0, 3}, 2)
                    .input(new long[3], 1, 3)
                    .run(runtime, 1));
    assertTrue(end.contains("must end with the number of rows, 4, but ends with 3"), end);
  }
}
