package io.github.recurrentkif.runtime;

import static io.github.recurrentkif.runtime.OperatorRun.normal;
import static io.github.recurrentkif.runtime.OperatorsTest.assertClose;
import static io.github.recurrentkif.runtime.OperatorsTest.inBf16;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Attention over packed sequences and its gradient against the formula in double precision. */
class PackedAttentionTest {

  private static final int PLACE = 5;
  private static final float PROBABILITY = 0.25f;

  /**
   * One problem.
   *
   * @param distances of the bias; 0 for none
   * @param shared of each sequence, rows of k and v that come before its own; empty for none at all
   */
  record Problem(
      int heads,
      int groups,
      int width,
      long[] queries,
      long[] keys,
      boolean causal,
      int distances,
      boolean dropout,
      boolean plain,
      int[][] shared) {

    /** Nothing is shared. */
    Problem(
        int heads,
        int groups,
        int width,
        long[] queries,
        long[] keys,
        boolean causal,
        int distances,
        boolean dropout,
        boolean plain) {
      this(heads, groups, width, queries, keys, causal, distances, dropout, plain, new int[0][0]);
    }

    /** The rows of the keys of a sequence, whose own begin at the given one. */
    int[] keyRows(int sequence, int firstKey) {
      IntStream own = IntStream.range(firstKey, firstKey + (int) keys[sequence]);
      return shared.length == 0
          ? own.toArray()
          : IntStream.concat(Arrays.stream(shared[sequence]), own).toArray();
    }

    int queryRows() {
      return (int) Arrays.stream(queries).sum();
    }

    int keyRows() {
      return (int) Arrays.stream(keys).sum();
    }

    @Override
    public String toString() {
      return "H%d G%d W%d %s %s%s%s%s%s%s"
          .formatted(
              heads,
              groups,
              width,
              Arrays.toString(queries),
              Arrays.toString(keys),
              causal ? " causal" : "",
              distances > 0 ? " bias " + distances : "",
              dropout ? " dropout" : "",
              plain ? " plain" : "",
              shared.length > 0 ? " shared " + Arrays.deepToString(shared) : "");
    }
  }

  @SuppressWarnings("UnusedVariable") // JUnit reads it
  private static final List<Problem> PROBLEMS =
      List.of(
          problem(1, 1, 1, of(1), false, 0, false, false),
          problem(2, 2, 8, of(3, 0, 17), false, 0, false, false),
          problem(2, 2, 64, of(60, 1, 33), false, 257, false, false),
          problem(4, 2, 16, of(5, 50), true, 0, false, false),
          problem(6, 2, 13, of(7, 20, 0, 1), true, 9, true, false),
          problem(2, 1, 32, of(49), true, 0, true, true),
          problem(2, 2, 20, of(4, 9), false, 5, true, true),
          problem(1, 1, 8, of(), false, 0, false, false),
          problem(1, 1, 8, of(0, 0), false, 0, false, false),
          // many keys: few queries at a time
          problem(1, 1, 4, of(1500), true, 0, false, false),
          // cross-attention, one sequence without keys and one without queries
          new Problem(2, 2, 24, of(3, 2, 0, 5), of(40, 0, 3, 11), false, 0, true, false),
          // single queries whose heads share keys, as a decoder asks encoded rows
          new Problem(6, 1, 70, of(1, 1, 0, 1), of(30, 0, 5, 2), false, 0, false, false),
          new Problem(4, 2, 64, of(1, 1, 1), of(40, 3, 7), true, 9, false, true),
          // more of them
          new Problem(6, 1, 70, of(3, 2, 0, 40), of(30, 5, 5, 0), false, 9, true, true),
          new Problem(3, 1, 16, of(5, 41, 6), of(9, 41, 20), true, 9, true, false),
          new Problem(2, 1, 8, of(1, 1), of(9, 20), false, 0, true, false),
          // the last queries of a longer sequence, as with a cache
          new Problem(2, 1, 16, of(1, 3), of(19, 3), true, 7, false, false));

  private static long[] of(long... lengths) {
    return lengths;
  }

  private static Problem problem(
      int heads,
      int groups,
      int width,
      long[] lengths,
      boolean causal,
      int distances,
      boolean dropout,
      boolean plain) {
    return new Problem(heads, groups, width, lengths, lengths, causal, distances, dropout, plain);
  }

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

