package io.github.recurrentkif.runtime;

import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * How a session is to run its model. {@link #defaults()} are those of ONNX Runtime itself.
 *
 * @param provider what runs it; whatever is bound to the session lies in its memory
 * @param intraOpThreads threads within one operator, the caller's included; 0 for one per core
 * @param optimization how far the graph is rewritten before the first run
 * @param memoryPattern whether the second run allocates all activations as one block, planned from
 *     the first; it holds a second full block meanwhile and wins no time with changing shapes
 * @param cpuArena whether freed activations are kept for the next run; off saves memory between
 *     runs and costs about a quarter of the time
 * @param prepacking whether weights are copied into the layout of the matrix product when the
 *     session opens; see {@link #initializers}
 * @param spinning whether idle threads of the pool wait in a busy loop during a run, which answers
 *     sooner and takes the cores from everybody else
 * @param configEntries keys of {@code onnxruntime_session_options_config_keys.h} and their values
 * @param externalDataFolder where the external data of a model from memory lies
 * @param profilePrefix what the name of the profile begins with; empty for no profile
 * @param customOperatorLibraries shared libraries with a function {@code RegisterCustomOps}
 * @param initializers memory for initializers of the model, by name, used in place: it must outlive
 *     the session. What is written there later counts in the next run only without {@code
 *     prepacking}, and only where no optimisation has folded the initializer into another. ONNX
 *     Runtime ignores names that the model does not have. See {@link Session} for what the model
 *     must declare.
 */
public record SessionOptions(
    ExecutionProvider provider,
    int intraOpThreads,
    Optimization optimization,
    boolean memoryPattern,
    boolean cpuArena,
    boolean prepacking,
    boolean spinning,
    SequencedMap<String, String> configEntries,
    Optional<Path> externalDataFolder,
    Optional<Path> profilePrefix,
    List<Path> customOperatorLibraries,
    SequencedMap<String, Tensor> initializers) {

  /** How far ONNX Runtime rewrites a graph before it runs it. */
  public enum Optimization {
    NONE(0),
    BASIC(1),
    EXTENDED(2),
    ALL(99);

    private final int code;

    Optimization(int code) {
      this.code = code;
    }

    int code() {
      return code;
    }
  }

  /**
   * @throws IllegalArgumentException if the number of threads is negative
   */
  public SessionOptions {
    if (intraOpThreads < 0) {
      throw new IllegalArgumentException("threads must be 0 or more, got " + intraOpThreads);
    }
    configEntries = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(configEntries));
    customOperatorLibraries = List.copyOf(customOperatorLibraries);
    initializers = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(initializers));
  }

  /** These options with memory for more initializers. */
  public SessionOptions with(Map<String, Tensor> moreInitializers) {
    LinkedHashMap<String, Tensor> all = new LinkedHashMap<>(initializers);
    all.putAll(moreInitializers);
    return with(provider, profilePrefix, all);
  }

  /** These options with another provider. */
  public SessionOptions with(ExecutionProvider other) {
    return with(other, profilePrefix, initializers);
  }

  /** These options with a profile, the name of whose file begins so. */
  public SessionOptions withProfile(Path prefix) {
    return with(provider, Optional.of(prefix), initializers);
  }

  private SessionOptions with(
      ExecutionProvider other, Optional<Path> profile, SequencedMap<String, Tensor> all) {
    return new SessionOptions(
        other,
        intraOpThreads,
        optimization,
        memoryPattern,
        cpuArena,
        prepacking,
        spinning,
        configEntries,
        externalDataFolder,
        profile,
        customOperatorLibraries,
        all);
  }

  public static SessionOptions defaults() {
    return builder().build();
  }

  public static Builder builder() {
    return new Builder();
  }

  /** Collects what differs from the defaults. */
  public static final class Builder {

    private ExecutionProvider provider = new ExecutionProvider.Processor();
    private int intraOpThreads;
    private Optimization optimization = Optimization.ALL;
    private boolean memoryPattern = true;
    private boolean cpuArena = true;
    private boolean prepacking = true;
    private boolean spinning = true;
    private final LinkedHashMap<String, String> configEntries = new LinkedHashMap<>();
    private Optional<Path> externalDataFolder = Optional.empty();
    private Optional<Path> profilePrefix = Optional.empty();
    private List<Path> customOperatorLibraries = List.of();
    private final LinkedHashMap<String, Tensor> initializers = new LinkedHashMap<>();

    private Builder() {}

    public Builder provider(ExecutionProvider value) {
      provider = value;
      return this;
    }

    public Builder intraOpThreads(int threads) {
      intraOpThreads = threads;
      return this;
    }

    public Builder optimization(Optimization level) {
      optimization = level;
      return this;
    }

    public Builder memoryPattern(boolean on) {
      memoryPattern = on;
      return this;
    }

    public Builder cpuArena(boolean on) {
      cpuArena = on;
      return this;
    }

    public Builder prepacking(boolean on) {
      prepacking = on;
      return this;
    }

    public Builder spinning(boolean on) {
      spinning = on;
      return this;
    }

    public Builder configEntry(String key, String value) {
      configEntries.put(key, value);
      return this;
    }

    public Builder externalDataFolder(Path folder) {
      externalDataFolder = Optional.of(folder);
      return this;
    }

    public Builder profilePrefix(Path prefix) {
      profilePrefix = Optional.of(prefix);
      return this;
    }

    public Builder customOperatorLibraries(List<Path> libraries) {
      customOperatorLibraries = libraries;
      return this;
    }

    public Builder initializer(String name, Tensor tensor) {
      initializers.put(name, tensor);
      return this;
    }

    public Builder initializers(Map<String, Tensor> tensors) {
      initializers.putAll(tensors);
      return this;
    }

    public SessionOptions build() {
      return new SessionOptions(
          provider,
          intraOpThreads,
          optimization,
          memoryPattern,
          cpuArena,
          prepacking,
          spinning,
          configEntries,
          externalDataFolder,
          profilePrefix,
          customOperatorLibraries,
          initializers);
    }
  }
}
