package io.github.recurrentkif.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.SmallModel;
import io.github.recurrentkif.TensorBoardReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/** Small runs of the command line, in this process or in one that can be killed. */
final class TestRuns {

  private final Path folder;
  private final Path model;
  private final Path data;
  private String said = "";

  TestRuns(Path folder) {
    this(folder, folder);
    SmallModel.writeModel(model);
    SmallModel.writeTasks(data);
  }

  /** With model and tasks that others wrote. */
  TestRuns(Path folder, Path shared) {
    this.folder = folder;
    this.model = shared.resolve("model");
    this.data = shared.resolve("data");
  }

  List<String> train(String method, Path run, String... settings) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                "--model=" + model,
                "--data=" + data,
                "--tasks=" + String.join(",", SmallModel.TASKS),
                "--method=" + method,
                "--output=" + run,
                "--set=epochs=5",
                "--set=accumulation=2",
                "--set=cycle-length=3",
                "--set=outer-steps=2",
                "--set=memory-percent=20",
                "--set=memory-batch-size=4",
                "--set=warmup-updates=4",
                "--set=learning-rate=0.01",
                "--set=maximum-new-tokens=6",
                "--set=evaluation-batch-size=2",
                "--set=lora-rank=3",
                "--set=threads=1",
                // A checkpoint after every update: many chances to be killed while one is written.
                "--set=checkpoint-seconds=0"));
    for (String setting : settings) {
      arguments.add("--set=" + setting);
    }
    return arguments;
  }

  static List<String> resume(Path run) {
    return List.of("resume", run.toString());
  }

  int inThisProcess(List<String> arguments) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    PrintStream stream = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    int status =
        Main.run(new Terminal(stream, stream, false, false, 80), arguments.toArray(String[]::new));
    said = bytes.toString(StandardCharsets.UTF_8);
    return status;
  }

  /** What the last command in this process wrote. */
  String said() {
    return said;
  }

  /** As a command line; the class path goes through the environment, where it may be long. */
  static List<String> command(List<String> arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of(
            "--enable-native-access=ALL-UNNAMED",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            Main.class.getName()));
    command.addAll(arguments);
    return command;
  }

  Process inAnother(List<String> arguments) throws IOException {
    return start(command(arguments));
  }

  Process start(List<String> command) throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("output.txt").toFile());
    builder.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    return builder.start();
  }

  /** What the last other process wrote. */
  String output() throws IOException {
    return Files.readString(folder.resolve("output.txt"));
  }

  /** Waits until the run has written more, so that what comes next meets it at work. */
  static void awaitWork(Process process, Path run, long known) throws Exception {
    Path events = run.resolve("events.jsonl");
    while (process.isAlive() && (!Files.exists(events) || Files.size(events) <= known)) {
      Thread.sleep(2);
    }
  }

  static long events(Path run) throws IOException {
    Path file = run.resolve("events.jsonl");
    return Files.exists(file) ? Files.size(file) : 0;
  }

  /** Everything a run leaves, by path, but for what holds times. */
  static SortedMap<String, byte[]> lasting(Path run) throws IOException {
    SortedMap<String, byte[]> files = new TreeMap<>();
    try (var paths = Files.walk(run)) {
      for (Path file : paths.filter(Files::isRegularFile).toList()) {
        String name = run.relativize(file).toString();
        if (!name.equals("run.lock")
            && !name.equals("times.json")
            && !name.startsWith("tensorboard")) {
          files.put(name, Files.readAllBytes(file));
        }
      }
    }
    return files;
  }

  static void assertSameFiles(Path expected, Path found) throws IOException {
    SortedMap<String, byte[]> wanted = lasting(expected);
    SortedMap<String, byte[]> files = lasting(found);
    assertEquals(wanted.keySet(), files.keySet());
    for (String name : wanted.keySet()) {
      assertArrayEquals(wanted.get(name), files.get(name), name);
    }
    assertEquals(
        TensorBoardReader.scalars(expected.resolve("tensorboard")),
        TensorBoardReader.scalars(found.resolve("tensorboard")));
    assertTrue(Files.isRegularFile(found.resolve("times.json")));
  }
}
