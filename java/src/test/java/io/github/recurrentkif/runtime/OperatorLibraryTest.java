package io.github.recurrentkif.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OperatorLibraryTest {

  @TempDir
  @SuppressWarnings("NullAway.Init") // JUnit sets it
  private Path folder;

  private static OperatorLibrary.Search search(String wish, CacheFolder cache) {
    return OperatorLibrary.search(Map.of(OperatorLibrary.VARIABLE, wish), cache);
  }

  @Test
  void aUserCanDoWithout() {
    OperatorLibrary.Search search = search("stock", TestRuntime.CACHE);
    assertTrue(search.library().isEmpty());
    assertEquals("KIF_OPERATORS is stock", search.explanation());
    String message =
        String.valueOf(
            assertThrows(InputException.class, () -> search("fast", TestRuntime.CACHE))
                .getMessage());
    assertEquals("KIF_OPERATORS must be auto, native or stock, not 'fast'", message);
  }

  @Test
  void theLibrarySaysWhatItUses() {
    OperatorLibrary library = OperatorRun.library();
    assertTrue(OperatorRun.tiers().contains(library.tier()), library.tier());
    assertTrue(library.fastBf16() || !library.tier().equals("amx"), library.tier());
    assertFalse(library.fastBf16() && library.tier().equals("avx512"), library.tier());
  }

  @Test
  void whereItCannotBeUnpackedTheReasonIsGiven() throws IOException {
    OperatorRun.library();
    CacheFolder none = new CacheFolder(Files.writeString(folder.resolve("file"), "no folder"));
    OperatorLibrary.Search search = search("auto", none);
    assertTrue(search.library().isEmpty());
    assertTrue(search.explanation().startsWith("the operators could not be unpacked to"));
    assertThrows(InputException.class, () -> search("native", none));
  }
}
