package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The method of docs/adding-a-method.md. */
class AddingAMethodTest {

  private static SmallStream anchored(float strength) {
    return new SmallStream(
        2, inputs -> new AnchoredLora<>(strength, inputs.layout(), inputs.kernels()));
  }

  @Test
  void the_page_shows_the_method_that_is_compiled_here_in_less_than_40_lines() throws IOException {
    String page = Files.readString(Path.of("..", "docs", "adding-a-method.md"));
    int begin = page.indexOf("```java\n") + "```java\n".length();
    String shown = page.substring(begin, page.indexOf("```", begin));
    String source =
        Files.readString(
            Path.of("src/test/java/io/github/recurrentkif/continual/AnchoredLora.java"));
    assertEquals(source.substring(source.indexOf("/**")), shown);
    assertTrue(shown.lines().filter(line -> !line.isBlank()).count() < 40, shown);
  }

  @Test
  void it_stays_nearer_to_where_a_task_began_than_without_its_penalty() {
    assertTrue(distance(10) < 0.5 * distance(0));
  }

  private static double distance(float strength) {
    try (SmallStream stream = anchored(strength)) {
      stream.learn(0);
      float[] before = stream.weights();
      stream.learn(1);
      float[] after = stream.weights();
      double squares = 0;
      for (int i = 0; i < before.length; i++) {
        squares += Math.pow(after[i] - before[i], 2);
      }
      return Math.sqrt(squares);
    }
  }

  @Test
  void it_goes_on_to_the_same_bits() {
    try (SmallStream whole = anchored(1);
        SmallStream first = anchored(1);
        SmallStream second = anchored(1)) {
      whole.learn(0);
      first.method().beginTask(0, first.learner());
      first.learn(0, 0, 3);
      second.restore(first.state());
      second.learn(0, 3, SmallStream.UPDATES);
      assertArrayEquals(whole.weights(), second.weights());
    }
  }
}
