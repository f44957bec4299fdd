package io.github.recurrentkif.training;

import io.github.recurrentkif.data.Batch;
import io.github.recurrentkif.graph.ElementType;
import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.model.AdapterInitialization;
import io.github.recurrentkif.model.LlamaConfig;
import io.github.recurrentkif.model.ModelFolder;
import io.github.recurrentkif.model.PromptPoolConfig;
import io.github.recurrentkif.model.T5Config;
import io.github.recurrentkif.model.TaskAttentionConfig;
import io.github.recurrentkif.model.Trainables;
import io.github.recurrentkif.model.TrainingArtifacts;
import io.github.recurrentkif.runtime.ExecutionProvider;
import io.github.recurrentkif.runtime.OnnxRuntime;
import io.github.recurrentkif.runtime.Session;
import io.github.recurrentkif.runtime.SessionOptions;
import io.github.recurrentkif.runtime.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A model that can be trained and asked: the trainable weights, and sessions of its graphs over
 * them and over the mapped weights of the backbone. Sessions open when they are first needed.
 */
public final class TextModel implements AutoCloseable {

  private final ModelFolder model;
  private final TrainingArtifacts artifacts;
  private final OnnxRuntime runtime;
  private final SessionOptions options;
  private final Kernels kernels;
  private final ParameterVector weights;
  private final @Nullable PromptPool prompts;
  private final @Nullable TaskAttention attention;

  /** The backbone on the device, where that is not the processor. */
  private final Map<String, MemorySegment> frozen = new HashMap<>();

  private final Arena frozenArena = Arena.ofShared();
  private @Nullable PaddedObjective padded;
  private @Nullable PackedObjective packed;
  private @Nullable HeldAnswers heldAnswers;
  private @Nullable Decoder decoder;

  /**
   * The model, artifacts, runtime and kernels belong to the caller and must outlive this object.
   *
   * @param trainables what the artifacts were prepared for
   */
  public TextModel(
      ModelFolder model,
      Trainables trainables,
      TrainingArtifacts artifacts,
      OnnxRuntime runtime,
      SessionOptions options,
      Kernels kernels) {
    this.model = model;
    this.artifacts = artifacts;
    this.runtime = runtime;
    this.options = options;
    this.kernels = kernels;
    this.weights = new ParameterVector(artifacts.layout(), kernels.device());
    this.prompts =
        trainables instanceof Trainables.Adapter(PromptPoolConfig pool)
            ? new PromptPool(pool, source(PromptPoolConfig.KEYS), weights)
            : null;
    this.attention =
        trainables instanceof Trainables.Adapter(TaskAttentionConfig config)
            ? new TaskAttention(config, source(TaskAttentionConfig.KEYS), weights)
            : null;
  }

  /**
   * @param keys a trained tensor as wide as the embeddings
   */
  private SourceTexts source(String keys) {
    long width = artifacts.layout().tensor(keys).shape().dimension(1);
    return new SourceTexts(model, Math.toIntExact(width));
  }

  /**
   * What holds an attention over the adapters of tasks, or the answers of prompts.
   *
   * @throws IllegalStateException if the adapter has neither
   */
  public Retention<Batch> retention() {
    if (attention != null) {
      return attention;
    }
    TrainingArtifacts.GraphFile graph = artifacts.holding();
    if (prompts == null || graph == null) {
      throw new IllegalStateException(
          "the adapter has neither an attention over tasks nor prompts");
    }
    if (heldAnswers == null) {
      ParameterVector held = new ParameterVector(weights.layout(), kernels.device());
      ParameterLayout.Tensor vectors = weights.layout().tensor(PromptPoolConfig.VECTORS);
      Tensor before = Tensor.float32(held.slice(vectors), vectors.shape().toArray());
      heldAnswers =
          new HeldAnswers(
              padded(graph, Map.of(PromptPoolConfig.BEFORE, before)), prompts, held, kernels);
    }
    return heldAnswers;
  }

  private PaddedObjective padded(TrainingArtifacts.GraphFile graph, Map<String, Tensor> given) {
    return new PaddedObjective(
        model.config(),
        open(graph, options.provider()),
        artifacts.dropoutPlaces(),
        weights,
        given,
        attention,
        kernels,
        options.provider().records());
  }

  /** Sets the weights of a new adapter; the same key gives the same. */
  public void initialize(RandomKey key) {
    AdapterInitialization.initialize(weights, key);
    if (prompts != null) {
      prompts.initialize(key.at(weights.layout().tensors().size()));
    }
  }

  /** What is trained; zeros at first. */
  public ParameterVector weights() {
    return weights;
  }

  /** {@link #objective(int)} with all tokens of an update in one pass. */
  public Objective<Batch> objective() {
    return objective(0);
  }

  /**
   * What is trained with: over packed rows where an adapter is trained and the session options name
   * a library with our operators, else over padded micro-batches.
   *
   * @param tokensPerPass of packed rows, see {@link PackedObjective}; the first call decides
   */
  public Objective<Batch> objective(int tokensPerPass) {
    Objective<Batch> objective = objectiveOfTokens(tokensPerPass);
    return prompts == null ? objective : new PromptedObjective(objective, prompts);
  }

