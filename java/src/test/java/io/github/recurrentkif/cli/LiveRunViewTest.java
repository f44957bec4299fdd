package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.kernels.MaskCounts;
import io.github.recurrentkif.training.Outcome;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LiveRunViewTest {

  private static final long SECOND = 1_000_000_000L;

  /** As much of a terminal as a block needs; refuses what a block must not write. */
  private static final class Screen {

    private static final Pattern PIECE =
        Pattern.compile("\u001b\\[([0-9]*)([AKJ])|\r|\n|[^\u001b\r\n]+");

    private final List<StringBuilder> lines = new ArrayList<>(List.of(new StringBuilder()));
    private int row;
    private int column;

    void write(String text) {
      Matcher piece = PIECE.matcher(text);
      int end = 0;
      while (piece.find()) {
        assertEquals(end, piece.start(), "something else was written");
        end = piece.end();
        String found = piece.group();
        switch (found.charAt(0)) {
          case '\r' -> column = 0;
          case '\n' -> {
            row++;
            column = 0;
            if (row == lines.size()) {
              lines.add(new StringBuilder());
            }
          }
          case '\u001b' -> {
            switch (piece.group(2)) {
              case "A" -> row -= Integer.parseInt(piece.group(1));
              case "K" -> lines.get(row).setLength(Math.min(column, lines.get(row).length()));
              default -> {
                lines.get(row).setLength(Math.min(column, lines.get(row).length()));
                lines.subList(row + 1, lines.size()).clear();
              }
            }
            assertTrue(row >= 0, "above the screen");
          }
          default -> {
            StringBuilder line = lines.get(row);
            line.replace(column, Math.min(line.length(), column + found.length()), found);
            column += found.length();
            assertTrue(column < 80, "the line wraps: " + line);
          }
        }
      }
    }

    String text() {
      return String.join("\n", lines);
    }
  }

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final Screen screen = new Screen();
  private long now = 5;

  private LiveRunView view() {
    PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    return new LiveRunView(
        new LiveBlock(out, 80), 80, 4, List.of(), () -> now, () -> 1_288_490_189L);
  }

  private String seen() {
    screen.write(bytes.toString(StandardCharsets.UTF_8));
    bytes.reset();
    return screen.text();
  }

  private static String bar(int full, String numbers) {
    int room = 79 - 2 - numbers.length();
    return "[" + "=".repeat(full) + " ".repeat(room - full) + "]" + numbers;
  }

  private static Outcome outcome(double loss) {
    return new Outcome(List.of(loss), 1, 1e-3, false);
  }

  @Test
  void the_block_shows_everything_at_once_in_eighty_columns_and_ends_in_one_line() {
    LiveRunView view = view();
    view.taskBegins(1, "amazon", 0, 1250);
    assertEquals(
        """
        task 2 of 4: amazon
        BAR

        memory 1.2 GiB\
        """
            .replace("BAR", bar(0, "   0%     0 of 1250 updates")),
        seen());
    view.fused(536, new MaskCounts(40, 120, 90, 750));
    now += 50 * SECOND;
    view.saved();
    now += 3 * SECOND;
    view.tokens(440_430);
    view.updated(537, outcome(0.43214));
    assertEquals(
        """
        task 2 of 4: amazon
        BAR
        10.1 updates/s   8,310 tokens/s   1 min 10 s left   loss 0.4321
        important: new 12%, old 9%, shared 4%, redundant 75%
        memory 1.2 GiB   checkpoint 3.0 s ago\
        """
            .replace("BAR", bar(21, "  42%   537 of 1250 updates")),
        seen());
    view.notice("a lasting line");
    now += 47 * SECOND;
    view.updated(1250, outcome(0.2));
    view.evaluationBegins(1, "dbpedia", 40);
    assertEquals(
        """
        a lasting line
        task 2 of 4: amazon: 1250 updates, 1 min 40 s, 12.5 updates/s, loss 0.2000
        task 2 of 4 is learned; examining dbpedia
        BAR

        memory 1.2 GiB   checkpoint 50.0 s ago\
        """
            .replace("BAR", bar(0, "   0%   0 of 40 samples")),
        seen());
    now += 2 * SECOND;
    view.evaluated(40);
    view.evaluationEnds(1, "dbpedia", 0.925);
    view.close();
    assertEquals(
        """
        a lasting line
        task 2 of 4: amazon: 1250 updates, 1 min 40 s, 12.5 updates/s, loss 0.2000
          examined dbpedia: 40 samples, 2.0 s, 20.0 samples/s, accuracy 92.5%
        """,
        seen());
  }

  @Test
  void a_frame_is_one_write_and_comes_at_most_ten_times_a_second() {
    LiveRunView view = view();
    view.taskBegins(0, "a", 7, 1000);
    assertTrue(seen().startsWith("task 1 of 4: a, resumed after update 7\n"));
    for (int update = 8; update < 500; update++) {
      now += SECOND / 1000;
      view.updated(update, outcome(1));
    }
    String written = bytes.toString(StandardCharsets.UTF_8);
    assertEquals(4, written.split("\r", -1).length - 1);
    // Nothing is erased before it is written over.
    assertTrue(written.startsWith("\r\u001b[3Atask 1"), written);
  }

  @Test
  void lines_that_do_not_fit_are_cut() {
    LiveRunView view = view();
    view.taskBegins(0, "n".repeat(200), 0, 10);
    assertEquals(79, seen().lines().findFirst().orElseThrow().length());
  }

  @Test
  void memory_is_what_the_system_counts(@TempDir Path folder) throws IOException {
    Path statm = Files.writeString(folder.resolve("statm"), "900 25 3 1 0 5 0\n");
    assertEquals(25 * 4096, ResidentMemory.bytes(statm));
    assertTrue(ResidentMemory.bytes(folder.resolve("none")) > 0);
  }
}