  private static long[] offsets(long[] lengths) {
    long[] offsets = new long[lengths.length + 1];
    for (int i = 0; i < lengths.length; i++) {
      offsets[i + 1] = offsets[i] + lengths[i];
    }
    return offsets;
  }

  /** All tensors of a problem, and what must come of them. */
  private static final class Example {
    private final Problem problem;
    private final String precision;
    private final float scale = 0.4f;
    private final float[] q;
    private final float[] k;
    private final float[] v;
    private final float[] go;
    private final float[] bias;
    private final long[] keys;
    private final double[] o;
    private final double[] lse;
    private final double[] dq;
    private final double[] dk;
    private final double[] dv;

    Example(Problem problem) {
      this(problem, "float32");
    }

    Example(Problem problem, String precision) {
      this.problem = problem;
      this.precision = precision;
      int qWidth = problem.heads() * problem.width();
      int kWidth = problem.groups() * problem.width();
      q = normal(1, problem.queryRows(), qWidth);
      k = normal(2, problem.keyRows(), kWidth);
      v = normal(3, problem.keyRows(), kWidth);
      go = normal(4, problem.queryRows(), qWidth);
      bias = normal(5, problem.heads(), problem.distances());
      keys = new long[3 * problem.queries().length];
      for (int s = 0; s < problem.queries().length; s++) {
        keys[3 * s] = 0x9876_5432_10fe_dcbaL + s / 2;
        keys[3 * s + 1] = s % 2;
        keys[3 * s + 2] = problem.causal() ? 3 * s + 1 : 0;
      }
      o = new double[q.length];
      lse = new double[problem.heads() * problem.queryRows()];
      dq = new double[q.length];
      dk = new double[k.length];
      dv = new double[k.length];
      long[] queryOffsets = offsets(problem.queries());
      long[] keyOffsets = offsets(problem.keys());
      for (int s = 0; s < problem.queries().length; s++) {
        for (int h = 0; h < problem.heads(); h++) {
          head(s, h, (int) queryOffsets[s], (int) keyOffsets[s]);
        }
      }
    }

    private void head(int s, int h, int firstQuery, int firstKey) {
      int queries = (int) problem.queries()[s];
      int[] keyRows = problem.keyRows(s, firstKey);
      int keyCount = keyRows.length;
      int ahead = problem.causal() ? keyCount - queries : 0;
      int width = problem.width();
      int group = h / (problem.heads() / problem.groups());
      int first = (int) keys[3 * s + 2];
      int rows = problem.groups() == 1 ? queries * problem.heads() : queries;
      DoubleUnaryOperator factor =
          precision.equals("bf16") && rows >= 16 ? x -> inBf16((float) x) : x -> x;
      float[] mask =
          problem.dropout()
              ? DropoutMasks.of(
                  new long[] {keys[3 * s], keys[3 * s + 1] * problem.heads() + h},
                  first + queries,
                  first + keyCount,
                  PLACE,
                  PROBABILITY)
              : new float[0];
      for (int i = 0; i < queries; i++) {
        int qAt = ((firstQuery + i) * problem.heads() + h) * width;
        double[] p = new double[keyCount];
        double[] dp = new double[keyCount];
        double[] m = new double[keyCount];
        for (int j = 0; j < keyCount; j++) {
          int kAt = (keyRows[j] * problem.groups() + group) * width;
          double score = 0;
          for (int w = 0; w < width; w++) {
            score += factor.applyAsDouble(q[qAt + w]) * factor.applyAsDouble(k[kAt + w]);
            dp[j] += factor.applyAsDouble(go[qAt + w]) * factor.applyAsDouble(v[kAt + w]);
          }
          score *= scale;
          int r = problem.distances();
          if (r > 0) {
            score += bias[h * r + Math.clamp(j - i - ahead + (r - 1) / 2, 0, r - 1)];
          }
          p[j] = problem.causal() && j > i + ahead ? Double.NEGATIVE_INFINITY : score;
          m[j] = problem.dropout() ? mask[(first + i) * (first + keyCount) + first + j] : 1;
        }
        double largest = Arrays.stream(p).max().orElse(0);
        double[] e = Arrays.stream(p).map(score -> Math.exp(score - largest)).toArray();
        double sum = Arrays.stream(e).sum();
        lse[h * problem.queryRows() + firstQuery + i] = largest + Math.log(sum);
        double delta = 0;
        for (int j = 0; j < keyCount; j++) {
          int kAt = (keyRows[j] * problem.groups() + group) * width;
          p[j] = e[j] / sum;
          double mixed =
              problem.plain()
                  ? factor.applyAsDouble(m[j] * p[j])
                  : factor.applyAsDouble(m[j] * e[j]) / sum;
          for (int w = 0; w < width; w++) {
            o[qAt + w] += mixed * factor.applyAsDouble(v[kAt + w]);
          }
          delta += p[j] * m[j] * dp[j];
        }
        if (!problem.plain()) {
          delta = 0;
          for (int w = 0; w < width; w++) {
            delta += go[qAt + w] * o[qAt + w];
          }
        }
        for (int j = 0; j < keyCount; j++) {
          int kAt = (keyRows[j] * problem.groups() + group) * width;
          double ds = factor.applyAsDouble(scale * p[j] * (m[j] * dp[j] - delta));
          double mp = factor.applyAsDouble(m[j] * p[j]);
          for (int w = 0; w < width; w++) {
            dq[qAt + w] += ds * factor.applyAsDouble(k[kAt + w]);
            dk[kAt + w] += ds * factor.applyAsDouble(q[qAt + w]);
            dv[kAt + w] += mp * factor.applyAsDouble(go[qAt + w]);
          }
        }
      }
    }

