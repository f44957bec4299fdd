package io.github.recurrentkif.kernels;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** The array sizes that kernels are tested with, each for a reason. */
public final class Sizes {

  /** Elements of a float32 array, and what could go wrong at this size only. */
  public record Size(int elements, String reason) {
    @Override
    public String toString() {
      return elements + " (" + reason + ")";
    }
  }

  private static final int PAGE = 1024;
  private static final int NORM_BLOCK = 4096;
  private static final int THREAD_BLOCK = 65536;

  private Sizes() {}

  /** Sizes of every test. */
  public static List<Size> all() {
    List<Size> sizes = new ArrayList<>();
    sizes.add(new Size(0, "nothing at all"));
    IntStream.rangeClosed(1, 17)
        .forEach(n -> sizes.add(new Size(n, "tails of every vector width up to one more than 16")));
    IntStream.of(31, 32, 33, 63, 64, 65)
        .forEach(n -> sizes.add(new Size(n, "around unrolled vectors and a row of 16 counters")));
    IntStream.of(255, 256, 257).forEach(n -> sizes.add(new Size(n, "around the lanes of a norm")));
    IntStream.of(511, 512, 513).forEach(n -> sizes.add(new Size(n, "around a run of a selection")));
    IntStream.of(PAGE - 1, PAGE, PAGE + 1).forEach(n -> sizes.add(new Size(n, "around a page")));
    IntStream.of(NORM_BLOCK - 1, NORM_BLOCK, NORM_BLOCK + 1, 3 * NORM_BLOCK + 7)
        .forEach(n -> sizes.add(new Size(n, "around and beyond a block of a norm")));
    IntStream.of(THREAD_BLOCK - 1, THREAD_BLOCK, THREAD_BLOCK + 1)
        .forEach(n -> sizes.add(new Size(n, "around what one thread takes at a time")));
    sizes.add(new Size(5 * THREAD_BLOCK + 4321, "several blocks for each of three threads"));
    return sizes;
  }

  /** More elements than torch.quantile takes: the rank no longer fits float32. */
  public static Size beyondFloatRanks() {
    return new Size((1 << 24) + 5 * THREAD_BLOCK + 3, "a rank beyond float32");
  }
}
