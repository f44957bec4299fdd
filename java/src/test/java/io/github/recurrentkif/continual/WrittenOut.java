package io.github.recurrentkif.continual;

import io.github.recurrentkif.continual.QuadraticTrace.Problem;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The method on the quadratic problem, written out from its description in plain float64 loops, and
 * sharing no code with the engine.
 */
final class WrittenOut {

  private final Problem problem;
  private final double[] weights;
  private final double[] first;
  private final double[] second;
  private final List<List<Integer>> innerMasks = new ArrayList<>();
  private final List<List<Integer>> outerMasks = new ArrayList<>();
  private int adamSteps;

  WrittenOut(Problem problem) {
    int n = problem.parameters();
    this.problem = problem;
    this.weights = problem.start();
    this.first = new double[n];
    this.second = new double[n];

    double[] base = weights.clone();
    double[][] inner = new double[2][n];
    double[][] outer = new double[2][n];
    int replayed = 0;
    for (int done = 1; done <= problem.updates(); done++) {
      step(1, done - 1, 1, rate(done - 1), inner);
      if (done % 4 != 0) {
        continue;
      }
      double[] middle = weights.clone();
      for (int repeat = 0; repeat < 2; repeat++) {
        step(2, replayed, 0.25, rate(done), outer);
        replayed++;
      }
      List<Integer> isNew = important(inner);
      List<Integer> isOld = important(outer);
      innerMasks.add(isNew);
      outerMasks.add(isOld);
      for (int i = 0; i < n; i++) {
        boolean both = isNew.contains(i) && isOld.contains(i);
        boolean neither = !isNew.contains(i) && !isOld.contains(i);
        // torch holds the mask's values in float32.
        double a = both ? 0.4f : neither ? 0.5 : isNew.contains(i) ? 1 : 0;
        double b = both ? 0.6f : neither ? 0.5 : isOld.contains(i) ? 1 : 0;
        base[i] += a * (middle[i] - base[i]) + b * (weights[i] - middle[i]);
      }
      System.arraycopy(base, 0, weights, 0, n);
      inner = new double[2][n];
    }
  }

  double[] weights() {
    return weights;
  }

  List<List<Integer>> innerMasks() {
    return innerMasks;
  }

  List<List<Integer>> outerMasks() {
    return outerMasks;
  }

  private double rate(int done) {
    return done < 3 ? 1e-2 * done / 3 : 1e-2 * (problem.total() - done) / (problem.total() - 3.0);
  }

  private void step(int loss, int moved, double scale, double rate, double[][] importance) {
    double[] g = new double[weights.length];
    double norm = 0;
    for (int i = 0; i < g.length; i++) {
      boolean inA = i < problem.sizeA();
      int j = inA ? i : i - problem.sizeA();
      int k = inA ? loss : loss + 5;
      double target = 0.3 * Math.cos(j * (k + 1)) * (1 + 0.1 * moved);
      g[i] = scale * (1 + 0.5 * Math.sin(j * k + k)) * (weights[i] - target);
      norm += g[i] * g[i];
    }
    double clip = Math.min(1, 1 / (Math.sqrt(norm) + 1e-6));
    adamSteps++;
    for (int i = 0; i < g.length; i++) {
      double clipped = g[i] * clip;
      first[i] = 0.9 * first[i] + 0.1 * clipped;
      second[i] = 0.999 * second[i] + 0.001 * clipped * clipped;
      double m = first[i] / (1 - Math.pow(0.9, adamSteps));
      double v = second[i] / (1 - Math.pow(0.999, adamSteps));
      weights[i] -= rate * m / (Math.sqrt(v) + 1e-8);
      double s = Math.abs(weights[i] * clipped);
      importance[0][i] = 0.85 * importance[0][i] + 0.15 * s;
      importance[1][i] = 0.85 * importance[1][i] + 0.15 * Math.abs(s - importance[0][i]);
    }
  }

  private static List<Integer> important(double[][] importance) {
    double[] scores =
        IntStream.range(0, importance[0].length)
            .mapToDouble(i -> importance[0][i] * importance[1][i])
            .toArray();
    double[] sorted = scores.clone();
    Arrays.sort(sorted);
    double rank = 0.8 * (sorted.length - 1);
    int below = (int) rank;
    double threshold = sorted[below] + (rank - below) * (sorted[below + 1] - sorted[below]);
    return IntStream.range(0, scores.length).filter(i -> scores[i] > threshold).boxed().toList();
  }
}
