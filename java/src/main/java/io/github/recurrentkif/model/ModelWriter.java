package io.github.recurrentkif.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.recurrentkif.memory.DataType;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.SafetensorsWriter;
import io.github.recurrentkif.memory.StoredTensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/** Writes all weights of a model as the {@code model.safetensors} of a Hugging Face folder. */
public final class ModelWriter {

  private static final ValueLayout.OfShort STORED =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private ModelWriter() {}

  /**
   * Writes the weights in bfloat16, each rounded to the nearest, ties to even. The file appears
   * when it is whole.
   */
  public static void writeBfloat16(Path file, ParameterVector weights) throws IOException {
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put("format", "pt");
    try (Arena arena = Arena.ofConfined()) {
      List<StoredTensor> tensors = new ArrayList<>();
      for (ParameterLayout.Tensor tensor : weights.layout().tensors()) {
        MemorySegment host = arena.allocate(tensor.elements() * JAVA_FLOAT.byteSize(), 64);
        weights.device().download(weights.slice(tensor), host);
        MemorySegment stored = arena.allocate(tensor.elements() * Short.BYTES, 64);
        for (long i = 0; i < tensor.elements(); i++) {
          stored.set(STORED, i * Short.BYTES, bfloat16(host.getAtIndex(JAVA_FLOAT, i)));
        }
        tensors.add(new StoredTensor(tensor.name(), DataType.BF16, tensor.shape(), stored));
      }
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }

  /** The upper half of a float, after rounding the lower half away. */
  static short bfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      // Rounding could carry a NaN into infinity.
      return (short) ((bits >>> Short.SIZE) | 0x40);
    }
    int roundUp = 0x7FFF + ((bits >>> Short.SIZE) & 1);
    return (short) ((bits + roundUp) >>> Short.SIZE);
  }
}
