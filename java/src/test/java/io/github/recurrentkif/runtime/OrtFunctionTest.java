package io.github.recurrentkif.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class OrtFunctionTest {

  @Test
  void placesAscendWithoutDoubles() {
    List<Integer> places = Arrays.stream(OrtFunction.values()).map(OrtFunction::place).toList();
    assertEquals(places.stream().sorted().distinct().toList(), places);
  }

  @Test
  void everyPlaceHoldsAFunctionOfItsOwnInTheCodeOfTheLibrary() throws IOException {
    Path maps = Path.of("/proc/self/maps");
    assumeTrue(Files.isReadable(maps), "SKIPPED: no /proc/self/maps on this system");
    try (OnnxRuntime runtime = TestRuntime.load()) {
      Pattern executable =
          Pattern.compile(
              "([0-9a-f]+)-([0-9a-f]+) ..x. .*" + Pattern.quote(runtime.libraryPath().toString()));
      List<long[]> code =
          Files.readAllLines(maps).stream()
              .map(executable::matcher)
              .filter(Matcher::matches)
              .map(
                  range ->
                      new long[] {
                        Long.parseLong(range.group(1), 16), Long.parseLong(range.group(2), 16)
                      })
              .toList();
      assertTrue(!code.isEmpty(), "the library is mapped");
      Set<Long> addresses = new HashSet<>();
      for (OrtFunction function : OrtFunction.values()) {
        long address = runtime.api().pointer(function).address();
        assertTrue(
            code.stream().anyMatch(range -> range[0] <= address && address < range[1]),
            function + " lies outside the library's code");
        assertTrue(addresses.add(address), function + " is the same as another");
      }
    }
  }
}
