package io.github.recurrentkif.fusion;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.kernels.StoredWeights;
import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.SafetensorsFile;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.LoraConfig;
import io.github.recurrentkif.model.PeftAdapter;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A model with an adapter applied: {@code W + scale*B*A} where the adapter has a pair of factors,
 * in float32, formed as it is read; everything else as the model stores it.
 */
public final class AdaptedModel implements Weights {

  /** The factors of one weight: a is [rank, in], b is [out, rank], row-major. */
  private record Factors(float[] a, float[] b, int rank) {}

  private final Path adapter;
  private final StoredModel model;
  private final float scale;
  private final Map<String, Factors> factors = new HashMap<>();

  private AdaptedModel(Path adapter, StoredModel model, float scale) {
    this.adapter = adapter;
    this.model = model;
    this.scale = scale;
  }

  /**
   * @param model closed by its owner
   * @throws InputException if the adapter cannot be applied to the model
   */
  public static AdaptedModel open(Path adapter, StoredModel model) {
    LoraConfig config = PeftAdapter.open(adapter).config();
    AdaptedModel adapted = new AdaptedModel(adapter, model, config.scale());
    try (SafetensorsFile file = SafetensorsFile.open(adapter.resolve(PeftAdapter.WEIGHTS))) {
      for (String name : file.names()) {
        AdapterName.parse(name)
            .ifPresentOrElse(
                parsed -> {
                  if (parsed.isA()) {
                    adapted.add(file, parsed);
                  }
                },
                () -> {
                  throw new InputException(
                      "%s: tensor '%s' is no factor of a LoRA pair (…lora_A.weight or …lora_B.weight)"
                          .formatted(adapter.resolve(PeftAdapter.WEIGHTS), name));
                });
      }
    } catch (IOException e) {
      throw new InputException(
          adapter.resolve(PeftAdapter.WEIGHTS) + ": cannot be read: " + e.getMessage(), e);
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
    if (!file.contains(name.b())) {
      throw new InputException(
          "%s: tensor '%s' is missing beside '%s'".formatted(file.path(), name.b(), name.a()));
    }
    Shape a = file.shape(name.a());
    Shape b = file.shape(name.b());
    Shape w = model.shape(weight);
    if (a.rank() != 2
        || b.rank() != 2
        || w.rank() != 2
        || a.dimension(0) != b.dimension(1)
        || b.dimension(0) != w.dimension(0)
        || a.dimension(1) != w.dimension(1)) {
      throw new InputException(
          "%s: factors of '%s' have shapes %s and %s, which do not multiply to %s of %s"
              .formatted(adapter, weight, a, b, w, model.place()));
    }
    try (Arena arena = Arena.ofConfined()) {
      factors.put(
          weight,
          new Factors(
              file.float32(name.a(), arena).toArray(JAVA_FLOAT),
              file.float32(name.b(), arena).toArray(JAVA_FLOAT),
              (int) a.dimension(0)));
    }
  }

  @Override
  public String place() {
    return adapter.toString();
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
    float[] product = new float[columns];
    long done = 0;
    while (done < count) {
      long row = (first + done) / columns;
      int from = (int) ((first + done) % columns);
      int to = (int) Math.min(columns, from + count - done);
      multiplyRow(pair, row, columns, product);
      for (int j = from; j < to; j++) {
        float weight = stored.widened(done + j - from);
        run.setAtIndex(JAVA_FLOAT, done + j - from, weight + scale * product[j]);
      }
      done += to - from;
    }
    return new StoredWeights(DataType.F32, run);
  }

  /** {@code product = B[row,:] * A}, summed in the order of the rank. */
  private static void multiplyRow(Factors pair, long row, int columns, float[] product) {
    Arrays.fill(product, 0);
    for (int k = 0; k < pair.rank(); k++) {
      float b = pair.b()[(int) (row * pair.rank() + k)];
      int start = k * columns;
      for (int j = 0; j < columns; j++) {
        product[j] += b * pair.a()[start + j];
      }
    }
  }

  /** The model under it belongs to whoever opened it. */
  @Override
  public void close() {}
}
