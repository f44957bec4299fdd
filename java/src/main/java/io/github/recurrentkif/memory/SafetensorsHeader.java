package io.github.recurrentkif.memory;

import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonWriteFeature;

/**
 * What stands before the tensors of a safetensors file: its length in {@value #LENGTH_BYTES} bytes,
 * little-endian, then JSON that says where every tensor lies behind it.
 *
 * @param tensors in the order of their bytes
 */
record SafetensorsHeader(SequencedMap<String, String> metadata, List<Entry> tensors) {

  static final int LENGTH_BYTES = Long.BYTES;

  /** Bytes; the limit of the format's reference implementation. */
  static final int LARGEST = 100_000_000;

  static final String METADATA = "__metadata__";
  private static final String DATA_TYPE = "dtype";
  private static final String SHAPE = "shape";
  private static final String OFFSETS = "data_offsets";

  /** The tensors begin on a multiple of this many bytes. */
  private static final int ALIGNMENT = 8;

  /** Strings as Rust orders them: by their UTF-8 bytes, which is by their code points. */
  static final Comparator<String> BY_CODE_POINTS =
      Comparator.comparing(name -> name.codePoints().toArray(), Arrays::compare);

  /** Escapes as the format's reference implementation does. */
  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .disable(JsonWriteFeature.ESCAPE_FORWARD_SLASHES)
          .disable(JsonWriteFeature.WRITE_HEX_UPPER_CASE)
          .build();

  /**
   * One tensor.
   *
   * @param begin its first byte, counted from the end of the header
   * @param end one past its last byte
   */
  record Entry(String name, DataType dataType, Shape shape, long begin, long end) {}

  /**
   * The header of tensors that are still to be written, in the order and at the places that the
   * format's reference implementation gives them: wide data types first, then by name.
   */
  static SafetensorsHeader layOut(
      Collection<SafetensorsOutput.Tensor> tensors, SequencedMap<String, String> metadata) {
    List<SafetensorsOutput.Tensor> sorted = new ArrayList<>(tensors);
    sorted.sort(
        Comparator.comparing(SafetensorsOutput.Tensor::dataType, Comparator.reverseOrder())
            .thenComparing(SafetensorsOutput.Tensor::name, BY_CODE_POINTS));
    List<Entry> entries = new ArrayList<>(sorted.size());
    Set<String> names = new HashSet<>();
    long offset = 0;
    for (SafetensorsOutput.Tensor tensor : sorted) {
      if (tensor.name().equals(METADATA)) {
        throw new IllegalArgumentException("no tensor can be called '" + tensor.name() + "'");
      }
      if (!names.add(tensor.name())) {
        throw new IllegalArgumentException("two tensors are called '" + tensor.name() + "'");
      }
      long end = Math.addExact(offset, tensor.dataType().bytes(tensor.shape()));
      entries.add(new Entry(tensor.name(), tensor.dataType(), tensor.shape(), offset, end));
      offset = end;
    }
    return new SafetensorsHeader(metadata, entries);
  }

  /**
   * Reads and checks the JSON of a header.
   *
   * @param dataBytes how many bytes lie behind the header; the tensors have to cover each of them
   *     exactly once
   */
  static SafetensorsHeader parse(Path file, byte[] json, long dataBytes)
      throws MalformedSafetensorsException {
    if (json.length == 0 || json[0] != '{') {
      throw new MalformedSafetensorsException(
          file,
          "its header has to begin with '{', found "
              + (json.length == 0 ? "no header" : "byte 0x%02x".formatted(json[0])));
    }
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    List<Entry> tensors = new ArrayList<>();
    try (StrictJson reader = new StrictJson(file, json)) {
      reader.readDocument(
          name -> {
            if (name.equals(METADATA)) {
              metadata.putAll(reader.readStringMap(METADATA));
            } else {
              tensors.add(Description.read(reader, name).check(reader));
            }
          });
    }
    tensors.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    checkCoverage(file, tensors, dataBytes);
    return new SafetensorsHeader(
        Collections.unmodifiableSequencedMap(metadata), List.copyOf(tensors));
  }

  /** One tensor as the JSON describes it, before anything of it is believed. */
  private static final class Description {

    private final String tensor;
    private final String name;
    private @Nullable String dataType;
    private long @Nullable [] shape;
    private long @Nullable [] offsets;

    private Description(String name) {
      this.name = name;
      this.tensor = "tensor '" + name + "'";
    }

    static Description read(StrictJson reader, String name) throws MalformedSafetensorsException {
      Description result = new Description(name);
      String tensor = result.tensor;
      reader.readObject(
          "the description of " + tensor,
          field -> {
            switch (field) {
              case DATA_TYPE -> result.dataType = reader.readString("the dtype of " + tensor);
              case SHAPE -> result.shape = reader.readNaturals("the shape of " + tensor);
              case OFFSETS -> result.offsets = reader.readNaturals("the data_offsets of " + tensor);
              default -> reader.skip(); // as the reference implementation does
            }
          });
      return result;
    }

