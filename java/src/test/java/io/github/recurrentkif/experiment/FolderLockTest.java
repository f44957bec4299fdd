package io.github.recurrentkif.experiment;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FolderLockTest {

  private static final String LOCK = "run.lock";

  @TempDir private Path folder;

  /** Asks from another process, which alone can tell whether the system still holds the lock. */
  private boolean isFreeForAnotherProcess() throws Exception {
    ProcessBuilder builder =
        new ProcessBuilder(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xint",
                Asking.class.getName(),
                folder.toString()));
    builder.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    Process process = builder.inheritIO().start();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it does not end");
    return process.exitValue() == 0;
  }

  /** Ends with status 0 if the lock of a file is free. */
  static final class Asking {
    static void main(String[] arguments) {
      System.exit(FolderLock.isHeld(Path.of(arguments[0]), LOCK) ? 1 : 0);
    }
  }

  @Test
  void whoever_is_refused_or_only_asks_in_the_same_process_does_not_drop_the_lock()
      throws Exception {
    assertFalse(FolderLock.isHeld(folder, LOCK));
    FolderLock first = FolderLock.take(folder, LOCK).orElseThrow();
    assertTrue(FolderLock.take(folder, LOCK).isEmpty());
    assertTrue(FolderLock.take(folder.resolve("."), LOCK).isEmpty());
    assertTrue(FolderLock.isHeld(folder, LOCK));
    assertFalse(isFreeForAnotherProcess());
    first.close();
    assertTrue(isFreeForAnotherProcess());
    FolderLock second = FolderLock.take(folder, LOCK).orElseThrow();
    second.close();
    assertFalse(FolderLock.isHeld(folder, LOCK));
  }
}
