package io.github.recurrentkif.experiment;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;

/** Keeps a folder to one worker at a time, through a lock on a file in it. */
public final class FolderLock implements AutoCloseable {

  private static final int ATTEMPTS = 10;
  private static final long PAUSE_NANOS = 20_000_000;

  /**
   * Files that this process holds. POSIX gives up a process's locks on a file as soon as any
   * descriptor of it is closed, so a file that is held here must not even be opened again.
   */
  private static final Set<Path> HELD = new HashSet<>();

  private final Path file;
  private final FileChannel channel;
  private final FileLock lock;

  private FolderLock(Path file, FileChannel channel, FileLock lock) {
    this.file = file;
    this.channel = channel;
    this.lock = lock;
  }

  /**
   * Takes the lock, or gives nothing where another process, or this one, holds it.
   *
   * @param folder must be there
   * @param name of the file in it, which is made
   */
  public static Optional<FolderLock> take(Path folder, String name) throws IOException {
    Path file = folder.toRealPath().resolve(name);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      synchronized (HELD) {
        if (HELD.contains(file)) {
          return Optional.empty();
        }
        Optional<FolderLock> lock = tryToTake(file);
        if (lock.isPresent()) {
          HELD.add(file);
          return lock;
        }
      }
      // A process that only asks whether it is held holds it for a moment.
      LockSupport.parkNanos(PAUSE_NANOS);
    }
    return Optional.empty();
  }

  private static Optional<FolderLock> tryToTake(Path file) throws IOException {
    FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    FileLock lock = null;
    try {
      lock = channel.tryLock();
      return lock == null ? Optional.empty() : Optional.of(new FolderLock(file, channel, lock));
    } catch (OverlappingFileLockException e) {
      // Held in this process, but not through this class.
      return Optional.empty();
    } finally {
      if (lock == null) {
        channel.close();
      }
    }
  }

  /** Whether somebody holds it at this moment. */
  public static boolean isHeld(Path folder, String name) {
    if (!Files.isRegularFile(folder.resolve(name))) {
      return false;
    }
    synchronized (HELD) {
      try {
        Path file = folder.toRealPath().resolve(name);
        if (HELD.contains(file)) {
          return true;
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
            FileLock lock = channel.tryLock(0, Long.MAX_VALUE, true)) {
          return lock == null;
        }
      } catch (OverlappingFileLockException e) {
        return true;
      } catch (IOException e) {
        // Some network file systems know no locks; then nobody can hold one.
        return false;
      }
    }
  }

  @Override
  public void close() {
    synchronized (HELD) {
      try (channel) {
        lock.release();
      } catch (IOException e) {
        // The process lets go of the lock at the latest when it ends.
      } finally {
        HELD.remove(file);
      }
    }
  }
}
