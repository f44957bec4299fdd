package io.github.recurrentkif.experiment.report;

import java.util.Locale;
import java.util.OptionalDouble;

/** Pieces of HTML and SVG. */
final class Markup {

  private Markup() {}

  static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }

  /** A coordinate: a tenth of a point is finer than the eye. */
  static String number(double value) {
    String text = String.format(Locale.ROOT, "%.1f", value);
    return text.endsWith(".0") ? text.substring(0, text.length() - 2) : text;
  }

  /** A share of 1 in percent, with one digit and no sign on zero. */
  static String percent(double share) {
    String text = String.format(Locale.ROOT, "%.1f", 100 * share);
    return text.equals("-0.0") ? "0.0" : text;
  }

  static String percent(OptionalDouble share) {
    return share.isPresent() ? percent(share.getAsDouble()) : "–";
  }

  /** For people: {@code 3 min 20 s}. */
  static String duration(double seconds) {
    if (seconds < 60) {
      return String.format(Locale.ROOT, seconds < 10 ? "%.1f s" : "%.0f s", seconds);
    }
    long whole = Math.round(seconds);
    if (whole < 3600) {
      return whole / 60 + " min " + whole % 60 + " s";
    }
    return whole / 3600 + " h " + whole % 3600 / 60 + " min";
  }

  static String shortened(String name, int characters) {
    return name.length() <= characters ? name : name.substring(0, characters - 1) + "…";
  }

  /** Without its middle where it is too long: names that begin alike differ at their ends. */
  static String squeezed(String name, int characters) {
    int end = characters * 3 / 5;
    return name.length() <= characters
        ? name
        : name.substring(0, characters - end - 1) + "…" + name.substring(name.length() - end);
  }

  /** Says what to see in the drawings that follow. */
  static String caption(String text) {
    return "<p class=\"caption\">" + escape(text) + "</p>\n";
  }

  /** The name of a run beside that of its subject, where it says more. */
  static String named(String label, Object folder) {
    return label.equals(String.valueOf(folder)) ? label : label + " (" + folder + ")";
  }

  /** A figure: the drawing and below it what to see in it. */
  static String figure(String title, String drawing, String caption) {
    return "<figure>\n"
        + (title.isEmpty() ? "" : "<h4>" + escape(title) + "</h4>\n")
        + drawing
        + (caption.isEmpty() ? "" : "<figcaption>" + escape(caption) + "</figcaption>\n")
        + "</figure>\n";
  }
}
