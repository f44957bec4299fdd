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
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/** Writes all weights of a model as the {@code model.safetensors} of a Hugging Face folder. */
public final class ModelWriter {

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
        StoredTensor exact = new StoredTensor(tensor.name(), DataType.F32, tensor.shape(), host);
        tensors.add(exact.bfloat16(arena));
      }
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }
}
