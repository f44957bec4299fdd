package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class TableTest {

  @Test
  void numbers_stand_on_the_right_and_words_on_the_left() {
    Table table =
        new Table("task", "accuracy", "updates")
            .row("dbpedia", "97.5", 1250)
            .row("cb", "8.25", 310)
            .row("Überschrift", "-", 5);
    assertEquals(
        """
        task         accuracy  updates
        -----------  --------  -------
        dbpedia          97.5     1250
        cb               8.25      310
        Überschrift         -        5
        """,
        table.toString());
  }

  @Test
  void one_word_in_a_column_puts_all_of_it_on_the_left_and_no_line_ends_in_spaces() {
    assertEquals(
        """
        what  value
        ----  -----
        a     12
        b     many
        """,
        new Table("what", "value").row("a", 12).row("b", "many").toString());
  }

  @Test
  void numbers_may_have_signs_exponents_and_percent_signs() {
    assertEquals(
        """
        x
        ------
           -50
        1.5e-3
           3 %
           NaN
        """
            .replaceFirst("x\n", "     x\n"),
        new Table("x").row("-50").row("1.5e-3").row("3 %").row(Double.NaN).toString());
  }

  @Test
  void a_table_without_rows_is_its_header() {
    assertEquals("a  bc\n-  --\n", new Table("a", "bc").toString());
  }

  @Test
  void a_row_must_have_as_many_cells_as_the_header() {
    assertThrows(IllegalArgumentException.class, () -> new Table("a", "b").row(1));
  }
}
