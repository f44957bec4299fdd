package io.github.recurrentkif.fusion;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.Products;
import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.PeftAdapter;
import io.github.recurrentkif.model.StoredAdapter;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A model with an adapter applied: {@code W + scale*B*A} where the adapter has a pair of factors,
 * in float32, formed as it is read; everything else as the model stores it.
 */
public final class AdaptedModel implements Weights {

  /** The factors of one weight: a is [rank, in], b is [out, rank], row-major. */
  private record Factors(MemorySegment a, MemorySegment b, int rank) {}

  private final Path adapter;
  private final StoredModel model;
  private final float scale;
  private final Products products;
  private final Map<String, Factors> factors = new HashMap<>();

  private AdaptedModel(Path adapter, StoredModel model, float scale, Products products) {
    this.adapter = adapter;
    this.model = model;
    this.scale = scale;
    this.products = products;
  }

  /**
   * @param model closed by its owner
   * @param products multiplies the factors; closed by its owner
   * @throws InputException if the adapter cannot be applied to the model
   */
  public static AdaptedModel open(Path adapter, StoredModel model, Products products) {
    LoraConfig config = StoredAdapter.loraOf(adapter);
    AdaptedModel adapted = new AdaptedModel(adapter, model, config.scale(), products);
    try (SafetensorsFile file = AdapterFile.open(adapter, config.rank())) {
      file.names().stream()
          .flatMap(name -> AdapterName.parse(name).stream())
          .filter(AdapterName::isA)
          .forEach(name -> adapted.add(file, name));
    }
    return adapted;
  }

  private void add(SafetensorsFile file, AdapterName name) {
    String weight = name.module() + ".weight";
    if (!model.contains(weight)) {
      throw new InputException(
          "%s: it adapts '%s', which %s does not hold; give the adapter's own base model"
              .formatted(adapter, weight, model.place()));
    }
    Shape a = file.shape(name.a());
    Shape b = file.shape(name.b());
    Shape w = model.shape(weight);
    if (w.rank() != 2 || b.dimension(0) != w.dimension(0) || a.dimension(1) != w.dimension(1)) {
      throw new InputException(
          "%s: factors of '%s' have shapes %s and %s, which do not multiply to %s of %s; give the adapter's own base model"
              .formatted(adapter, weight, a, b, w, model.place()));
    }
    try (Arena arena = Arena.ofConfined()) {
      factors.put(
          weight,
          new Factors(
              MemorySegment.ofArray(AdapterFile.factor(file, name.a(), arena).toArray(JAVA_FLOAT)),
              MemorySegment.ofArray(AdapterFile.factor(file, name.b(), arena).toArray(JAVA_FLOAT)),
              (int) a.dimension(0)));
    }
  }

  @Override
  public String place() {
    return adapter.toString();
  }

  @Override
  public Path file(String tensor) {
    return factors.containsKey(tensor) ? adapter.resolve(PeftAdapter.WEIGHTS) : model.file(tensor);
  }

  @Override
  public List<String> names() {
    return model.names();
  }

  @Override
  public boolean contains(String name) {
    return model.contains(name);
  }

  @Override
  public DataType dataType(String name) {
    return factors.containsKey(name) ? DataType.F32 : model.dataType(name);
  }

  @Override
  public Shape shape(String name) {
    return model.shape(name);
  }

  @Override
  public StoredWeights read(String name, long first, long count, MemorySegment buffer)
      throws IOException {
    Factors pair = factors.get(name);
    if (pair == null) {
      return model.read(name, first, count, buffer);
    }
    int columns = (int) shape(name).dimension(1);
    // The stored weights go to the end of the buffer, so that widening runs from front to back.
    long width = model.dataType(name).bits() / Byte.SIZE;
    MemorySegment run = buffer.asSlice(0, count * Float.BYTES);
    StoredWeights stored =
        model.read(name, first, count, buffer.asSlice(count * (Float.BYTES - width)));
    int rank = pair.rank();
    int firstRow = Math.toIntExact(first / columns);
    int rows = Math.toIntExact(Math.ceilDiv(first + count, columns)) - firstRow;
    float[] product = new float[Math.multiplyExact(rows, columns)];
    products.multiply(
        MemorySegment.ofArray(product),
        pair.b().asSlice((long) firstRow * rank * Float.BYTES, (long) rows * rank * Float.BYTES),
        pair.a(),
        rows,
        rank,
        columns);
    int at = (int) (first % columns);
    for (long i = 0; i < count; i++) {
      run.setAtIndex(JAVA_FLOAT, i, stored.widened(i) + scale * product[at++]);
    }
    return new StoredWeights(DataType.F32, run);
  }

  /** The model under it belongs to whoever opened it. */
  @Override
  public void close() {}
}