    private OperatorRun options(OperatorRun run) {
      run.attribute("heads", problem.heads())
          .attribute("key_heads", problem.groups())
          .attribute("width", problem.width())
          .attribute("causal", problem.causal() ? 1 : 0)
          .attribute("scale", scale)
          .attribute("plain", problem.plain() ? 1 : 0)
          .attribute("precision", precision);
      long sequences = problem.queries().length;
      run.input(offsets(problem.queries()), sequences + 1)
          .input(offsets(problem.keys()), sequences + 1);
      if (problem.distances() > 0) {
        run.input(bias, problem.heads(), problem.distances());
      } else if (problem.dropout()) {
        run.absent();
      }
      if (problem.dropout()) {
        run.attribute("place", PLACE).attribute("probability", PROBABILITY);
        run.input(keys, sequences, 3);
      }
      return run;
    }

    private OperatorRun tensors(OperatorRun run) {
      long qWidth = (long) problem.heads() * problem.width();
      long kWidth = (long) problem.groups() * problem.width();
      return run.input(q, problem.queryRows(), qWidth)
          .input(k, problem.keyRows(), kWidth)
          .input(v, problem.keyRows(), kWidth);
    }

    OperatorRun forward() {
      OperatorRun run = options(tensors(new OperatorRun("PackedAttention")));
      if (problem.shared().length > 0) {
        long kWidth = (long) problem.groups() * problem.width();
        absentToKeys(run).input(k, problem.keyRows(), kWidth).input(v, problem.keyRows(), kWidth);
        references(run);
      }
      return run;
    }

    /** What {@link #options} has left out before a cache. */
    private OperatorRun absentToKeys(OperatorRun run) {
      if (problem.distances() == 0) {
        run.absent();
      }
      return run.absent();
    }

    private OperatorRun references(OperatorRun run) {
      long[] rows =
          Arrays.stream(problem.shared()).flatMapToInt(Arrays::stream).asLongStream().toArray();
      long[] counts = Arrays.stream(problem.shared()).mapToLong(of -> of.length).toArray();
      return run.input(rows, rows.length).input(offsets(counts), counts.length + 1L);
    }

