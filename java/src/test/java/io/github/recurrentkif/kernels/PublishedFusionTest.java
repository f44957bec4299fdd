package io.github.recurrentkif.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.recurrentkif.kernels.cpu.CpuKernels;
import io.github.recurrentkif.kernels.reference.ReferenceKernels;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.memory.ParameterVector;
import io.github.recurrentkif.memory.Shape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The fusions of a run of the method's published code, on PyTorch 1.13.1: thresholds, masks and
 * merged weights bit for bit. The recording lies beside the repository, in {@code ../shared}.
 */
class PublishedFusionTest {

  private static final String RUN = "shared/golden/authors-t5";

  static Stream<Kernels> backends() {
    return Stream.of(new ReferenceKernels(), CpuKernels.open(2).kernels());
  }

  @ParameterizedTest
  @MethodSource("backends")
  void everyFusionOfThePublishedCodeIsRepeatedBitForBit(Kernels kernels) throws IOException {
    Path run = find(Path.of("").toAbsolutePath());
    JsonNode trace =
        JsonMapper.shared().readTree(Files.readString(run.resolve("trace-task2.json")));
    Tensors recorded = new Tensors(run.resolve("fusions-task2.safetensors"));
    int fusions = 0;
    MemorySegment base = recorded.get("f00.base");
    LinkedHashMap<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put("all", Shape.of(base.byteSize() / Float.BYTES));
    ParameterLayout layout = ParameterLayout.of(shapes);
    for (JsonNode event : trace.get("events")) {
      if (!event.path("kind").asString("").equals("fusion")) {
        continue;
      }
      String prefix = "f%02d.".formatted(fusions);
      try (Workspace space = new Workspace(layout)) {
        space.base.upload("all", base);
        space.snapshot.upload("all", recorded.get(prefix + "inner_end"));
        space.weights.upload("all", recorded.get(prefix + "outer_end"));
        space.inner.importance().sensitivity().upload("all", recorded.get(prefix + "I_in"));
        space.inner.importance().uncertainty().upload("all", recorded.get(prefix + "U_in"));
        space.outer.importance().sensitivity().upload("all", recorded.get(prefix + "I_out"));
        space.outer.importance().uncertainty().upload("all", recorded.get(prefix + "U_out"));
        MergeRule rule = MergeRule.reference();
        double quantile = trace.get("quantile").asDouble();
        kernels.measure(space.inner, rule, quantile);
        kernels.measure(space.outer, rule, quantile);
        assertEquals(
            (float) event.get("thr_in").asDouble(), space.inner.threshold().value(), prefix);
        assertEquals(
            (float) event.get("thr_out").asDouble(), space.outer.threshold().value(), prefix);
        MaskCounts counts = kernels.maskCounts(space.inner, space.outer, rule.score());
        assertEquals(event.get("n_both").asLong(), counts.shared(), prefix);
        assertEquals(event.get("n_in").asLong(), counts.shared() + counts.newOnly(), prefix);
        assertEquals(event.get("n_out").asLong(), counts.shared() + counts.oldOnly(), prefix);
        kernels.merge(space.weights, space.base, space.snapshot, space.inner, space.outer, rule);
        base = recorded.get(prefix + "fused");
        same(base, space.weights, prefix + "weights");
        same(base, space.base, prefix + "base");
      }
      fusions++;
    }
    assertEquals(trace.get("fusions").asInt(), fusions);
  }

  private static void same(MemorySegment expected, ParameterVector actual, String where) {
    Workspace.assertSameBits(expected, actual.slice("all"), where);
  }

  private static Path find(Path from) {
    Optional<Path> found =
        Stream.<Path>iterate(from, p -> p.getParent() != null, Path::getParent)
            .map(p -> p.resolve(RUN))
            .filter(Files::isDirectory)
            .findFirst();
    Assumptions.assumeTrue(
        found.isPresent(), "SKIPPED: no recording of the published code at ../" + RUN);
    return found.orElseThrow();
  }

  /** The float32 tensors of a safetensors file. */
  private static final class Tensors {

    private final ByteBuffer content;
    private final JsonNode header;
    private final int data;

    Tensors(Path file) {
      try {
        content = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      int length = Math.toIntExact(content.getLong(0));
      header =
          JsonMapper.shared()
              .readTree(new String(content.array(), 8, length, StandardCharsets.UTF_8));
      data = 8 + length;
    }

    MemorySegment get(String name) {
      JsonNode offsets = header.get(name).get("data_offsets");
      int begin = offsets.get(0).asInt();
      int end = offsets.get(1).asInt();
      float[] values = new float[(end - begin) / Float.BYTES];
      content
          .slice(data + begin, end - begin)
          .order(ByteOrder.LITTLE_ENDIAN)
          .asFloatBuffer()
          .get(values);
      return MemorySegment.ofArray(values);
    }
  }
}
