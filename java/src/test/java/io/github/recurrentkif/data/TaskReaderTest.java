package io.github.recurrentkif.data;

import static io.github.recurrentkif.data.ErrorMessages.assertSays;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

class TaskReaderTest {

  private static final String GOOD =
      "[{\"id\":\"a\",\"instruction\":\"Ask."
          + " \",\"input\":\"Text\",\"output\":\"Yes\"},{\"output\":\"No\",\"input\":\"é\\n"
          + "\",\"id\":\"b\",\"instruction\":\"Ask. \",\"x\":{\"y\":[1]}}]";

  @TempDir Path folder;

  private void write(String path, String json) throws IOException {
    Path file = folder.resolve(path);
    Files.createDirectories(file.getParent());
    Files.writeString(file, json);
  }

  private Task read(String name) {
    return new TaskReader(new TaskFiles(folder)).read(name);
  }

  /** The message of the error that reading {@code train/t.json} gives. */
  private InputException errorOf(String json) throws IOException {
    write("train/t.json", json);
    write("test/t.json", GOOD);
    return errorOfTask("t");
  }

  private InputException errorOfTask(String name) {
    return assertThrows(InputException.class, () -> read(name));
  }

  @Test
  void promptIsInstructionAndInput() throws IOException {
    write("train/t.json", GOOD);
    write("test/t.json", GOOD);
    Task task = read("t");
    assertEquals(
        List.of(new Sample("a", "Ask. ", "Text", "Yes"), new Sample("b", "Ask. ", "é\n", "No")),
        task.train());
    assertEquals(task.train(), task.evaluation());
    assertEquals(Split.TEST, task.evaluationSplit());
    assertEquals(folder.resolve("test/t.json"), task.evaluationFile());
    assertEquals(List.of("Yes", "No"), task.classes());
  }

  @Test
  void mergedFileIsTakenWhereThereIsNoPlainOne() throws IOException {
    String merged = "[{\"id\":\"a\",\"input\":\"Ask. Text\",\"output\":\"Yes\"}]";
    write("train/t_T5.json", merged);
    write("test/t_T5.json", merged);
    assertEquals(List.of(new Sample("a", "Ask. Text", "Yes")), read("t").train());
    write("train/t.json", GOOD);
    assertEquals(folder.resolve("train/t.json"), read("t").trainFile());
    assertEquals(Set.of("t"), new TaskFiles(folder).names());
  }

  @Test
  void developmentSplitStandsInForAMissingTestSplitAndSaysSo() throws IOException {
    write("train/t.json", GOOD);
    write("dev/t.json", GOOD);
    assertEquals(Split.DEVELOPMENT, read("t").evaluationSplit());
    assertEquals(folder.resolve("dev/t.json"), read("t").evaluationFile());
  }

  @Test
  void taskWithoutAnythingToEvaluateOnIsRefused() throws IOException {
    write("train/t.json", GOOD);
    assertSays(errorOfTask("t"), folder.toString(), "test/t.json or dev/t.json", "neither");
  }

  @Test
  void limitsTakeTheFirstSamples() throws IOException {
    write("train/t.json", GOOD);
    write("test/t.json", GOOD);
    Task task = new TaskReader(new TaskFiles(folder)).read("t", new SampleLimits(1, 1));
    assertEquals(List.of("a"), task.train().stream().map(Sample::id).toList());
    assertEquals(List.of("a"), task.evaluation().stream().map(Sample::id).toList());
    assertThrows(IllegalArgumentException.class, () -> new SampleLimits(0, 1));
  }

  @Test
  void brokenRecordBeyondTheLimitIsStillAnError() throws IOException {
    write("train/t.json", GOOD.substring(0, GOOD.length() - 1) + ",7]");
    write("test/t.json", GOOD);
    TaskReader reader = new TaskReader(new TaskFiles(folder));
    InputException error =
        assertThrows(InputException.class, () -> reader.read("t", new SampleLimits(1, 1)));
    assertSays(error, "record 2", "an object", "a number");
  }

  @Test
  void missingFolderIsNamed() {
    Path missing = folder.resolve("nowhere");
    assertSays(
        assertThrows(InputException.class, () -> new TaskFiles(missing)),
        missing.toString(),
        "no such folder");
    assertSays(assertThrows(InputException.class, () -> new TaskFiles(folder)), "no train/ in it");
  }

  @Test
  void missingTaskListsTheTasksThereAre() throws IOException {
    write("train/one.json", GOOD);
    write("train/two_T5.json", GOOD);
    write("train/notes.txt", "");
    write("secret.json", GOOD);
    assertSays(errorOfTask("three"), "'three'", "only one, two;");
    assertSays(errorOfTask("../secret"), "'../secret'", "only one, two;");
  }

  @Test
  void missingFieldIsNamedWithItsRecord() throws IOException {
    InputException message =
        errorOf(
            "[{\"id\":\"a\",\"instruction\":\"\",\"input\":\"x\",\"output\":\"y\"},"
                + "{\"id\":\"b\",\"instruction\":\"\",\"input\":\"x\"}]");
    assertSays(
        message,
        folder.resolve("train/t.json") + ", record 1 (id b), key 'output'",
        "expected a string",
        "no such key");
  }

