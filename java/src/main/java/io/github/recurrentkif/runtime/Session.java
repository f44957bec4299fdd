package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Function;

/**
 * One model, ready to run. Several threads may run it at once, each with its own {@link Binding}.
 *
 * <p>A model whose weights come as {@linkplain SessionOptions#initializers() memory} declares them
 * as initializers with external data (name, type, dimensions, {@code data_location = EXTERNAL},
 * {@code length}) at {@code location = "."}: ONNX Runtime insists that the location exists beside
 * the model, or in the {@linkplain SessionOptions#externalDataFolder() folder} of a model from
 * memory, but opens it only for a weight that it was not given. Since a folder cannot be read, a
 * forgotten weight fails the opening instead of counting as something else, and so does an
 * optimisation that folds a weight into a constant, where a real weight file would be folded as it
 * stands, not as it is in memory. (So a transposed weight is an attribute of the product, not a
 * node, and single numbers such as an epsilon belong into the model: rewrites look at them.) An
 * initializer declared without any data is refused. Nothing compares the memory's type and shape
 * with the declaration: whoever hands it over must. (ONNX Runtime 1.29, Linux; the tests of this
 * class hold all of this.)
 *
 * <p>Closing it waits for running threads and closes its bindings.
 */
public final class Session implements AutoCloseable {

  private static final String DISABLE_PREPACKING = "session.disable_prepacking";
  private static final String ALLOW_SPINNING = "session.intra_op.allow_spinning";

  /** Between runs the cores belong to other sessions, whose threads would be in the way. */
  private static final String STOP_SPINNING_AFTER_RUN = "session.force_spinning_stop";

  private static final String EXTERNAL_DATA_FOLDER =
      "session.model_external_initializers_file_folder_path";

  /** Calls one of the two functions that make a session: options, where to put it, status. */
  @FunctionalInterface
  interface Opener {
    MemorySegment open(MemorySegment options, MemorySegment out);
  }

  private final OnnxRuntime runtime;
  private final OrtApi api;
  private final String model;
  private final SessionOptions options;
  private final MemorySegment memory;
  private final MemorySegment handle;
  private final SequencedMap<String, TensorType> inputs;
  private final SequencedMap<String, TensorType> outputs;

  /** Of the initializers; ONNX Runtime wants them to live as long as the session. */
  private final List<MemorySegment> values = new ArrayList<>();

  private final Set<Binding> bindings = ConcurrentHashMap.newKeySet();

  /** Running is reading, closing is writing. */
  private final ReadWriteLock lock = new ReentrantReadWriteLock();

  private final AtomicInteger recordings = new AtomicInteger();

  private boolean closed;
  private boolean profiling;

  Session(OnnxRuntime runtime, String model, SessionOptions options, Opener opener) {
    this.runtime = runtime;
    this.api = runtime.api();
    this.model = model;
    this.options = options;
    this.profiling = options.profilePrefix().isPresent();
    this.memory = runtime.memory(options.provider());
    MemorySegment nativeOptions =
        runtime.created(
            "preparing options for " + model,
            out -> api.invoke(OrtFunction.CREATE_SESSION_OPTIONS, out));
    MemorySegment opened = MemorySegment.NULL;
    boolean complete = false;
    try {
      configure(nativeOptions);
      opened = runtime.created("opening model " + model, out -> opener.open(nativeOptions, out));
      this.handle = opened;
      this.inputs =
          declared(
              "input",
              OrtFunction.SESSION_GET_INPUT_COUNT,
              OrtFunction.SESSION_GET_INPUT_NAME,
              OrtFunction.SESSION_GET_INPUT_TYPE);
      this.outputs =
          declared(
              "output",
              OrtFunction.SESSION_GET_OUTPUT_COUNT,
              OrtFunction.SESSION_GET_OUTPUT_NAME,
              OrtFunction.SESSION_GET_OUTPUT_TYPE);
      complete = true;
    } finally {
      api.release(OrtFunction.RELEASE_SESSION_OPTIONS, nativeOptions);
      if (!complete) {
        api.release(OrtFunction.RELEASE_SESSION, opened);
        releaseValues();
      }
    }
  }

