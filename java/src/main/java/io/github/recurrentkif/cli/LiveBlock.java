package io.github.recurrentkif.cli;

import java.io.PrintStream;
import java.util.List;

/**
 * A few lines at the end of a terminal that are rewritten in place. What changes is written in one
 * piece, over what stood there, so that nothing flickers; the cursor rests behind the last line.
 */
final class LiveBlock {

  private static final String ERASE_TO_LINE_END = "\u001b[K";
  private static final String ERASE_TO_SCREEN_END = "\u001b[J";

  private final PrintStream out;
  private final int width;
  private int shown;

  /**
   * @param width columns; longer lines are cut, since one that wraps could not be written over
   */
  LiveBlock(PrintStream out, int width) {
    this.out = out;
    this.width = width;
  }

  /** Puts these lines in place of those before. */
  void show(List<String> lines) {
    write(toFirstLine(), lines);
  }

  /** Writes a lasting line above the block. */
  void above(String text, List<String> lines) {
    write(toFirstLine() + text + ERASE_TO_LINE_END + "\n", lines);
  }

  /** Takes the block away. */
  void erase() {
    if (shown > 0) {
      out.print(toFirstLine() + ERASE_TO_SCREEN_END);
      out.flush();
      shown = 0;
    }
  }

  private String toFirstLine() {
    return shown == 0 ? "" : shown == 1 ? "\r" : "\r\u001b[" + (shown - 1) + "A";
  }

  private void write(String before, List<String> lines) {
    StringBuilder text = new StringBuilder(before);
    for (int i = 0; i < lines.size(); i++) {
      text.append(i == 0 ? "" : "\n").append(cut(lines.get(i))).append(ERASE_TO_LINE_END);
    }
    out.print(text.append(ERASE_TO_SCREEN_END));
    out.flush();
    shown = lines.size();
  }

  private String cut(String line) {
    int length = line.codePointCount(0, line.length());
    return length < width ? line : line.substring(0, line.offsetByCodePoints(0, width - 1));
  }
}