    /** The same with all keys but one for each query in a cache, in any order. */
    OperatorRun fromCache() {
      int width = problem.groups() * problem.width();
      long[] own = problem.queries();
      long[] cached = new long[own.length];
      Arrays.setAll(cached, s -> problem.keys()[s] - own[s]);
      int count = (int) Arrays.stream(cached).sum();
      List<Integer> places = new ArrayList<>(IntStream.range(0, count).boxed().toList());
      Collections.shuffle(places, new Random(9));
      float[][] cache = {new float[count * width], new float[count * width]};
      float[][] rest = {
        new float[problem.queryRows() * width], new float[problem.queryRows() * width]
      };
      int from = 0;
      int inCache = 0;
      int inRest = 0;
      for (int s = 0; s < own.length; s++) {
        for (int j = 0; j < problem.keys()[s]; j++, from += width) {
          boolean isCached = j < cached[s];
          int to = (isCached ? places.get(inCache++) : inRest++) * width;
          System.arraycopy(k, from, isCached ? cache[0] : rest[0], to, width);
          System.arraycopy(v, from, isCached ? cache[1] : rest[1], to, width);
        }
      }
      OperatorRun run =
          new OperatorRun("PackedAttention")
              .attribute("heads", problem.heads())
              .attribute("key_heads", problem.groups())
              .attribute("width", problem.width())
              .attribute("causal", 1)
              .attribute("scale", scale)
              .attribute("precision", precision)
              .input(q, problem.queryRows(), (long) problem.heads() * problem.width())
              .input(rest[0], problem.queryRows(), width)
              .input(rest[1], problem.queryRows(), width)
              .input(offsets(own), own.length + 1L)
              .input(offsets(own), own.length + 1L);
      if (problem.distances() > 0) {
        run.input(bias, problem.heads(), problem.distances());
      } else {
        run.absent();
      }
      return run.absent()
          .input(cache[0], count, width)
          .input(cache[1], count, width)
          .input(places.stream().mapToLong(place -> place).toArray(), count)
          .input(offsets(cached), own.length + 1L);
    }

    OperatorRun backward(List<float[]> results) {
      long qWidth = (long) problem.heads() * problem.width();
      OperatorRun run =
          new OperatorRun("PackedAttentionGrad").input(go, problem.queryRows(), qWidth);
      tensors(run);
      if (problem.plain()) {
        run.absent().absent();
      } else {
        run.input(results.get(0), problem.queryRows(), qWidth)
            .input(results.get(1), problem.heads(), problem.queryRows());
      }
      options(run);
      return problem.shared().length > 0 ? references(absentToKeys(run)) : run;
    }
  }

  @ParameterizedTest
  @FieldSource("PROBLEMS")
  void attentionAndItsGradient(Problem problem) {
    Example example = new Example(problem);
    for (String tier : OperatorRun.tiers()) {
      List<float[]> results = example.forward().tier(tier).run(runtime, 2);
      assertClose(example.o, results.get(0), 1e-5, tier + " o");
      for (int i = 0; i < example.lse.length; i++) {
        double expected = example.lse[i];
        double found = results.get(1)[i];
        assertTrue(
            found == expected || Math.abs(found - expected) < 1e-5 * (1 + Math.abs(expected)),
            () -> tier + " lse: " + found + ", not " + expected);
      }
      List<float[]> gradients = example.backward(results).tier(tier).run(runtime, 3);
      assertClose(example.dq, gradients.get(0), 2e-5, tier + " dq");
      assertClose(example.dk, gradients.get(1), 2e-5, tier + " dk");
      assertClose(example.dv, gradients.get(2), 2e-5, tier + " dv");
      List<float[]> some = example.backward(results).unwanted(1).tier(tier).run(runtime, 3);
      assertArrayEquals(gradients.get(0), some.get(0), tier + " dq without dk");
      assertArrayEquals(gradients.get(2), some.get(2), tier + " dv without dk");
      List<float[]> keys = example.backward(results).unwanted(0).tier(tier).run(runtime, 2);
      assertArrayEquals(gradients.get(1), keys.get(1), tier + " dk alone");
    }
  }

  @SuppressWarnings("UnusedVariable") // JUnit reads it
  private static final List<Problem> IN_BF16 =
      List.of(
          problem(2, 2, 64, of(60, 15, 33, 16), false, 257, false, false),
          problem(2, 2, 64, of(17, 130), false, 257, false, true),
          problem(6, 2, 13, of(7, 20, 0, 50), true, 9, true, false),
          problem(2, 1, 40, of(99), true, 0, true, true),
          problem(1, 1, 1, of(31), false, 0, false, false),
          problem(1, 1, 4, of(1500), true, 0, false, true),
          new Problem(2, 2, 24, of(18, 2, 0, 97), of(40, 0, 3, 11), false, 0, true, false),
          new Problem(2, 2, 24, of(18, 20), of(0, 1), false, 0, false, true),
          // heads that share all keys: their queries are multiplied together
          new Problem(6, 1, 70, of(3, 2, 0, 40), of(30, 5, 5, 0), false, 9, true, true),
          new Problem(3, 1, 16, of(5, 41, 6), of(9, 41, 20), true, 9, false, false),
          shared(6, 3, 13, of(20, 33, 0, 70), 9, true, rows(), rows(0, 4), rows(1), upTo(25)),
          problem(1, 1, 8, of(0, 0), false, 0, false, false));