  private void configure(MemorySegment target) {
    String doing = "preparing options for " + model;
    api.check(
        api.invoke(OrtFunction.SET_INTRA_OP_THREADS, target, options.intraOpThreads()), doing);
    api.check(
        api.invoke(OrtFunction.SET_OPTIMIZATION_LEVEL, target, options.optimization().code()),
        doing);
    if (!options.memoryPattern()) {
      api.check(api.invoke(OrtFunction.DISABLE_MEMORY_PATTERN, target), doing);
    }
    if (!options.cpuArena()) {
      api.check(api.invoke(OrtFunction.DISABLE_CPU_ARENA, target), doing);
    }
    try (Arena arena = Arena.ofConfined()) {
      if (!options.prepacking()) {
        configEntry(target, DISABLE_PREPACKING, "1", arena);
      }
      if (options.spinning()) {
        configEntry(target, STOP_SPINNING_AFTER_RUN, "1", arena);
      } else {
        configEntry(target, ALLOW_SPINNING, "0", arena);
      }
      options
          .externalDataFolder()
          .ifPresent(
              folder ->
                  configEntry(
                      target, EXTERNAL_DATA_FOLDER, folder.toAbsolutePath().toString(), arena));
      options.configEntries().forEach((key, value) -> configEntry(target, key, value, arena));
      options
          .profilePrefix()
          .ifPresent(
              prefix ->
                  api.check(
                      api.invoke(
                          OrtFunction.ENABLE_PROFILING,
                          target,
                          OrtApi.path(prefix.toAbsolutePath(), arena)),
                      "profiling " + model));
      switch (options.provider()) {
        case ExecutionProvider.Processor _ -> {}
        case ExecutionProvider.Cuda cuda ->
            runtime.append(target, cuda, "running " + model + " on GPU " + cuda.device());
      }
      for (Path library : options.customOperatorLibraries()) {
        api.check(
            api.invoke(
                OrtFunction.REGISTER_CUSTOM_OPERATORS,
                target,
                OrtApi.path(library.toAbsolutePath(), arena)),
            "registering the operators of " + library + " for " + model);
      }
      options
          .initializers()
          .forEach(
              (name, tensor) -> {
                String setting = "setting initializer '" + name + "' " + tensor + " of " + model;
                MemorySegment value = runtime.value(tensor, memory, setting);
                values.add(value);
                api.check(
                    api.invoke(
                        OrtFunction.ADD_INITIALIZER, target, arena.allocateFrom(name), value),
                    setting);
              });
    }
  }

  private void configEntry(MemorySegment target, String key, String value, Arena arena) {
    api.check(
        api.invoke(
            OrtFunction.ADD_CONFIG_ENTRY,
            target,
            arena.allocateFrom(key),
            arena.allocateFrom(value)),
        "setting " + key + " = " + value + " for " + model);
  }

  private SequencedMap<String, TensorType> declared(
      String what, OrtFunction count, OrtFunction name, OrtFunction type) {
    String doing = "asking for the " + what + "s of " + model;
    SequencedMap<String, TensorType> result = new LinkedHashMap<>();
    long n = number(doing, out -> api.invoke(count, handle, out));
    for (long index = 0; index < n; index++) {
      long i = index;
      String tensor =
          runtime.taken(
              runtime.created(doing, out -> api.invoke(name, handle, i, runtime.allocator(), out)));
      MemorySegment info = runtime.created(doing, out -> api.invoke(type, handle, i, out));
      try {
        // Part of the type information, not to be released on its own.
        MemorySegment shape =
            runtime.created(doing, out -> api.invoke(OrtFunction.CAST_TYPE_TO_TENSOR, info, out));
        if (OrtApi.isNull(shape)) {
          throw new OnnxRuntimeException(what + " '" + tensor + "' of " + model + " is no tensor");
        }
        result.put(tensor, tensorType(shape, what + " '" + tensor + "' of " + model));
      } finally {
        api.release(OrtFunction.RELEASE_TYPE, info);
      }
    }
    return Collections.unmodifiableSequencedMap(result);
  }

