package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.OnnxWriter;
import io.github.recurrentkif.graph.operators.Precision;
import io.github.recurrentkif.memory.AtomicFolder;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.Shape;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * The graphs of one model with one choice of trainable parameters, as files: {@code
 * training_model.onnx} and {@code packed_training_model.onnx} (loss and gradients), {@code
 * encoder.onnx} and {@code decoder_step.onnx} (greedy decoding) and their packed siblings, and
 * {@code artifacts.json}, which says what the graphs read and write. The folder is named by a hash
 * of everything that went in.
 *
 * @param training of one padded micro-batch, on the stock runtime
 * @param packedTraining of a whole update without padding, on operators of our own; absent where
 *     not an adapter is trained
 * @param packedTrainingOfShortAnswers the same at less cost where answers are short; absent where
 *     there is no such way
 * @param holding of one padded micro-batch, how far answers have gone from those before; absent
 *     where no prompts are trained
 * @param decoding of padded rows, on the stock runtime
 * @param packedDecoding the same of packed rows; absent where the whole model is trained
 */
public record TrainingArtifacts(
    Path folder,
    ParameterLayout layout,
    List<DropoutPlace> dropoutPlaces,
    GraphFile training,
    @Nullable GraphFile packedTraining,
    @Nullable GraphFile packedTrainingOfShortAnswers,
    @Nullable GraphFile holding,
    Decoding decoding,
    @Nullable Decoding packedDecoding) {

  /**
   * The graphs of greedy decoding.
   *
   * @param encoder absent where the model has none: then the step takes prompts as well
   */
  public record Decoding(@Nullable GraphFile encoder, GraphFile step) {}

  /** An ONNX model, and the frozen parameters that a session of it must be given. */
  public record GraphFile(Path file, SequencedMap<String, Graph.Frozen> frozen) {}

  /** Changes when a graph changes for the same configuration. */
  private static final int VERSION = 16;

  private static final String DESCRIPTION = "artifacts.json";

  /** {@link #prepare(ModelConfig, Trainables, boolean, Precisions, Path)} in float32. */
  public static TrainingArtifacts prepare(
      ModelConfig config, Trainables trainables, boolean dropout, Path cache) {
    return prepare(config, trainables, dropout, Precisions.FLOAT32, cache);
  }

  /**
   * Takes the artifacts from the cache, or writes them there first.
   *
   * @param dropout whether the training graph drops, as the model and the adapter ask for
   */
  public static TrainingArtifacts prepare(
      ModelConfig config,
      Trainables trainables,
      boolean dropout,
      Precisions precisions,
      Path cache) {
    Path folder = cache.resolve("artifacts").resolve(key(config, trainables, dropout, precisions));
    try {
      if (!Files.isRegularFile(folder.resolve(DESCRIPTION))) {
        write(config, trainables, dropout, precisions, folder);
      }
      return read(folder);
    } catch (IOException e) {
      throw new InputException(
          folder
              + ": the training artifacts cannot be written: "
              + InputException.reason(e)
              + "; KIF_CACHE names another folder to use",
          e);
    }
  }

  /**
   * Looks whether a model has every weight that training reads; what the processor reads in float32
   * is converted.
   *
   * @throws InputException if something cannot be used
   */
  public void requireWeights(ModelFolder model, boolean onGpu) {
    training
        .frozen()
        .forEach(
            (name, parameter) -> {
              if (onGpu) {
                model.require(name, parameter.shape());
              } else {
                model.weight(name, parameter.shape());
              }
            });
  }

  private static String key(
      ModelConfig config, Trainables trainables, boolean dropout, Precisions precisions) {
    String everything =
        VERSION + " " + config + " " + trainables + " " + dropout + " " + precisions;
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(everything.getBytes(StandardCharsets.UTF_8));
      return config.family() + "-" + HexFormat.of().formatHex(hash, 0, 10);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java runtime has SHA-256", e);
    }
  }

  private static void write(
      ModelConfig config,
      Trainables trainables,
      boolean dropout,
      Precisions precisions,
      Path folder)
      throws IOException {
    Files.createDirectories(folder.getParent());
    Path temporary = AtomicFolder.newFolder(folder.resolveSibling(""), "unfinished-");
    List<ModelGraph> graphs = graphs(config, trainables, dropout, precisions);
    for (ModelGraph graph : graphs) {
      Files.write(temporary.resolve(graph.name() + ".onnx"), onnx(graph));
    }
    Files.write(
        temporary.resolve(DESCRIPTION),
        JsonMapper.builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build()
            .writeValueAsBytes(describe(graphs, config, trainables)));
    try {
      Files.move(temporary, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (FileSystemException e) {
      AtomicFolder.delete(temporary);
      if (!Files.isRegularFile(folder.resolve(DESCRIPTION))) {
        throw e;
      }
      // Another process was faster; what it wrote is the same.
    }
  }

  private static List<ModelGraph> graphs(
      ModelConfig config, Trainables trainables, boolean dropout, Precisions precisions) {
    Precision packed = precisions.packed();
    Precision padded = precisions.padded();
    ModelGraphs of = ModelGraphs.of(config, trainables);
    List<ModelGraph> graphs = new ArrayList<>();
    graphs.add(of.training(dropout, padded));
    switch (trainables) {
      case Trainables.Adapter adapter -> {
        graphs.add(of.packedTraining(dropout, packed));
        of.packedTrainingOfShortAnswers(dropout, packed).ifPresent(graphs::add);
        graphs.addAll(of.packedDecoding(packed));
        if (adapter.config() instanceof PromptPoolConfig) {
          graphs.add(of.holding(dropout, padded));
        }
      }
      case Trainables.Nothing _ -> graphs.addAll(of.packedDecoding(packed));
      case Trainables.EveryWeight _ -> {}
    }
    graphs.addAll(of.decoding(padded));
    return graphs;
  }

  /** The graph as an ONNX model whose frozen parameters the session's owner supplies. */
  static byte[] onnx(ModelGraph graph) {
    return OnnxWriter.write(graph.graph(), graph.name());
  }

  private static Map<String, Object> describe(
      List<ModelGraph> graphs, ModelConfig config, Trainables trainables) {
    ModelGraph training = graphs.getFirst();
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", VERSION);
    json.put("model", config.toString());
    json.put("trainables", trainables.toString());
    List<Object> tensors = new ArrayList<>();
    for (ParameterLayout.Tensor tensor :
        ParameterLayout.of(training.graph().trainableParameters()).tensors()) {
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("name", tensor.name());
      entry.put("shape", tensor.shape().dimensions());
      entry.put("offset", tensor.offset());
      tensors.add(entry);
    }
    json.put("trainable", tensors);
    Map<String, Object> frozen = new LinkedHashMap<>();
    for (ModelGraph graph : graphs) {
      List<Object> names = new ArrayList<>();
      graph
          .graph()
          .frozenParameters()
          .forEach(
              (name, parameter) -> {
                Map<String, Object> entry = new LinkedHashMap<>();
                entry.put("name", name);
                entry.put("type", parameter.type());
                entry.put("shape", parameter.shape().dimensions());
                names.add(entry);
              });
      frozen.put(graph.name(), names);
    }
    json.put("frozen", frozen);
    List<Object> places = new ArrayList<>();
    for (DropoutPlace place : training.dropoutPlaces()) {
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("input", place.input());
      entry.put("probability", place.probability());
      switch (place.extent()) {
        case DropoutPlace.Rows rows -> {
          entry.put("side", rows.side());
          entry.put("width", rows.width());
        }
        case DropoutPlace.Pairs pairs -> {
          entry.put("heads", pairs.heads());
          entry.put("queries", pairs.queries());
          entry.put("keys", pairs.keys());
        }
      }
      places.add(entry);
    }
    json.put("dropout", places);
    return json;
  }

  private static TrainingArtifacts read(Path folder) {
    JsonNode json = new ObjectMapper().readTree(folder.resolve(DESCRIPTION).toFile());
    List<DropoutPlace> places = new ArrayList<>();
    for (JsonNode place : json.get("dropout")) {
      DropoutPlace.Extent extent =
          place.has("side")
              ? new DropoutPlace.Rows(side(place, "side"), place.get("width").intValue())
              : new DropoutPlace.Pairs(
                  place.get("heads").intValue(), side(place, "queries"), side(place, "keys"));
      places.add(
          new DropoutPlace(
              places.size(),
              place.get("input").stringValue(),
              place.get("probability").doubleValue(),
              extent));
    }
    return new TrainingArtifacts(
        folder,
        ParameterLayout.of(shapes(json.get("trainable"))),
        places,
        graphFile(json, folder, "training_model"),
        optionalGraphFile(json, folder, "packed_training_model"),
        optionalGraphFile(json, folder, "packed_training_model_of_short_answers"),
        optionalGraphFile(json, folder, "holding_model"),
        decoding(json, folder, ""),
        json.get("frozen").has("packed_decoder_step") ? decoding(json, folder, "packed_") : null);
  }

  private static Decoding decoding(JsonNode json, Path folder, String prefix) {
    return new Decoding(
        optionalGraphFile(json, folder, prefix + "encoder"),
        graphFile(json, folder, prefix + "decoder_step"));
  }

  private static @Nullable GraphFile optionalGraphFile(JsonNode json, Path folder, String name) {
    return json.get("frozen").has(name) ? graphFile(json, folder, name) : null;
  }

  private static GraphFile graphFile(JsonNode json, Path folder, String name) {
    SequencedMap<String, Graph.Frozen> frozen = new LinkedHashMap<>();
    for (JsonNode tensor : json.get("frozen").get(name)) {
      ElementType type = ElementType.valueOf(tensor.get("type").stringValue());
      frozen.put(tensor.get("name").stringValue(), new Graph.Frozen(type, shape(tensor)));
    }
    return new GraphFile(folder.resolve(name + ".onnx"), frozen);
  }

  private static DropoutPlace.Side side(JsonNode place, String key) {
    return DropoutPlace.Side.valueOf(place.get(key).stringValue());
  }

  private static SequencedMap<String, Shape> shapes(JsonNode tensors) {
    SequencedMap<String, Shape> shapes = new LinkedHashMap<>();
    for (JsonNode tensor : tensors) {
      shapes.put(tensor.get("name").stringValue(), shape(tensor));
    }
    return shapes;
  }

  private static Shape shape(JsonNode tensor) {
    List<Long> dimensions = new ArrayList<>();
    tensor.get("shape").forEach(dimension -> dimensions.add(dimension.longValue()));
    return new Shape(dimensions);
  }
}
