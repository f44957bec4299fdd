package io.github.recurrentkif.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Ctrl-C as a question to ask: work that notices it in time ends cleanly, with its state saved,
 * before the process does.
 */
final class Interruption implements BooleanSupplier, AutoCloseable {

  private static final long PATIENCE_SECONDS = 60;

  private final AtomicBoolean asked = new AtomicBoolean();
  private final AtomicBoolean inputEnded = new AtomicBoolean();
  private final AtomicReference<@Nullable Consumer<String>> announce = new AtomicReference<>();
  private final CountDownLatch done = new CountDownLatch(1);
  private final Thread hook;

  /** For work that has begun. */
  Interruption(Terminal terminal) {
    this(terminal, () -> "");
    workBegins(text -> terminal.err().println("\n" + text));
  }

  /**
   * @param idle what to say when there is nothing yet that could be stopped
   */
  Interruption(Terminal terminal, Supplier<String> idle) {
    this.hook =
        new Thread(
            () -> {
              asked.set(true);
              Consumer<String> say = announce.get();
              if (say == null) {
                terminal.err().println("\n" + idle.get());
                return;
              }
              say.accept("kif: stopping after this step");
              try {
                if (!done.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                  say.accept("kif: the step takes too long; the last checkpoint counts");
                }
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            },
            "interruption");
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /**
   * From now on there is a state to save before the process ends.
   *
   * @param say shows a line, from whatever thread
   */
  void workBegins(Consumer<String> say) {
    announce.set(say);
  }

  /** Takes the end of the input for a Ctrl-C: whoever holds its other end may die. */
  void alsoAtEndOf(InputStream input) {
    Thread.ofPlatform()
        .daemon()
        .name("end of input")
        .start(
            () -> {
              try (input) {
                input.transferTo(OutputStream.nullOutputStream());
              } catch (IOException e) {
                // Then nobody holds it any more.
              }
              inputEnded.set(true);
            });
  }

  @Override
  public boolean getAsBoolean() {
    return asked.get() || inputEnded.get();
  }

  @Override
  public void close() {
    done.countDown();
    if (!asked.get()) {
      try {
        Runtime.getRuntime().removeShutdownHook(hook);
      } catch (IllegalStateException e) {
        // The process is ending already.
      }
    }
  }
}
