package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.recurrentkif.memory.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.concurrent.locks.Lock;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The memory that a model reads from and writes to, kept from run to run: bind once, run often.
 *
 * <p>Names, element types and shapes are checked here, before ONNX Runtime sees them. Outputs that
 * are not bound are not asked for. One binding serves one thread at a time.
 */
public final class Binding implements AutoCloseable {

  /** One input or output of the model, and what is bound to it. */
  private static final class Place {
    final String name;
    final String description;
    final TensorType type;
    final MemorySegment nativeName;
    @Nullable Tensor tensor;

    Place(String kind, String model, String name, TensorType type, Arena arena) {
      this.name = name;
      this.description = kind + " '" + name + "' of " + model;
      this.type = type;
      this.nativeName = arena.allocateFrom(name);
    }
  }

  private final Session session;
  private final OnnxRuntime runtime;
  private final OrtApi api;
  private final MemorySegment handle;
  private final Lock lock;

  /** Of the names; the collector frees it. */
  private final Arena arena = Arena.ofAuto();

  private final Map<String, Place> inputs = new LinkedHashMap<>();
  private final Map<String, Place> outputs = new LinkedHashMap<>();

  /** In the order of their first binding, which is the order ONNX Runtime lists the values in. */
  private final List<Place> boundOutputs = new ArrayList<>();

  private final String running;
  private MemorySegment runOptions = MemorySegment.NULL;
  private boolean closed;
  private boolean checked;

  /** Since the run options were made, which name the recording that a run repeats. */
  private boolean rebound = true;

  private boolean ran;

  Binding(Session session) {
    this.session = session;
    this.runtime = session.runtime();
    this.api = runtime.api();
    this.lock = session.lock().readLock();
    this.running = "running " + session.model();
    session
        .inputs()
        .forEach((n, t) -> inputs.put(n, new Place("input", session.model(), n, t, arena)));
    session
        .outputs()
        .forEach((n, t) -> outputs.put(n, new Place("output", session.model(), n, t, arena)));
    this.handle =
        runtime.created(
            "making a binding for " + session.model(),
            out -> api.invoke(OrtFunction.CREATE_BINDING, session.handle(), out));
  }

  /**
   * Reads an input from this memory from the next run on. The same memory and shape again costs
   * nothing.
   *
   * @throws OnnxRuntimeException if the model has no such input or declares another type
   */
  public void bindInput(String name, Tensor tensor) {
    Place place = place(inputs, "input", name);
    bind(place, tensor, OrtFunction.BIND_INPUT);
  }

  /**
   * Writes an output to this memory from the next run on. The same memory and shape again costs
   * nothing.
   *
   * @throws OnnxRuntimeException if the model has no such output, declares another type, or the
   *     memory is read-only
   */
  public void bindOutput(String name, Tensor tensor) {
    Place place = place(outputs, "output", name);
    if (tensor.data().isReadOnly()) {
      throw new OnnxRuntimeException(
          "cannot bind " + place.description + ": the memory is read-only");
    }
    bind(place, tensor, OrtFunction.BIND_OUTPUT);
    addOutput(place);
  }

  /**
   * Leaves the memory of an output to ONNX Runtime, on the session's device: for outputs whose
   * shape is not known before the run. {@link #outputs} has the values afterwards.
   *
   * @throws OnnxRuntimeException if the model has no such output
   */
  public void bindOutputToDevice(String name) {
    Place place = place(outputs, "output", name);
    lock.lock();
    try {
      requireOpen();
      bindToDevice(place);
    } finally {
      lock.unlock();
    }
    place.tensor = null;
    checked = false;
    rebound = true;
    addOutput(place);
  }

  private void bindToDevice(Place place) {
    api.check(
        api.invoke(OrtFunction.BIND_OUTPUT_TO_DEVICE, handle, place.nativeName, session.memory()),
        "binding " + place.description);
  }

  private void addOutput(Place place) {
    if (!boundOutputs.contains(place)) {
      boundOutputs.add(place);
    }
  }

  private Place place(Map<String, Place> places, String kind, String name) {
    Place place = places.get(name);
    if (place == null) {
      throw new OnnxRuntimeException(
          session.model() + " has no " + kind + " '" + name + "'; it has " + places.keySet());
    }
    return place;
  }

