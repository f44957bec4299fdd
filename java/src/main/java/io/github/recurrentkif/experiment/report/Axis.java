package io.github.recurrentkif.experiment.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * One direction of a plot.
 *
 * @param title what is shown, with its unit
 * @param low where the axis begins; a logarithm on a logarithmic axis
 * @param high where it ends
 */
record Axis(String title, double low, double high, boolean logarithmic, List<Tick> ticks) {

  /** A mark with its label, at a value of the axis. */
  record Tick(double value, String label) {}

  private static final int WANTED_TICKS = 5;

  Axis {
    ticks = List.copyOf(ticks);
  }

  /** From one value to another, with marks at round numbers. */
  static Axis linear(String title, double low, double high) {
    double to = high > low ? high : low + 1;
    double rough = (to - low) / WANTED_TICKS;
    double power = Math.pow(10, Math.floor(Math.log10(rough)));
    double step = power;
    for (double factor : new double[] {1, 2, 5, 10}) {
      step = factor * power;
      if (rough <= step * 1.0001) {
        break;
      }
    }
    int digits = Math.max(0, (int) -Math.floor(Math.log10(step) + 1e-9));
    List<Tick> ticks = new ArrayList<>();
    for (long i = (long) Math.ceil(low / step - 1e-9); i * step <= to + 1e-9 * step; i++) {
      double value = i * step;
      ticks.add(
          new Tick(
              value,
              step < 1e-4
                  ? String.format(Locale.ROOT, "%.0e", value)
                  : String.format(Locale.ROOT, "%,." + digits + "f", value)));
    }
    return new Axis(title, low, to, false, ticks);
  }

  /** Shares of 1, shown from 0 to 100. */
  static Axis percent(String title) {
    List<Tick> ticks = new ArrayList<>();
    for (int percent = 0; percent <= 100; percent += 25) {
      ticks.add(new Tick(percent / 100.0, String.valueOf(percent)));
    }
    return new Axis(title, 0, 1, false, ticks);
  }

  /** Between two positive values, with marks at powers of ten, or finer where there are few. */
  static Axis logarithmic(String title, double low, double high) {
    double from = Math.log10(low);
    double to = Math.max(Math.log10(high), from + 0.1);
    List<Tick> ticks = new ArrayList<>();
    boolean fine = to - from < 2.5;
    int every = (int) Math.ceil((to - from) / WANTED_TICKS);
    for (int power = (int) Math.floor(from); power <= Math.ceil(to); power++) {
      for (int digit : fine ? new int[] {1, 2, 5} : new int[] {1}) {
        double at = power + Math.log10(digit);
        if (at >= from - 1e-9 && at <= to + 1e-9 && Math.floorMod(power, every) == 0) {
          ticks.add(new Tick(Math.pow(10, at), plain(digit, power)));
        }
      }
    }
    return new Axis(title, from, to, true, ticks);
  }

  private static String plain(int digit, int power) {
    return power >= 0 && power <= 4
        ? digit + "0".repeat(power)
        : power < 0 && power >= -4 ? "0." + "0".repeat(-power - 1) + digit : digit + "e" + power;
  }

  /** One place for each label, with room at both ends. */
  static Axis places(String title, List<String> labels) {
    List<Tick> ticks = new ArrayList<>();
    for (int i = 0; i < labels.size(); i++) {
      ticks.add(new Tick(i, labels.get(i)));
    }
    return new Axis(title, -0.5, labels.size() - 0.5, false, ticks);
  }

  /** Where a value lies between the two ends, from 0 to 1. */
  double share(double value) {
    double at = logarithmic ? Math.log10(value) : value;
    return (at - low) / (high - low);
  }
}
