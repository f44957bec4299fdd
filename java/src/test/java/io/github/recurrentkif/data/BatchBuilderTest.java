package io.github.recurrentkif.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.recurrentkif.SharedFolder;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

class BatchBuilderTest {

  private static final BatchBuilder REFERENCE =
      new BatchBuilder(0, BatchBuilder.REFERENCE_LENGTH_MULTIPLE);

  private static EncodedSample sample(int sourceLength, int targetLength) {
    long[] source = new long[sourceLength];
    long[] labels = new long[targetLength];
    java.util.Arrays.setAll(source, i -> 10 + i);
    java.util.Arrays.setAll(labels, i -> 20 + i);
    return new EncodedSample(source, labels);
  }

  @Test
  void rowsArePaddedOnTheRight() {
    Batch batch = new BatchBuilder(7, 2).build(List.of(sample(3, 1), sample(1, 2)));
    assertEquals(4, batch.sourceLength());
    assertEquals(2, batch.targetLength());
    assertArrayEquals(new long[] {10, 11, 12, 7, 10, 7, 7, 7}, batch.inputIds());
    assertArrayEquals(new long[] {1, 1, 1, 0, 1, 0, 0, 0}, batch.attentionMask());
    assertArrayEquals(new long[] {20, -100, 20, 21}, batch.labels());
    assertEquals(3, batch.labelledTokens());
  }

  @Test
  void lengthsAreRoundedUpToTheMultiple() {
    for (int[] lengths : new int[][] {{1, 8}, {7, 8}, {8, 8}, {9, 16}}) {
      assertEquals(lengths[1], REFERENCE.build(List.of(sample(lengths[0], 1))).sourceLength());
      assertEquals(lengths[1], REFERENCE.build(List.of(sample(1, lengths[0]))).targetLength());
    }
    assertEquals(5, new BatchBuilder(0, 1).build(List.of(sample(5, 1))).sourceLength());
  }

  @Test
  void paddingIdInsideASampleIsStillAttendedTo() {
    Batch batch =
        new BatchBuilder(0, 4)
            .build(List.of(new EncodedSample(new long[] {0, 5, 0}, new long[] {1})));
    assertArrayEquals(new long[] {1, 1, 1, 0}, batch.attentionMask());
  }

  @Test
  void nothingToBatchIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> REFERENCE.build(List.of()));
    assertThrows(IllegalArgumentException.class, () -> sample(0, 1));
    assertThrows(IllegalArgumentException.class, () -> new BatchBuilder(0, 0));
  }

  @Test
  void everyMicroBatchOfTheReferenceRunIsReproducedBitForBit() {
    List<List<EncodedSample>> tasks = new ArrayList<>();
    int compared = 0;
    try (Tokenizer tokenizer = Tokenizer.open(SharedFolder.resolve("golden/authors-t5/model"))) {
      for (int k = 0; k < 3; k++) {
        tasks.add(encodedSamples(tokenizer, k));
        JsonNode trace = SharedFolder.json("golden/authors-t5/trace-task" + k + ".json");
        for (JsonNode event : trace.get("events")) {
          if (event.get("kind").stringValue().equals("fusion")) {
            continue;
          }
          for (JsonNode micro : event.get("micro")) {
            List<EncodedSample> rows = new ArrayList<>();
            for (JsonNode row : micro.get("rows")) {
              rows.add(
                  row.isArray()
                      ? tasks.get(row.get(0).intValue()).get(row.get(1).intValue())
                      : tasks.get(k).get(row.intValue()));
            }
            Batch batch = REFERENCE.build(rows);
            assertEquals(micro.get("src_len").intValue(), batch.sourceLength());
            assertEquals(micro.get("tgt_len").intValue(), batch.targetLength());
            assertEquals(micro.get("sha").stringValue(), hash(batch));
            compared++;
          }
        }
      }
    }
    // 66 updates of 4 micro-batches in each task, 8 fusions of 4 outer steps in the last two.
    assertEquals(3 * 66 * 4 + 2 * 8 * 4, compared);
  }

  private static List<EncodedSample> encodedSamples(Tokenizer tokenizer, int task) {
    List<EncodedSample> samples = new ArrayList<>();
    JsonNode recorded = SharedFolder.json("golden/authors-t5/samples-task" + task + ".json");
    for (JsonNode row : recorded.get("train")) {
      samples.add(
          new EncodedSample(
              tokenizer.encode(row.get("input").stringValue(), 1024),
              tokenizer.encode(row.get("output").stringValue(), 128)));
    }
    return samples;
  }

  private static String hash(Batch batch) {
    ByteBuffer bytes =
        ByteBuffer.allocate(8 * (2 * batch.inputIds().length + batch.labels().length))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (long[] values : List.of(batch.inputIds(), batch.attentionMask(), batch.labels())) {
      bytes.asLongBuffer().put(values);
      bytes.position(bytes.position() + 8 * values.length);
    }
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes.array());
      return HexFormat.of().formatHex(digest, 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java runtime has SHA-256", e);
    }
  }
}
