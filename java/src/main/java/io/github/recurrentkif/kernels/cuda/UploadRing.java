package io.github.recurrentkif.kernels.cuda;

import java.lang.foreign.MemorySegment;

/**
 * Memory of the host that a GPU can read while the program goes on, in two halves taken in turn:
 * what is to be uploaded is written there first, so that nobody waits for the copy. Whoever comes
 * back to a half waits for the copies out of it, which are long done in practice.
 */
final class UploadRing {

  /** What the ring asks of a driver. */
  interface Marks {

    /** Notes how far the queue has come, for this half. */
    void mark(int half);

    /** Waits until the queue has passed the last mark of this half. */
    void await(int half);
  }

  private final MemorySegment memory;
  private final long capacity;
  private final Marks marks;
  private int half;
  private long end;

  /** In the first round nothing has been copied out of the other half. */
  private boolean secondUsed;

  /**
   * @param memory of an even number of bytes, both halves aligned to 64
   */
  UploadRing(MemorySegment memory, Marks marks) {
    this.memory = memory;
    this.capacity = memory.byteSize() / 2;
    this.marks = marks;
  }

  /** The most bytes of one upload. */
  long capacity() {
    return capacity;
  }

  /** Writes values to a place of the ring, which is the caller's to copy from at once. */
  MemorySegment stage(MemorySegment values) {
    long bytes = values.byteSize();
    if (end + bytes > capacity) {
      turn();
    }
    MemorySegment place = memory.asSlice(half * capacity + end, bytes);
    end = Math.min(capacity, (end + bytes + 63) / 64 * 64);
    return place.copyFrom(values);
  }

  private void turn() {
    marks.mark(half);
    half = 1 - half;
    end = 0;
    if (half == 0 || secondUsed) {
      marks.await(half);
    }
    secondUsed = true;
  }
}