  @ParameterizedTest(name = "{0} is {1}")
  @CsvSource(
      delimiter = '|',
      value = {"7|a number", "null|null", "[1]|an array", "{}|an object", "true|a truth value"})
  void fieldOfAnotherTypeIsNamed(String value, String kind) throws IOException {
    assertSays(
        errorOf("[{\"id\":" + value + ",\"instruction\":\"\",\"input\":\"x\",\"output\":\"y\"}]"),
        "record 0, key 'id': expected a string, found " + kind + ";");
    assertSays(
        errorOf("[{\"id\":\"a\",\"instruction\":\"\",\"input\":\"x\",\"output\":" + value + "}]"),
        "record 0 (id a), key 'output': expected a string, found " + kind + ";");
  }

  @Test
  void blankPromptOrAnswerIsRefused() throws IOException {
    assertSays(
        errorOf("[{\"id\":\"a\",\"instruction\":\" \",\"input\":\"\\n\",\"output\":\"y\"}]"),
        "expected a prompt");
    assertSays(
        errorOf("[{\"id\":\"a\",\"instruction\":\"\",\"input\":\"x\",\"output\":\" \"}]"),
        "key 'output'",
        "only white space");
  }

  @Test
  void mergedFileWithAnInstructionOfItsOwnIsRefused() throws IOException {
    write("train/t_T5.json", GOOD);
    write("test/t.json", GOOD);
    assertSays(errorOfTask("t"), "t_T5.json, record 0 (id a)", "no key 'instruction'");
  }

  @Test
  void fileThatIsNotAnArrayIsRefused() throws IOException {
    assertSays(errorOf("{\"id\":1}"), "expected a JSON array of records, found an object");
    assertSays(errorOf(""), "expected a JSON array of records, found an empty file");
    assertSays(errorOf("[]"), "at least one record, found an empty array");
    assertSays(errorOf(GOOD + " 1"), "more after its end");
  }

  @Test
  void invalidJsonIsPlacedByLineAndColumn() throws IOException {
    assertSays(errorOf("[\n  {\"id\": oops}]"), "t.json, line 2, column 1", "expected JSON");
    assertSays(errorOf(GOOD.substring(0, 40)), "t.json, line 1, column 4", "expected JSON");
    assertSays(errorOf("[{\"id\":\"a\",\"id\":\"b\"}]"), "line 1, column 1", "\"id\"");
  }

  @Test
  void textThatIsNotUtf8IsAnErrorOfTheFile() throws IOException {
    write("test/t.json", GOOD);
    write("train/t.json", "");
    Files.write(folder.resolve("train/t.json"), GOOD.getBytes(StandardCharsets.ISO_8859_1));
    assertSays(errorOfTask("t"), "train/t.json");
  }

  @Test
  void bothFormsOfARealTaskGiveTheSamePrompts() {
    Path data = SharedFolder.resolve("data/cl-benchmark");
    TaskFiles files = new TaskFiles(data);
    Path train = data.resolve("train");
    List<Sample> plain =
        TaskReader.read(
            new TaskFiles.TaskFile(train.resolve("agnews.json"), false), Integer.MAX_VALUE);
    List<Sample> merged =
        TaskReader.read(
            new TaskFiles.TaskFile(train.resolve("agnews_T5.json"), true), Integer.MAX_VALUE);
    assertEquals(1000, plain.size());
    assertEquals(merged, plain.stream().map(TaskReaderTest::whole).toList());
    assertEquals(plain, new TaskReader(files).read("agnews").train());
  }

  /** The instruction merged into the text, as the _T5 files have it. */
  private static Sample whole(Sample sample) {
    return new Sample(sample.id(), sample.source(), sample.target());
  }

  @Test
  void realTasksHaveTheirKnownSizesAndSplits() {
    TaskFiles files = new TaskFiles(SharedFolder.resolve("data/cl-benchmark"));
    Map<String, Integer> evaluated =
        Map.of(
            "dbpedia", 500, "amazon", 2500, "yahoo", 500, "agnews", 2000, "sst-2", 872, "qqp",
            1000);
    assertEquals(evaluated.keySet(), files.names());
    List<String> onDevelopment = new ArrayList<>();
    for (String name : files.names()) {
      Task task = new TaskReader(files).read(name);
      assertEquals(1000, task.train().size(), name);
      assertEquals(evaluated.get(name), task.evaluation().size(), name);
      if (task.evaluationSplit() == Split.DEVELOPMENT) {
        onDevelopment.add(name);
      }
    }
    assertEquals(List.of("dbpedia", "yahoo"), onDevelopment);
  }

  @Test
  void samplesOfTheReferenceRunAreFoundInTheRealFiles() {
    TaskReader reader = new TaskReader(new TaskFiles(SharedFolder.resolve("data/cl-benchmark")));
    for (int k = 0; k < 3; k++) {
      JsonNode recorded = SharedFolder.json("golden/authors-t5/samples-task" + k + ".json");
      Set<Sample> all =
          reader.read(recorded.get("task").stringValue()).train().stream()
              .map(TaskReaderTest::whole)
              .collect(Collectors.toSet());
      assertFalse(recorded.get("train").isEmpty());
      for (JsonNode row : recorded.get("train")) {
        Sample sample =
            new Sample(
                row.get("id").stringValue(),
                row.get("input").stringValue(),
                row.get("output").stringValue());
        assertTrue(all.contains(sample), () -> "not read: " + sample);
      }
    }
  }
}
