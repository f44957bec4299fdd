package io.github.recurrentkif.continual;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.data.Tokenizer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

class ExactMatchTest {

  @Test
  void specialTokensWhiteSpaceAndCaseDoNotMatter() {
    assertTrue(ExactMatch.matches("<pad> Very Negative</s>", "very negative"));
    assertTrue(ExactMatch.matches("\t\u00a0\u0085\u2028Good \n</s><pad><pad>", "GOOD"));
    assertTrue(ExactMatch.matches("<pad></s>", ""));
  }

  @Test
  void everythingElseMatters() {
    assertFalse(ExactMatch.matches("very  negative", "very negative"));
    assertFalse(ExactMatch.matches("Good.", "Good"));
    assertFalse(ExactMatch.matches("Science or Technology", "Science"));
    assertFalse(ExactMatch.matches("", "Good"));
    assertFalse(ExactMatch.matches("<unk>Good", "Good"));
  }

  @Test
  void lowerCaseDoesNotDependOnTheLanguageOfTheMachine() {
    assertEquals("title", ExactMatch.normalized("TITLE"));
  }

  @Test
  void accuracyIsTheFractionOfMatches() {
    assertEquals(
        0.75, ExactMatch.accuracy(List.of("a", "B ", "c", "x"), List.of("A", "b", "c", "d")));
    assertThrows(IllegalArgumentException.class, () -> ExactMatch.accuracy(List.of(), List.of()));
    assertThrows(
        IllegalArgumentException.class, () -> ExactMatch.accuracy(List.of("a"), List.of()));
  }

  @Test
  void judgesTheAnswersOfTheReferenceRunAsItDid() {
    int judged = 0;
    int right = 0;
    try (Tokenizer tokenizer = Tokenizer.open(SharedFolder.resolve("golden/authors-t5/model"))) {
      for (int after = 0; after < 3; after++) {
        JsonNode generations =
            SharedFolder.json("golden/authors-t5/generations-after-task" + after + ".json");
        JsonNode accuracies =
            SharedFolder.json("golden/authors-t5/trace-task" + after + ".json")
                .get("accuracy_on_test_rows");
        List<String> tasks = List.copyOf(accuracies.propertyNames());
        Map<String, List<String>> generated = new LinkedHashMap<>();
        Map<String, List<String>> expected = new LinkedHashMap<>();
        for (JsonNode row : generations) {
          long[] ids =
              StreamSupport.stream(row.get("out_ids").spliterator(), false)
                  .mapToLong(JsonNode::asLong)
                  .toArray();
          // As the reference does: decode with the special tokens, then strip them.
          String answer = tokenizer.decode(ids, false);
          String gold = row.get("gold").stringValue();
          assertEquals(row.get("correct").booleanValue(), ExactMatch.matches(answer, gold), answer);
          assertEquals(
              row.get("correct").booleanValue(),
              ExactMatch.matches(row.get("text").stringValue(), gold));
          String task = tasks.get(row.get("task").intValue());
          generated.computeIfAbsent(task, t -> new ArrayList<>()).add(answer);
          expected.computeIfAbsent(task, t -> new ArrayList<>()).add(gold);
          judged++;
          right += row.get("correct").booleanValue() ? 1 : 0;
        }
        assertEquals(after + 1, tasks.size());
        for (String task : tasks) {
          assertEquals(
              accuracies.get(task).doubleValue(),
              ExactMatch.accuracy(
                  generated.getOrDefault(task, List.of()), expected.getOrDefault(task, List.of())));
        }
      }
    }
    assertEquals(96, judged);
    assertTrue(right > 0 && right < judged);
  }
}
