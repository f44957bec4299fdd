package io.github.recurrentkif.runtime;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.invoke.MethodHandle;

/**
 * What the C library has given out in this process: unlike the resident set, it does not move with
 * the Java heap, so that small leaks show.
 */
final class NativeMemory {

  /** {@code struct mallinfo2} of glibc 2.33 and later: ten sizes. */
  private static final MemoryLayout COUNTERS = MemoryLayout.sequenceLayout(10, JAVA_LONG);

  private static final int BYTES_IN_MAPPED_BLOCKS = 5;
  private static final int BYTES_IN_USE = 7;

  private final MethodHandle counters;

  private NativeMemory(MethodHandle counters) {
    this.counters = counters;
  }

  static NativeMemory ofThisProcess() {
    Linker linker = Linker.nativeLinker();
    var function = linker.defaultLookup().find("mallinfo2");
    assumeTrue(function.isPresent(), "SKIPPED: this system's C library has no mallinfo2");
    return new NativeMemory(
        linker.downcallHandle(
            function.orElseThrow(), FunctionDescriptor.of(MemoryLayout.structLayout(COUNTERS))));
  }

  /** Bytes. */
  long allocated() {
    System.gc();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment now = (MemorySegment) counters.invokeExact((SegmentAllocator) arena);
      return now.getAtIndex(JAVA_LONG, BYTES_IN_USE)
          + now.getAtIndex(JAVA_LONG, BYTES_IN_MAPPED_BLOCKS);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }
}
