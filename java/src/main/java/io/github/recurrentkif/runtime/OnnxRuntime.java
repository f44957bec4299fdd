package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.memory.CacheFolder;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * ONNX Runtime in this process: loads the library and opens sessions.
 *
 * <p>Closing it closes the sessions that are still open. All methods may be called from any thread.
 */
public final class OnnxRuntime implements AutoCloseable {

  /** {@code ORT_LOGGING_LEVEL_FATAL}: errors reach the caller as exceptions, once is enough. */
  private static final int LOG_FATAL = 4;

  /** {@code OrtDeviceAllocator} and {@code OrtMemTypeDefault}: memory that we hand in. */
  private static final int DEVICE_ALLOCATOR = 0;

  private static final int DEFAULT_MEMORY = 0;

  /** Address space, not memory: enough for the longest argument that Linux takes, 128 KiB. */
  private static final long DEEP_STACK = 512L << 20;

  private final RuntimeLibrary library;
  private final OrtApi api;
  private final MemorySegment environment;
  private final MemorySegment cpuMemory;
  private final MemorySegment allocator;

  /** Of the GPUs, by their number. */
  private final Map<Integer, MemorySegment> cudaMemories = new ConcurrentHashMap<>();

  private final Set<Session> sessions = ConcurrentHashMap.newKeySet();
  private final AtomicBoolean closed = new AtomicBoolean();

