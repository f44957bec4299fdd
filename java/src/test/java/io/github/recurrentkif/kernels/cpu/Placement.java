package io.github.recurrentkif.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** Where in memory a test puts an array. */
@FunctionalInterface
interface Placement {

  /** Memory that lives as long as the arena. */
  MemorySegment place(long bytes, Arena arena);

  /** So many elements behind a multiple of 64 bytes. */
  static Placement offset(int elements) {
    long before = (long) elements * Float.BYTES;
    return (bytes, arena) -> arena.allocate(before + bytes + 64, 64).asSlice(before, bytes);
  }

  /**
   * Directly before a page that may not be touched: reading or writing too far ends the process.
   */
  static Placement beforeGuardPage() {
    return (bytes, arena) -> {
      MemorySegment pages = GuardPages.between(bytes, arena);
      return pages.asSlice(pages.byteSize() - bytes);
    };
  }

  /** Directly behind a page that may not be touched. */
  static Placement behindGuardPage() {
    return (bytes, arena) -> GuardPages.between(bytes, arena).asSlice(0, bytes);
  }

  /** Whole pages with a forbidden one before and behind them. */
  final class GuardPages {

    private static final long PAGE = 16384; // a multiple of every page size in use
    private static final boolean MAC = System.getProperty("os.name").startsWith("Mac");
    private static final int PROTECT_NONE = 0;
    private static final int PROTECT_READ_WRITE = 3;
    private static final int PRIVATE_ANONYMOUS = MAC ? 0x1002 : 0x22;

    private static final MethodHandle MMAP =
        function(
            "mmap",
            FunctionDescriptor.of(
                ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
    private static final MethodHandle MPROTECT =
        function("mprotect", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));
    private static final MethodHandle MUNMAP =
        function("munmap", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));

    private GuardPages() {}

    /** Whether this system has the functions with the constants above. */
    static boolean supported() {
      return MAC || System.getProperty("os.name").equals("Linux");
    }

    private static MemorySegment between(long bytes, Arena arena) {
      long usable = Math.max(1, Math.ceilDiv(bytes, PAGE)) * PAGE;
      long all = usable + 2 * PAGE;
      try {
        MemorySegment start =
            (MemorySegment)
                MMAP.invokeExact(
                    MemorySegment.NULL, all, PROTECT_READ_WRITE, PRIVATE_ANONYMOUS, -1, 0L);
        if (start.address() == -1) {
          throw new AssertionError("mmap refused " + all + " bytes");
        }
        protect(start.address());
        protect(start.address() + PAGE + usable);
        return MemorySegment.ofAddress(start.address() + PAGE)
            .reinterpret(usable, arena, ignored -> unmap(start, all));
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }

    private static void protect(long address) throws Throwable {
      int status = (int) MPROTECT.invokeExact(MemorySegment.ofAddress(address), PAGE, PROTECT_NONE);
      if (status != 0) {
        throw new AssertionError("mprotect failed");
      }
    }

    private static void unmap(MemorySegment start, long bytes) {
      try {
        if ((int) MUNMAP.invokeExact(start, bytes) != 0) {
          throw new AssertionError("munmap failed");
        }
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }

    private static MethodHandle function(String name, FunctionDescriptor signature) {
      Linker linker = Linker.nativeLinker();
      return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), signature);
    }
  }
}