  /**
   * Where what was computed lies between two numbers of bf16, a tier may round it to the other one:
   * of many elements a few.
   */
  private static void assertNear(double[] expected, float[] actual, String what) {
    assertEquals(expected.length, actual.length, what);
    double distance = 0;
    double size = 0;
    for (int i = 0; i < expected.length; i++) {
      distance += Math.pow(actual[i] - expected[i], 2);
      size += expected[i] * expected[i];
    }
    assertTrue(
        Math.sqrt(distance) <= 4e-4 * Math.sqrt(size),
        what + ": " + Math.sqrt(distance / size) + " from what it should be");
  }

  @ParameterizedTest
  @FieldSource("IN_BF16")
  void bf16RoundsTheFactorsOfProducts(Problem problem) {
    Example example = new Example(problem, "bf16");
    for (String tier : OperatorRun.tiers()) {
      List<float[]> results = example.forward().tier(tier).run(runtime, 2);
      assertNear(example.o, results.get(0), tier + " o");
      List<float[]> gradients = example.backward(results).tier(tier).run(runtime, 3);
      assertNear(example.dq, gradients.get(0), tier + " dq");
      assertNear(example.dk, gradients.get(1), tier + " dk");
      assertNear(example.dv, gradients.get(2), tier + " dv");
    }
  }

  @SuppressWarnings("UnusedVariable") // JUnit reads it
  private static final List<Problem> CACHED =
      List.of(
          cached(2, 2, 64, of(1, 1, 1), of(40, 1, 17), 257),
          cached(4, 2, 13, of(1, 0, 1), of(9, 6, 30), 0),
          cached(6, 2, 20, of(5, 1, 0, 50), of(12, 3, 2, 99), 9),
          cached(1, 1, 8, of(0), of(3), 0));

  private static Problem cached(
      int heads, int groups, int width, long[] queries, long[] keys, int distances) {
    return new Problem(heads, groups, width, queries, keys, true, distances, false, false);
  }

  @ParameterizedTest
  @FieldSource("CACHED")
  void keysMayComeFromACache(Problem problem) {
    Example example = new Example(problem);
    for (String tier : OperatorRun.tiers()) {
      List<float[]> results = example.fromCache().tier(tier).run(runtime, 1);
      assertClose(example.o, results.getFirst(), 1e-5, tier + " o");
      Example inBf16 = new Example(problem, "bf16");
      assertNear(
          inBf16.o, inBf16.fromCache().tier(tier).run(runtime, 1).getFirst(), tier + " o in bf16");
    }
  }

  @SuppressWarnings("UnusedVariable") // JUnit reads it
  private static final List<Problem> SHARED =
      List.of(
          shared(2, 2, 8, of(3, 4, 1), 0, false, rows(), rows(0, 1, 2), rows(0, 1, 2)),
          // a tree of beginnings, a sequence without rows of its own, heads that share keys
          shared(6, 3, 13, of(5, 20, 0, 70), 0, true, rows(), rows(0, 4), rows(1), upTo(25)),
          shared(2, 1, 64, of(40, 33, 17), 9, true, rows(), upTo(40), upTo(73)),
          shared(1, 1, 16, of(2, 2), 0, false, rows(), rows()));

  private static Problem shared(
      int heads, int groups, int width, long[] own, int distances, boolean plain, int[]... shared) {
    return new Problem(heads, groups, width, own, own, true, distances, false, plain, shared);
  }

  private static int[] rows(int... rows) {
    return rows;
  }

  private static int[] upTo(int end) {
    return IntStream.range(0, end).toArray();
  }

  @ParameterizedTest
  @FieldSource("SHARED")
  void sequencesMayShareRows(Problem problem) {
    attentionAndItsGradient(problem);
  }