  private Objective<Batch> objectiveOfTokens(int tokensPerPass) {
    TrainingArtifacts.GraphFile graph = artifacts.packedTraining();
    if (graph == null || options.customOperatorLibraries().isEmpty()) {
      return paddedObjective();
    }
    if (packed == null) {
      TrainingArtifacts.GraphFile shorter = artifacts.packedTrainingOfShortAnswers();
      packed =
          new PackedObjective(
              model.config(),
              () -> training(graph),
              shorter == null ? null : () -> training(shorter),
              tokensPerPass,
              kernels);
    }
    return packed;
  }

  private TrainingSession training(TrainingArtifacts.GraphFile graph) {
    return new TrainingSession(open(graph, options.provider()), weights, attention);
  }

  /** Over padded micro-batches on the stock runtime; it gives logits as well. */
  public PaddedObjective paddedObjective() {
    if (padded == null) {
      padded = padded(artifacts.training(), Map.of());
    }
    return padded;
  }

  /** Over packed rows where the session options name a library with our operators. */
  public Decoder decoder() {
    if (decoder == null) {
      TrainingArtifacts.Decoding graphs = artifacts.packedDecoding();
      Decoder ofTokens =
          graphs == null || options.customOperatorLibraries().isEmpty()
              ? paddedDecoder(artifacts.decoding())
              : new PackedDecoder(
                  model.config(), encoder(graphs), openToDecode(graphs.step()), weights, attention);
      decoder = prompts == null ? ofTokens : new PromptedDecoder(ofTokens, prompts);
    }
    return decoder;
  }

  private Decoder paddedDecoder(TrainingArtifacts.Decoding graphs) {
    return switch (model.config()) {
      case T5Config t5 ->
          new GreedyDecoder(
              t5,
              Objects.requireNonNull(encoder(graphs), "a T5 has an encoder"),
              openToDecode(graphs.step()),
              weights,
              attention);
      case LlamaConfig llama ->
          new CausalDecoder(llama, openToDecode(graphs.step()), weights, attention);
    };
  }

  private @Nullable Session encoder(TrainingArtifacts.Decoding graphs) {
    return graphs.encoder() == null ? null : openToDecode(graphs.encoder());
  }

  /** A decoder's shapes change with every token: there is nothing to record. */
  private Session openToDecode(TrainingArtifacts.GraphFile graph) {
    return open(
        graph,
        switch (options.provider()) {
          case ExecutionProvider.Processor processor -> processor;
          case ExecutionProvider.Cuda cuda ->
              new ExecutionProvider.Cuda(cuda.device(), cuda.queue(), false);
        });
  }

  private Session open(TrainingArtifacts.GraphFile graph, ExecutionProvider provider) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    graph.frozen().forEach((name, parameter) -> tensors.put(name, tensor(name, parameter)));
    SessionOptions given = options.with(provider).with(tensors);
    return runtime.session(
        graph.file(),
        given
            .profilePrefix()
            .map(prefix -> given.withProfile(profileOf(graph, prefix)))
            .orElse(given));
  }

  private Tensor tensor(String name, Graph.Frozen parameter) {
    MemorySegment data = frozen(name, parameter);
    return switch (parameter.type()) {
      case FLOAT32 -> Tensor.float32(data, parameter.shape().toArray());
      case BFLOAT16 -> Tensor.bfloat16(data, parameter.shape().toArray());
      case INT64 -> throw new IllegalArgumentException(name + " is not of numbers");
    };
  }

  private static Path profileOf(TrainingArtifacts.GraphFile graph, Path prefix) {
    String file = graph.file().getFileName().toString();
    String name = prefix.getFileName() + "-" + file.replace(".onnx", "");
    return prefix.toAbsolutePath().resolveSibling(name);
  }

  /** Where the session reads it: where it is mapped, or once on the device for all sessions. */
  private MemorySegment frozen(String name, Graph.Frozen parameter) {
    return switch (options.provider()) {
      case ExecutionProvider.Processor _ -> model.weight(name, parameter.shape());
      case ExecutionProvider.Cuda _ ->
          frozen.computeIfAbsent(name, _ -> copyOnDevice(name, parameter));
    };
  }

  private MemorySegment copyOnDevice(String name, Graph.Frozen parameter) {
    try (Arena passing = Arena.ofConfined()) {
      MemorySegment host =
          parameter.type() == ElementType.BFLOAT16
              ? model.bfloat16(name, parameter.shape(), passing)
              : model.float32(name, parameter.shape(), passing);
      MemorySegment copy = kernels.device().allocate(host.byteSize(), frozenArena);
      kernels.device().upload(host, copy);
      return copy;
    }
  }

  @Override
  public void close() {
    if (padded != null) {
      padded.close();
    }
    if (packed != null) {
      packed.close();
    }
    if (decoder != null) {
      decoder.close();
    }
    if (heldAnswers != null) {
      heldAnswers.close();
    }
    weights.close();
    frozenArena.close();
  }
}