  private long number(String doing, Function<MemorySegment, MemorySegment> call) {
    // The function writes a size where created() expects a pointer: both have 64 bits.
    return runtime.created(doing, call).address();
  }

  /** Reads {@code OrtTensorTypeAndShapeInfo}, which stays the caller's to release. */
  TensorType tensorType(MemorySegment info, String where) {
    String doing = "asking for the shape of " + where;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment code = arena.allocate(JAVA_INT);
      api.check(api.invoke(OrtFunction.GET_ELEMENT_TYPE, info, code), doing);
      long rank = number(doing, out -> api.invoke(OrtFunction.GET_DIMENSION_COUNT, info, out));
      MemorySegment extents = arena.allocate(JAVA_LONG, rank);
      MemorySegment names = arena.allocate(ADDRESS, rank);
      api.check(api.invoke(OrtFunction.GET_DIMENSIONS, info, extents, rank), doing);
      api.check(api.invoke(OrtFunction.GET_SYMBOLIC_DIMENSIONS, info, names, rank), doing);
      List<Long> dimensions = new ArrayList<>();
      List<String> symbols = new ArrayList<>();
      for (long axis = 0; axis < rank; axis++) {
        dimensions.add(Math.max(TensorType.UNKNOWN, extents.getAtIndex(JAVA_LONG, axis)));
        symbols.add(OrtApi.string(names.getAtIndex(ADDRESS, axis)));
      }
      return new TensorType(ElementType.ofCode(code.get(JAVA_INT, 0), where), dimensions, symbols);
    }
  }

  /** The model's file, or the name it was opened under. */
  public String model() {
    return model;
  }

  /** What the model reads, in its order. */
  public SequencedMap<String, TensorType> inputs() {
    return inputs;
  }

  /** What the model computes, in its order. */
  public SequencedMap<String, TensorType> outputs() {
    return outputs;
  }

  /** Makes a set of inputs and outputs to run the model with. */
  public Binding binding() {
    lock.readLock().lock();
    try {
      requireOpen();
      Binding binding = new Binding(this);
      bindings.add(binding);
      return binding;
    } finally {
      lock.readLock().unlock();
    }
  }

  /**
   * Ends profiling and returns the file with the events of all runs so far, as JSON.
   *
   * @throws IllegalStateException if the options named no prefix, or profiling has ended before
   */
  public Path endProfiling() {
    lock.writeLock().lock();
    try {
      requireOpen();
      if (!profiling) {
        throw new IllegalStateException(
            model + " is not being profiled: its options named no prefix, or it ended before");
      }
      profiling = false;
      return Path.of(
          runtime.taken(
              runtime.created(
                  "ending the profile of " + model,
                  out ->
                      api.invoke(
                          OrtFunction.SESSION_END_PROFILING, handle, runtime.allocator(), out))));
    } finally {
      lock.writeLock().unlock();
    }
  }

  OnnxRuntime runtime() {
    return runtime;
  }

  MemorySegment handle() {
    return handle;
  }

  ExecutionProvider provider() {
    return options.provider();
  }

  /** Where everything lies that is bound. */
  MemorySegment memory() {
    return memory;
  }

  /** A number for one recording of the work of a run; no two are the same. */
  int nextRecording() {
    return recordings.incrementAndGet();
  }

  ReadWriteLock lock() {
    return lock;
  }

  void forget(Binding binding) {
    bindings.remove(binding);
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the session of " + model + " is closed");
    }
  }

  private void releaseValues() {
    values.forEach(value -> api.release(OrtFunction.RELEASE_VALUE, value));
    values.clear();
  }

  @Override
  public void close() {
    lock.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        bindings.forEach(Binding::close);
        api.release(OrtFunction.RELEASE_SESSION, handle);
        releaseValues();
        runtime.forget(this);
      }
    } finally {
      lock.writeLock().unlock();
    }
  }

  @Override
  public String toString() {
    return model + " " + inputs + " -> " + outputs;
  }
}