  private OnnxRuntime(RuntimeLibrary library) {
    this.library = library;
    this.api = new OrtApi(library);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment logName = arena.allocateFrom("recurrent-kif");
      this.environment =
          created(
              "starting ONNX Runtime",
              out -> api.invoke(OrtFunction.CREATE_ENV, LOG_FATAL, logName, out));
    }
    this.cpuMemory =
        created(
            "describing the main memory",
            out ->
                api.invoke(
                    OrtFunction.CREATE_CPU_MEMORY_INFO, DEVICE_ALLOCATOR, DEFAULT_MEMORY, out));
    this.allocator =
        created("finding the allocator", out -> api.invoke(OrtFunction.GET_DEFAULT_ALLOCATOR, out));
  }

  /**
   * Loads the library that {@link RuntimeLibrary#VARIABLE} names, or else the one in Microsoft's
   * jar on the class path, which is extracted to the {@link CacheFolder} once.
   *
   * @throws OnnxRuntimeException if there is none for this machine, or it is too old
   */
  public static OnnxRuntime load() {
    return load(null, System.getenv(), CacheFolder.ofThisUser());
  }

  /**
   * Loads this library and no other.
   *
   * @throws OnnxRuntimeException if the file is not there, is no ONNX Runtime, or is too old
   */
  public static OnnxRuntime load(Path library) {
    return load(library, Map.of(), CacheFolder.ofThisUser());
  }

  static OnnxRuntime load(
      @Nullable Path library, Map<String, String> environment, CacheFolder cache) {
    RuntimeLibrary found = RuntimeLibrary.find(library, environment, cache);
    return onDeepStack(() -> new OnnxRuntime(found));
  }

  /**
   * ONNX Runtime 1.29 matches the command line of the process against a regular expression when it
   * starts, by a recursion for each character: several kilobytes of class path or of a prompt would
   * end the process in a segmentation fault.
   */
  private static OnnxRuntime onDeepStack(Supplier<OnnxRuntime> start) {
    FutureTask<OnnxRuntime> task = new FutureTask<>(start::get);
    Thread.ofPlatform().name("onnxruntime-start").stackSize(DEEP_STACK).start(task);
    boolean interrupted = false;
    try {
      while (true) {
        try {
          return task.get();
        } catch (InterruptedException e) {
          // It takes milliseconds, and half a start could not be undone.
          interrupted = true;
        }
      }
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case OnnxRuntimeException known -> throw known;
        case Error error -> throw error;
        case null -> throw new IllegalStateException(e);
        case Throwable other -> throw new IllegalStateException(other);
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Of the library, such as 1.29.0. */
  public String version() {
    return api.version();
  }

  /** Which library this is, and why this one. */
  public RuntimeLibrary library() {
    return library;
  }

  public Path libraryPath() {
    return library.path();
  }

  /**
   * Opens a model in a file. External data is looked for beside it.
   *
   * @throws OnnxRuntimeException if the model cannot be read or run, or an option is refused
   */
  public Session session(Path model, SessionOptions options) {
    if (!Files.isRegularFile(model)) {
      throw new OnnxRuntimeException("no model at " + model.toAbsolutePath());
    }
    return opened(
        model.toString(),
        options,
        (sessionOptions, out) -> {
          try (Arena arena = Arena.ofConfined()) {
            return api.invoke(
                OrtFunction.CREATE_SESSION,
                environment,
                OrtApi.path(model, arena),
                sessionOptions,
                out);
          }
        });
  }

  /**
   * Opens a model in memory, which is free again on return. External data is looked for in {@link
   * SessionOptions#externalDataFolder()}.
   *
   * @param name of the model, for messages
   * @throws OnnxRuntimeException if the model cannot be read or run, or an option is refused
   */
  public Session session(String name, MemorySegment model, SessionOptions options) {
    return opened(
        name,
        options,
        (sessionOptions, out) ->
            api.invoke(
                OrtFunction.CREATE_SESSION_FROM_ARRAY,
                environment,
                model,
                model.byteSize(),
                sessionOptions,
                out));
  }

  /** Opens a model in a byte array; see {@link #session(String, MemorySegment, SessionOptions)}. */
  public Session session(String name, byte[] model, SessionOptions options) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = arena.allocate(Math.max(1, model.length)).asSlice(0, model.length);
      return session(name, copy.copyFrom(MemorySegment.ofArray(model)), options);
    }
  }

  private Session opened(String name, SessionOptions options, Session.Opener opener) {
    if (closed.get()) {
      throw new IllegalStateException("opening " + name + " on an ONNX Runtime that is closed");
    }
    Session session = new Session(this, name, options, opener);
    sessions.add(session);
    return session;
  }

  void forget(Session session) {
    sessions.remove(session);
  }

  OrtApi api() {
    return api;
  }

  /** The allocator whose strings and arrays must be given back to it. */
  MemorySegment allocator() {
    return allocator;
  }

  /** Where the memory lies that a session of this provider reads and writes. */
  MemorySegment memory(ExecutionProvider provider) {
    return switch (provider) {
      case ExecutionProvider.Processor _ -> cpuMemory;
      case ExecutionProvider.Cuda cuda -> cudaMemories.computeIfAbsent(cuda.device(), this::cuda);
    };
  }

  private MemorySegment cuda(int device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocateFrom("Cuda");
      return created(
          "describing the memory of GPU " + device,
          out ->
              api.invoke(
                  OrtFunction.CREATE_MEMORY_INFO,
                  name,
                  DEVICE_ALLOCATOR,
                  device,
                  DEFAULT_MEMORY,
                  out));
    }
  }

  /**
   * Loads the CUDA provider and what it needs, as the first session of it would.
   *
   * @throws OnnxRuntimeException if this library has none, or one of the others is missing
   */
  public void requireCuda(ExecutionProvider.Cuda cuda) {
    MemorySegment options =
        created("preparing options", out -> api.invoke(OrtFunction.CREATE_SESSION_OPTIONS, out));
    try {
      append(options, cuda, "loading the CUDA provider");
    } finally {
      api.release(OrtFunction.RELEASE_SESSION_OPTIONS, options);
    }
  }

  /** Has a session that is opened with these options run on a GPU. */
  void append(MemorySegment sessionOptions, ExecutionProvider.Cuda cuda, String doing) {
    Map<String, String> settings =
        Map.of(
            "device_id",
            Integer.toString(cuda.device()),
            // Else each further block of memory is the next power of two.
            "arena_extend_strategy",
            "kSameAsRequested",
            // Products in float32, as everywhere else.
            "use_tf32",
            "0",
            "enable_cuda_graph",
            cuda.records() ? "1" : "0");
    MemorySegment provider =
        created(doing, out -> api.invoke(OrtFunction.CREATE_CUDA_OPTIONS, out));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment keys = arena.allocate(ADDRESS, settings.size());
      MemorySegment values = arena.allocate(ADDRESS, settings.size());
      long count = 0;
      for (Map.Entry<String, String> setting : settings.entrySet()) {
        keys.setAtIndex(ADDRESS, count, arena.allocateFrom(setting.getKey()));
        values.setAtIndex(ADDRESS, count, arena.allocateFrom(setting.getValue()));
        count++;
      }
      api.check(api.invoke(OrtFunction.UPDATE_CUDA_OPTIONS, provider, keys, values, count), doing);
      api.check(
          api.invoke(
              OrtFunction.UPDATE_CUDA_OPTION_WITH_VALUE,
              provider,
              arena.allocateFrom("user_compute_stream"),
              MemorySegment.ofAddress(cuda.queue())),
          doing);
      api.check(api.invoke(OrtFunction.APPEND_CUDA_PROVIDER, sessionOptions, provider), doing);
    } finally {
      api.release(OrtFunction.RELEASE_CUDA_OPTIONS, provider);
    }
  }

  /** Calls a function that writes one pointer to its last argument, and returns that pointer. */
  MemorySegment created(String doing, Function<MemorySegment, MemorySegment> call) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      api.check(call.apply(out), doing);
      return out.get(ADDRESS, 0);
    }
  }

  /**
   * A value over the tensor's memory; whoever asks for it releases it.
   *
   * @param memory where that lies
   */
  MemorySegment value(Tensor tensor, MemorySegment memory, String doing) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment shape = arena.allocateFrom(JAVA_LONG, tensor.shape().toArray());
      return created(
          doing,
          out ->
              api.invoke(
                  OrtFunction.CREATE_TENSOR_WITH_DATA,
                  memory,
                  tensor.data(),
                  tensor.data().byteSize(),
                  shape,
                  tensor.shape().rank(),
                  tensor.type().code(),
                  out));
    }
  }

  /** Copies a string that ONNX Runtime allocated for us, and gives it back. */
  String taken(MemorySegment string) {
    String copy = OrtApi.string(string);
    free(string);
    return copy;
  }

  void free(MemorySegment memory) {
    api.check(
        api.invoke(OrtFunction.ALLOCATOR_FREE, allocator, memory), "giving back a string or array");
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      sessions.forEach(Session::close);
      cudaMemories.values().forEach(info -> api.release(OrtFunction.RELEASE_MEMORY_INFO, info));
      api.release(OrtFunction.RELEASE_MEMORY_INFO, cpuMemory);
      api.release(OrtFunction.RELEASE_ENV, environment);
    }
  }
}
