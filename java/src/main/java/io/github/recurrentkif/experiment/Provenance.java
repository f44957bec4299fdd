package io.github.recurrentkif.experiment;

import io.github.recurrentkif.data.Task;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/**
 * What a run was made with: versions, machine, and hashes of everything it read.
 *
 * @param inputs SHA-256 of the files of model and data; of large weight files the beginning and the
 *     length
 * @param environment versions and machine
 */
record Provenance(SequencedMap<String, String> inputs, SequencedMap<String, String> environment) {

  /** Which graph a run trains with. The other one rounds differently: a run keeps to its own. */
  private static final String GRAPH = "graph";

  /** Of weight files; the header with all names and shapes, and the first weights. */
  private static final long HASHED_BYTES = 64L << 20;

  static Provenance of(RunConfiguration configuration, List<Task> tasks, Backend backend) {
    SequencedMap<String, String> inputs = new LinkedHashMap<>();
    try (Stream<Path> files = Files.list(configuration.model())) {
      files
          .filter(Files::isRegularFile)
          .filter(Provenance::belongsToModel)
          .sorted()
          .forEach(file -> inputs.put("model/" + file.getFileName(), hash(file)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    for (Task task : tasks) {
      inputs.put("data/" + task.name() + "/train", hash(task.trainFile()));
      inputs.put("data/" + task.name() + "/evaluation", hash(task.evaluationFile()));
    }
    SequencedMap<String, String> environment = new LinkedHashMap<>();
    environment.put("kif", Build.current().text());
    environment.put("java", Runtime.version().toString());
    environment.put(
        "machine",
        System.getProperty("os.name")
            + " "
            + System.getProperty("os.arch")
            + ", "
            + Runtime.getRuntime().availableProcessors()
            + " cores");
    Processor processor = Processor.present();
    environment.put("processor", processor.model());
    environment.put("instructions", String.join(" ", processor.features()));
    environment.put("onnx_runtime", backend.runtime().version());
    environment.put("kernels", backend.kernels().description());
    environment.put(GRAPH, backend.graph());
    return new Provenance(inputs, environment);
  }

  private static boolean belongsToModel(Path file) {
    String name = file.getFileName().toString();
    return name.endsWith(".safetensors")
        || name.equals("config.json")
        || name.equals("generation_config.json")
        || name.equals("tokenizer.json")
        || name.equals("tokenizer_config.json");
  }

  private static String hash(Path file) {
    try (FileChannel channel = FileChannel.open(file)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
      while (channel.position() < HASHED_BYTES && channel.read(buffer) >= 0) {
        digest.update(buffer.flip());
        buffer.clear();
      }
      return HexFormat.of().formatHex(digest.digest()) + " " + channel.size() + " bytes";
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java runtime has SHA-256", e);
    }
  }

  Map<String, Object> toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("inputs", inputs);
    json.put("environment", environment);
    return json;
  }

  /**
   * @throws InputException if a file is not what it was when the run began
   */
  void requireSameInputs(RunFolder folder) {
    JsonNode recorded = folder.provenance().path("inputs");
    inputs.forEach(
        (name, hash) -> {
          if (!recorded.path(name).asString("").equals(hash)) {
            throw new InputException(
                name
                    + ": is not what it was when the run began ("
                    + folder.resolve("provenance.json")
                    + " has its hash); put the old file back, or begin a new run");
          }
        });
    String now = environment.getOrDefault(GRAPH, "");
    String then = folder.provenance().path("environment").path(GRAPH).asString(now);
    if (!then.equals(now)) {
      throw new InputException(
          "%s: the run was begun with --graph %s, this would be %s and end in other bits; add --graph %s%s"
              .formatted(
                  folder.resolve("provenance.json"),
                  then,
                  now,
                  then,
                  then.equals("packed") ? ", which needs a build with a C compiler" : ""));
    }
  }
}
