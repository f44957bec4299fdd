package io.github.recurrentkif.experiment;

import io.github.recurrentkif.data.world.GeneratedTasks;
import io.github.recurrentkif.data.world.WorldTask;
import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The experiment that shows what this is about: the built-in model learns the generated tasks one
 * after another, by plain adapter training, by replay, and by Recurrent-KIF. All three share every
 * setting; docs/demo.md says how they were chosen and what they favour.
 *
 * @param quick fewer samples, for a first look
 * @param changed settings that differ from the demonstration's own
 */
public record Demonstration(long seed, boolean quick, Map<String, String> changed) {

  private static final List<MethodName> METHODS =
      List.of(MethodName.SEQUENTIAL_LORA, MethodName.LORA_REPLAY, MethodName.RECURRENT_KIF);

  public Demonstration {
    changed = Map.copyOf(changed);
  }

  private GeneratedTasks data() {
    return quick ? new GeneratedTasks(seed, 160, 40, 80) : new GeneratedTasks(seed, 400, 200, 200);
  }

  private Settings settings() {
    Map<String, String> texts = new LinkedHashMap<>();
    texts.put("epochs", "4");
    texts.put("micro-batch-size", "8");
    texts.put("accumulation", "1");
    texts.put("learning-rate", "0.003");
    texts.put("warmup-updates", "10");
    texts.put("memory-batch-size", "16");
    texts.put("memory-percent", "8");
    texts.put("lora-rank", "8");
    texts.put("lora-dropout", "0");
    texts.put("maximum-new-tokens", "4");
    texts.put("evaluation-batch-size", "50");
    texts.put("threads", "1");
    texts.put("seed", String.valueOf(seed));
    texts.putAll(changed);
    return Settings.defaults().with(texts);
  }

  /**
   * Puts model and tasks into the folder; files that are there already are not touched.
   *
   * @throws InputException if the folder holds a demonstration of another seed or size
   */
  public Comparison prepare(Path folder) {
    Path made = folder.resolve("demonstration.txt");
    String description = (quick ? "quick" : "full") + ", seed " + seed + "\n";
    if (Files.isRegularFile(made)) {
      String found = read(made);
      if (!found.equals(description)) {
        throw new InputException(
            "%s: holds a demonstration of another kind (%s), asked for is: %s; name another --output"
                .formatted(folder, found.strip(), description.strip()));
      }
    } else {
      if (Files.isDirectory(folder) && !isEmpty(folder)) {
        throw new InputException(
            folder + ": is not empty and holds no demonstration; name another --output");
      }
      BuiltInModel.extract(folder.resolve("model"));
      data().write(folder.resolve("tasks"));
      AtomicFile.write(made, description.getBytes(StandardCharsets.UTF_8));
    }
    return Comparison.of(
        folder,
        new RunConfiguration(
            folder.resolve("model"),
            folder.resolve("tasks"),
            WorldTask.names(),
            METHODS.getFirst(),
            settings()),
        METHODS);
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw InputException.unreadable(file, e);
    }
  }

  private static boolean isEmpty(Path folder) {
    try (var files = Files.list(folder)) {
      return files.findAny().isEmpty();
    } catch (IOException e) {
      throw InputException.unreadable(folder, e);
    }
  }
}
