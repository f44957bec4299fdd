package io.github.recurrentkif.data;

import io.github.recurrentkif.data.TaskFiles.TaskFile;
import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;

/**
 * Reads tasks in the format of the continual-learning benchmark's public releases: a JSON array of
 * records with the string keys {@code id}, {@code instruction}, {@code input} and {@code output}
 * (no {@code instruction} in a {@code _T5} file, whose {@code input} begins with it). How they
 * become a prompt is up to a {@link PromptFormat}; other keys are ignored.
 *
 * <p>A file is read to its end whatever the limits: a broken record is an error even where it would
 * not be used.
 */
public final class TaskReader {

  private static final String ID = "id";
  private static final String INSTRUCTION = "instruction";
  private static final String INPUT = "input";
  private static final String OUTPUT = "output";

  private final TaskFiles files;

  public TaskReader(TaskFiles files) {
    this.files = files;
  }

  /** All of a task. */
  public Task read(String name) {
    return read(name, SampleLimits.NONE);
  }

  /**
   * A task for training and evaluation. Where the data folder has no test file of the task, its
   * development file stands in and {@link Task#evaluationSplit} says so.
   *
   * @throws InputException if the task is not there, has neither a test nor a development file, or
   *     one of its files is not as described
   */
  public Task read(String name, SampleLimits limits) {
    TaskFile train = files.train(name);
    Split evaluationSplit =
        files.find(name, Split.TEST).isPresent() ? Split.TEST : Split.DEVELOPMENT;
    TaskFile evaluation =
        files
            .find(name, evaluationSplit)
            .orElseThrow(
                () ->
                    new InputException(
                        "%s: expected test/%s.json or dev/%s.json to evaluate the task on, found neither; add one"
                            .formatted(files.folder(), name, name)));
    return new Task(
        name,
        read(train, limits.maximumTrainSamples()),
        read(evaluation, limits.maximumTestSamples()),
        evaluationSplit,
        train.path(),
        evaluation.path());
  }

  /** The first samples of a file, at most {@code limit}. */
  static List<Sample> read(TaskFile file, int limit) {
    List<Sample> samples = new ArrayList<>();
    try (JsonParser parser = JsonFiles.parser(file.path())) {
      JsonToken first = parser.nextToken();
      if (first != JsonToken.START_ARRAY) {
        throw wrong(file.path().toString(), "a JSON array of records", JsonFiles.kind(first));
      }
      int index = 0;
      for (JsonToken token = parser.nextToken();
          token != JsonToken.END_ARRAY;
          token = parser.nextToken()) {
        Sample sample = record(file, index, parser, token);
        if (index < limit) {
          samples.add(sample);
        }
        index++;
      }
      if (parser.nextToken() != null) {
        throw wrong(file.path().toString(), "one JSON array", "more after its end");
      }
    } catch (JacksonException e) {
      throw JsonFiles.unreadable(file.path(), e);
    }
    if (samples.isEmpty()) {
      throw wrong(file.path().toString(), "at least one record", "an empty array");
    }
    return samples;
  }

  private static Sample record(TaskFile file, int index, JsonParser parser, JsonToken first) {
    if (first != JsonToken.START_OBJECT) {
      throw wrong(place(file.path(), index, null), "an object", JsonFiles.kind(first));
    }
    Map<String, String> texts = new HashMap<>();
    Map<String, String> otherKinds = new HashMap<>();
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String key = parser.currentName();
      JsonToken value = parser.nextToken();
      if (value == JsonToken.VALUE_STRING) {
        texts.put(key, parser.getString());
      } else {
        otherKinds.put(key, JsonFiles.kind(value));
        parser.skipChildren();
      }
    }
    String place = place(file.path(), index, texts.get(ID));
    String id = text(texts, otherKinds, ID, place);
    String input = text(texts, otherKinds, INPUT, place);
    String target = text(texts, otherKinds, OUTPUT, place);
    String instruction = "";
    if (file.instructionMerged()) {
      if (texts.containsKey(INSTRUCTION) || otherKinds.containsKey(INSTRUCTION)) {
        throw wrong(
            place, "no key 'instruction', since the 'input' of a _T5 file begins with it", "one");
      }
    } else {
      instruction = text(texts, otherKinds, INSTRUCTION, place);
    }
    if (instruction.isBlank() && input.isBlank()) {
      throw wrong(place, "a prompt", "only white space");
    }
    if (target.isBlank()) {
      throw wrong(place + ", key 'output'", "an answer to learn", "only white space");
    }
    return new Sample(id, instruction, input, target);
  }

  private static String text(
      Map<String, String> texts, Map<String, String> otherKinds, String key, String place) {
    String text = texts.get(key);
    if (text == null) {
      throw wrong(
          place + ", key '" + key + "'", "a string", otherKinds.getOrDefault(key, "no such key"));
    }
    return text;
  }

  private static String place(Path file, int index, @Nullable String id) {
    return file + ", record " + index + (id == null ? "" : " (id " + id + ")");
  }

  private static InputException wrong(String place, String expected, String found) {
    return new InputException(
        "%s: expected %s, found %s; correct the file or take it out of the data folder"
            .formatted(place, expected, found));
  }
}