  @Test
  void aSharedRowThatIsNotThereIsRefused() {
    int[] references = rows(0);
    Example example = new Example(shared(1, 1, 4, of(1, 2), 0, false, rows(), references));
    List<float[]> results = example.forward().run(runtime, 2);
    references[0] = 3;
    String refusal = TestRuntime.refusal(() -> example.backward(results).run(runtime, 3));
    assertTrue(refusal.contains("'cached_rows' must be below 3, the rows of the cache"), refusal);
  }

  @Test
  void aRowThatTheCacheDoesNotHaveIsRefused() {
    String refusal =
        TestRuntime.refusal(
            () ->
                new OperatorRun("PackedAttention")
                    .attribute("heads", 1)
                    .attribute("width", 4)
                    .input(normal(1, 1, 4), 1, 4)
                    .input(normal(2, 1, 4), 1, 4)
                    .input(normal(3, 1, 4), 1, 4)
                    .input(new long[] {0, 1}, 2)
                    .input(new long[] {0, 1}, 2)
                    .absent()
                    .absent()
                    .input(normal(4, 3, 4), 3, 4)
                    .input(normal(5, 3, 4), 3, 4)
                    .input(new long[] {2, 3}, 2)
                    .input(new long[] {0, 2}, 2)
                    .run(runtime, 1));
    assertTrue(
        refusal.contains("'cached_rows' must be below 3, the rows of the cache, but has 3"),
        refusal);
  }

  @ParameterizedTest
  @ValueSource(strings = {"float32", "bf16"})
  void resultsDoNotDependOnTheThreads(String precision) {
    requireSameBits(problem(6, 3, 32, of(70, 13, 200), true, 33, true, false), precision);
    requireSameBits(
        shared(6, 3, 32, of(70, 13, 200), 33, true, rows(), upTo(70), upTo(83)), precision);
  }

  private static void requireSameBits(Problem problem, String precision) {
    Example example = new Example(problem, precision);
    List<float[]> one = example.forward().threads(1).run(runtime, 2);
    List<float[]> three = example.forward().threads(3).run(runtime, 2);
    assertArrayEquals(one.get(0), three.get(0));
    assertArrayEquals(one.get(1), three.get(1));
    List<float[]> alone = example.backward(one).threads(1).run(runtime, 3);
    List<float[]> together = example.backward(one).threads(3).run(runtime, 3);
    for (int i = 0; i < 3; i++) {
      assertArrayEquals(alone.get(i), together.get(i));
    }
  }

  @Test
  void sequencesWithoutDropoutNeedNoKeysAndNoLse() {
    Example example = new Example(problem(2, 2, 8, of(3, 5), false, 0, false, false));
    assertClose(example.o, example.forward().run(runtime, 1).getFirst(), 1e-5, "o");
  }

  @Test
  void whatDoesNotFitIsRefusedByName() {
    String heads =
        TestRuntime.refusal(
            () ->
                new OperatorRun("PackedAttention")
                    .attribute("heads", 3)
                    .attribute("key_heads", 2)
                    .attribute("width", 8)
                    .input(normal(1, 3, 24), 3, 24)
                    .input(normal(2, 3, 16), 3, 16)
                    .input(normal(3, 3, 16), 3, 16)
                    .input(new long[] {0, 3}, 2)
                    .input(new long[] {0, 3}, 2)
                    .run(runtime, 2));
    assertTrue(heads.contains("heads a multiple of key_heads, but are 3, 2 and 8"), heads);
    Example half = new Example(problem(1, 1, 8, of(20), false, 0, false, false), "half");
    String precision = TestRuntime.refusal(() -> half.forward().run(runtime, 2));
    assertTrue(
        precision.contains("attribute 'precision' is 'half', which is not known"), precision);
    String keys =
        TestRuntime.refusal(
            () ->
                new OperatorRun("PackedAttention")
                    .attribute("heads", 2)
                    .attribute("width", 4)
                    .input(normal(1, 5, 8), 5, 8)
                    .input(normal(2, 5, 8), 5, 8)
                    .input(normal(3, 4, 8), 4, 8)
                    .input(new long[] {0, 5}, 2)
                    .input(new long[] {0, 5}, 2)
                    .run(runtime, 2));
    assertTrue(
        keys.contains("PackedAttention 'PackedAttention to out0': input 'v' must be [5, 8]"), keys);
  }
}