  private void bind(Place place, Tensor tensor, OrtFunction function) {
    Tensor before = place.tensor;
    if (before != null && before.sameView(tensor)) {
      place.tensor = tensor;
      return;
    }
    if (tensor.type() != place.type.elementType() || !place.type.admits(tensor.shape())) {
      throw new OnnxRuntimeException(
          "cannot bind %s to %s: the model declares %s%s"
              .formatted(
                  place.description,
                  tensor,
                  place.type,
                  place.type.dimensions().isEmpty()
                      ? ", a scalar (or no shape at all: declare one)"
                      : ""));
    }
    lock.lock();
    try {
      requireOpen();
      // The binding keeps its own reference to the value, so ours can go at once.
      MemorySegment value = runtime.value(tensor, session.memory(), place.description);
      try {
        api.check(api.invoke(function, handle, place.nativeName, value), place.description);
      } finally {
        api.release(OrtFunction.RELEASE_VALUE, value);
      }
    } finally {
      lock.unlock();
    }
    place.tensor = tensor;
    checked = false;
    rebound = true;
  }

  /**
   * Runs the model once; returns when all bound outputs are written, or on a GPU, when that is
   * queued.
   *
   * @throws OnnxRuntimeException if an input is not bound, two tensors disagree about a dimension
   *     of the same name, or ONNX Runtime fails
   * @throws IllegalStateException if this or the memory of a tensor has been closed
   */
  public void run() {
    lock.lock();
    try {
      requireOpen();
      if (!checked) {
        checkComplete();
        checkSymbols();
        checked = true;
      }
      requireAlive(inputs);
      requireAlive(outputs);
      if (ran) {
        // ONNX Runtime would reuse the memory of the last run, and fail where the shape has
        // changed.
        for (Place place : boundOutputs) {
          if (place.tensor == null) {
            bindToDevice(place);
          }
        }
      }
      ran = true;
      switch (session.provider()) {
        case ExecutionProvider.Processor _ -> {}
        case ExecutionProvider.Cuda cuda -> prepare(cuda);
      }
      api.check(
          api.invoke(OrtFunction.RUN_WITH_BINDING, session.handle(), runOptions, handle), running);
    } finally {
      lock.unlock();
    }
  }

  /** A recording repeats the addresses and shapes it was made with: after a change, a new one. */
  private void prepare(ExecutionProvider.Cuda cuda) {
    if (!OrtApi.isNull(runOptions) && !(cuda.records() && rebound)) {
      return;
    }
    api.release(OrtFunction.RELEASE_RUN_OPTIONS, runOptions);
    runOptions = runtime.created(running, out -> api.invoke(OrtFunction.CREATE_RUN_OPTIONS, out));
    // What is queued is in order; to wait is for whoever downloads.
    runEntry("disable_synchronize_execution_providers", "1");
    if (cuda.records()) {
      runEntry("gpu_graph_id", Integer.toString(session.nextRecording()));
    }
    rebound = false;
  }

  private void runEntry(String key, String value) {
    try (Arena local = Arena.ofConfined()) {
      api.check(
          api.invoke(
              OrtFunction.ADD_RUN_CONFIG_ENTRY,
              runOptions,
              local.allocateFrom(key),
              local.allocateFrom(value)),
          running);
    }
  }

  private void checkComplete() {
    List<String> missing =
        inputs.values().stream()
            .filter(place -> place.tensor == null)
            .map(place -> "'" + place.name + "' " + place.type)
            .toList();
    if (!missing.isEmpty()) {
      throw new OnnxRuntimeException(
          running + ": nothing is bound to input " + String.join(", ", missing));
    }
    if (boundOutputs.isEmpty()) {
      throw new OnnxRuntimeException(running + ": no output is bound; it has " + outputs.keySet());
    }
  }

  private record Extent(long value, Place place) {}

  private void checkSymbols() {
    Map<String, Extent> extents = new HashMap<>();
    for (Place place : inputs.values()) {
      checkSymbols(place, extents);
    }
    for (Place place : boundOutputs) {
      checkSymbols(place, extents);
    }
  }

  private void checkSymbols(Place place, Map<String, Extent> extents) {
    Tensor tensor = place.tensor;
    if (tensor == null) {
      return;
    }
    for (int axis = 0; axis < tensor.shape().rank(); axis++) {
      String symbol = place.type.symbols().get(axis);
      if (symbol.isEmpty()) {
        continue;
      }
      long value = tensor.shape().dimension(axis);
      Extent known = extents.putIfAbsent(symbol, new Extent(value, place));
      if (known != null && known.value() != value) {
        throw new OnnxRuntimeException(
            "%s: dimension '%s' is %d in %s but %d in %s (%s)"
                .formatted(
                    running,
                    symbol,
                    known.value(),
                    known.place().description,
                    value,
                    place.description,
                    tensor));
      }
    }
  }

