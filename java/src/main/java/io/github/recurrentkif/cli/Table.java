package io.github.recurrentkif.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * An aligned table in plain text. A column whose cells are all numbers is aligned to the right; a
 * cell counts one column per code point.
 */
public final class Table {

  private static final String GAP = "  ";
  private static final Pattern NUMBER =
      Pattern.compile("[-+]?[0-9][0-9,_]*(\\.[0-9]+)?([eE][-+]?[0-9]+)?( ?%)?|NaN|-|");

  private final List<String> header;
  private final List<List<String>> rows = new ArrayList<>();

  public Table(String... header) {
    this.header = List.of(header);
  }

  /**
   * @throws IllegalArgumentException if the number of cells is not that of the header
   */
  public Table row(Object... cells) {
    if (cells.length != header.size()) {
      throw new IllegalArgumentException(
          "a table of " + header.size() + " columns got a row of " + cells.length);
    }
    List<String> row = new ArrayList<>(cells.length);
    for (Object cell : cells) {
      row.add(String.valueOf(cell));
    }
    rows.add(List.copyOf(row));
    return this;
  }

  /** The header, a rule, and the rows; each line ends with a newline and nothing before it. */
  @Override
  public String toString() {
    int columns = header.size();
    int[] widths = new int[columns];
    boolean[] right = new boolean[columns];
    List<String> rule = new ArrayList<>(columns);
    for (int column = 0; column < columns; column++) {
      widths[column] = width(header.get(column));
      right[column] = !rows.isEmpty();
      for (List<String> row : rows) {
        widths[column] = Math.max(widths[column], width(row.get(column)));
        right[column] &= NUMBER.matcher(row.get(column)).matches();
      }
      rule.add("-".repeat(widths[column]));
    }
    StringBuilder text = new StringBuilder();
    append(text, header, widths, right);
    append(text, rule, widths, right);
    for (List<String> row : rows) {
      append(text, row, widths, right);
    }
    return text.toString();
  }

  private static void append(
      StringBuilder text, List<String> cells, int[] widths, boolean[] right) {
    StringBuilder line = new StringBuilder();
    for (int column = 0; column < widths.length; column++) {
      String cell = cells.get(column);
      String space = " ".repeat(widths[column] - width(cell));
      line.append(column == 0 ? "" : GAP).append(right[column] ? space + cell : cell + space);
    }
    text.append(line.toString().stripTrailing()).append('\n');
  }

  private static int width(String cell) {
    return cell.codePointCount(0, cell.length());
  }
}