    Entry check(StrictJson reader) throws MalformedSafetensorsException {
      if (dataType == null || shape == null || offsets == null) {
        String missing = dataType == null ? DATA_TYPE : shape == null ? SHAPE : OFFSETS;
        throw reader.malformed(tensor + " has no " + missing);
      }
      if (offsets.length != 2) {
        throw reader.malformed(
            "the data_offsets of %s have to be [begin, end], found %d numbers"
                .formatted(tensor, offsets.length));
      }
      long begin = offsets[0];
      long end = offsets[1];
      if (begin > end) {
        throw reader.malformed(
            "the data_offsets of %s begin at %d, behind their end %d"
                .formatted(tensor, begin, end));
      }
      DataType type = known(reader, dataType);
      Shape extents;
      long expected;
      try {
        extents = Shape.of(shape);
        expected = type.bytes(extents);
      } catch (IllegalArgumentException e) {
        throw reader.malformed(tensor + ": " + e.getMessage());
      }
      if (end - begin != expected) {
        throw reader.malformed(
            "%s of %s %s takes %d bytes, its data_offsets [%d, %d] hold %d"
                .formatted(tensor, type, extents, expected, begin, end, end - begin));
      }
      return new Entry(name, type, extents, begin, end);
    }

    private DataType known(StrictJson reader, String dataType)
        throws MalformedSafetensorsException {
      for (DataType candidate : DataType.values()) {
        if (candidate.name().equals(dataType)) {
          return candidate;
        }
      }
      throw reader.malformed(
          "%s has the unknown dtype '%s', expected one of %s"
              .formatted(tensor, dataType, Arrays.toString(DataType.values())));
    }
  }

  private static void checkCoverage(Path file, List<Entry> tensors, long dataBytes)
      throws MalformedSafetensorsException {
    long covered = 0;
    String before = "the header";
    for (Entry tensor : tensors) {
      String where =
          "tensor '%s' at [%d, %d]".formatted(tensor.name(), tensor.begin(), tensor.end());
      if (tensor.end() > dataBytes) {
        throw new MalformedSafetensorsException(
            file,
            where
                + (" reaches beyond the " + dataBytes + " bytes that follow the header;")
                + " the file may be cut short: fetch it again");
      }
      if (tensor.begin() < covered) {
        throw new MalformedSafetensorsException(
            file, where + " overlaps " + before + ", which ends at " + covered);
      }
      if (tensor.begin() > covered) {
        throw new MalformedSafetensorsException(
            file,
            "a hole at [%d, %d] between %s and %s"
                .formatted(covered, tensor.begin(), before, where));
      }
      covered = tensor.end();
      before = "tensor '" + tensor.name() + "'";
    }
    if (covered != dataBytes) {
      throw new MalformedSafetensorsException(
          file, "a hole at [%d, %d] behind %s".formatted(covered, dataBytes, before));
    }
  }

  /**
   * The bytes of length and JSON together, padded with spaces.
   *
   * @throws IllegalArgumentException if a string is not well-formed UTF-16 or the JSON is longer
   *     than the format allows
   */
  ByteBuffer encode() {
    StringWriter json = new StringWriter();
    try (JsonGenerator generator = FACTORY.createGenerator(ObjectWriteContext.empty(), json)) {
      generator.writeStartObject();
      if (!metadata.isEmpty()) {
        generator.writeObjectPropertyStart(METADATA);
        for (Map.Entry<String, String> entry : metadata.entrySet()) {
          generator.writeStringProperty(entry.getKey(), entry.getValue());
        }
        generator.writeEndObject();
      }
      for (Entry tensor : tensors) {
        generator.writeObjectPropertyStart(tensor.name());
        generator.writeStringProperty(DATA_TYPE, tensor.dataType().name());
        generator.writeName(SHAPE);
        long[] shape = tensor.shape().toArray();
        generator.writeArray(shape, 0, shape.length);
        generator.writeName(OFFSETS);
        generator.writeArray(new long[] {tensor.begin(), tensor.end()}, 0, 2);
        generator.writeEndObject();
      }
      generator.writeEndObject();
    }
    ByteBuffer text;
    try {
      text = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(json.getBuffer()));
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException("a name or metadata holds half a surrogate pair", e);
    }
    int length = Math.ceilDiv(text.remaining(), ALIGNMENT) * ALIGNMENT;
    if (length > LARGEST) {
      throw new IllegalArgumentException(
          "the header takes %d bytes, the format allows %d".formatted(length, LARGEST));
    }
    ByteBuffer header =
        ByteBuffer.allocate(LENGTH_BYTES + length).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    header.put(text);
    while (header.hasRemaining()) {
      header.put((byte) ' ');
    }
    return header.flip();
  }
}