  private static void requireAlive(Map<String, Place> places) {
    for (Place place : places.values()) {
      Tensor tensor = place.tensor;
      if (tensor != null && !tensor.data().scope().isAlive()) {
        throw new IllegalStateException(
            "the memory bound to " + place.description + " has been closed");
      }
    }
  }

  /**
   * The outputs of the last run that were left to ONNX Runtime, by name. Their memory stays theirs
   * until the arena closes, whatever is run meanwhile; close it before the session.
   *
   * @throws IllegalStateException if nothing has been run yet
   */
  public SequencedMap<String, Tensor> outputs(Arena arena) {
    return values(place -> true, arena);
  }

  /**
   * One of {@link #outputs}.
   *
   * @throws IllegalStateException if nothing has been run yet, or the output was not left to ONNX
   *     Runtime
   */
  public Tensor output(String name, Arena arena) {
    Place wanted = place(outputs, "output", name);
    Tensor value = values(place -> place == wanted, arena).get(name);
    if (value == null) {
      throw new IllegalStateException(
          "%s is not left to ONNX Runtime: bindOutputToDevice(\"%s\") does"
              .formatted(wanted.description, name));
    }
    return value;
  }

  private SequencedMap<String, Tensor> values(Predicate<Place> wanted, Arena arena) {
    lock.lock();
    try {
      requireOpen();
      if (!ran) {
        throw new IllegalStateException(session.model() + " has not been run with this binding");
      }
      return boundValues(wanted, arena);
    } finally {
      lock.unlock();
    }
  }

  private SequencedMap<String, Tensor> boundValues(Predicate<Place> wanted, Arena arena) {
    String doing = "asking for the outputs of " + session.model();
    SequencedMap<String, Tensor> result = new LinkedHashMap<>();
    try (Arena local = Arena.ofConfined()) {
      MemorySegment array = local.allocate(ADDRESS);
      MemorySegment count = local.allocate(JAVA_LONG);
      api.check(
          api.invoke(
              OrtFunction.GET_BOUND_OUTPUT_VALUES, handle, runtime.allocator(), array, count),
          doing);
      long n = count.get(JAVA_LONG, 0);
      MemorySegment values = array.get(ADDRESS, 0).reinterpret(n * ADDRESS.byteSize());
      for (int i = 0; i < n; i++) {
        MemorySegment value = values.getAtIndex(ADDRESS, i);
        Place place = boundOutputs.get(i);
        if (place.tensor == null && wanted.test(place)) {
          result.put(place.name, tensor(place, value, arena));
        } else {
          api.release(OrtFunction.RELEASE_VALUE, value);
        }
      }
      if (n > 0) {
        runtime.free(values);
      }
    }
    return Collections.unmodifiableSequencedMap(result);
  }

  private Tensor tensor(Place place, MemorySegment value, Arena arena) {
    MemorySegment info =
        runtime.created(
            place.description,
            out -> api.invoke(OrtFunction.GET_TENSOR_TYPE_AND_SHAPE, value, out));
    TensorType type;
    try {
      type = session.tensorType(info, place.description);
    } finally {
      api.release(OrtFunction.RELEASE_TENSOR_TYPE_AND_SHAPE, info);
    }
    Shape shape = new Shape(type.dimensions());
    MemorySegment data =
        runtime
            .created(place.description, out -> api.invoke(OrtFunction.GET_TENSOR_DATA, value, out))
            .reinterpret(
                shape.elements() * type.elementType().bytes(),
                arena,
                memory -> api.release(OrtFunction.RELEASE_VALUE, value));
    return new Tensor(type.elementType(), shape, data);
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("this binding of " + session.model() + " is closed");
    }
  }

  @Override
  public void close() {
    lock.lock();
    try {
      if (!closed) {
        closed = true;
        api.release(OrtFunction.RELEASE_RUN_OPTIONS, runOptions);
        api.release(OrtFunction.RELEASE_BINDING, handle);
        session.forget(this);
      }
    } finally {
      lock.unlock();
    }
  }
}
