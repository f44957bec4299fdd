package io.github.recurrentkif.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

final class MalformedSafetensorsTest {

  @TempDir Path folder;

  private void assertMalformed(Path file, String problem) {
    var e = assertThrows(MalformedSafetensorsException.class, () -> SafetensorsFile.open(file));
    Messages.assertStartsWith(file + " is malformed: ", e);
    Messages.assertContains(problem, e);
  }

  private Path writeLength(long length, int bytesBehind) throws IOException {
    return Files.write(
        folder.resolve("length.safetensors"),
        ByteBuffer.allocate(8 + bytesBehind)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(length)
            .array());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 7})
  void aFileShorterThanALength(int size) throws IOException {
    assertMalformed(
        Files.write(folder.resolve("short.safetensors"), new byte[size]),
        "it holds " + size + " bytes, less than the 8");
  }

  @Test
  void aHeaderThatEndsBehindTheFile() throws IOException {
    assertMalformed(writeLength(3, 2), "claims 3 bytes, the file holds 10");
    assertMalformed(writeLength(100_000_000, 0), "claims 100000000 bytes, the file holds 8");
  }

  @Test
  void aHeaderLongerThanTheFormatAllows() throws IOException {
    assertMalformed(writeLength(100_000_001, 2), "claims 100000001 bytes, the format allows");
    assertMalformed(writeLength(-1, 2), "claims 18446744073709551615 bytes");
  }

  @Test
  void aHeaderThatIsNoUtf8() throws IOException {
    byte[] header = "{\"\u00e9\":1}".getBytes(StandardCharsets.ISO_8859_1);
    Path file =
        Files.write(
            folder.resolve("latin.safetensors"),
            ByteBuffer.allocate(8 + header.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length)
                .put(header)
                .array());
    assertMalformed(file, "not valid UTF-8");
  }

  private static String tensor(String dataType, String shape, String offsets) {
    return "\"w\":{\"dtype\":%s,\"shape\":%s,\"data_offsets\":%s}"
        .formatted(dataType, shape, offsets);
  }

  private static final String GOOD = tensor("\"F32\"", "[1]", "[0,4]");

  static Stream<Arguments> headers() {
    String four = "\"F32\"";
    return Stream.of(
        arguments("no brace", "", "has to begin with '{', found no header"),
        arguments("space before", " {" + GOOD + "}", "has to begin with '{', found byte 0x20"),
        arguments("array", "[]", "has to begin with '{', found byte 0x5b"),
        arguments("unclosed", "{" + GOOD, "cannot be read at character 53"),
        arguments("trailing comma", "{" + GOOD + ",}", "cannot be read at character 54"),
        arguments("text behind", "{" + GOOD + "}x", "cannot be read at"),
        arguments("zero behind", "{" + GOOD + "}\0", "cannot be read at"),
        arguments("object behind", "{" + GOOD + "}{}", "more JSON behind"),
        arguments("comment", "{/**/" + GOOD + "}", "cannot be read at"),
        arguments("half a pair", "{\"\\ud800\":0," + GOOD + "}", "surrogate pair"),
        arguments("half a pair behind", "{\"__metadata__\":{\"k\":\"\\udc00\"}}", "surrogate"),
        arguments("too deep", "{\"w\":{\"x\":" + "[".repeat(2000), "cannot be read: "),
        arguments("duplicate tensor", "{" + GOOD + "," + GOOD + "}", "\"w\""),
        arguments("duplicate field", "{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "\"dtype\""),
        arguments(
            "duplicate key", "{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}," + GOOD + "}", "\"k\""),
        arguments("metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", "__metadata__"),
        arguments(
            "metadata number",
            "{\"__metadata__\":{\"k\":1}," + GOOD + "}",
            "__metadata__'s value of 'k' has to be a string, found a whole number"),
        arguments(
            "metadata nested",
            "{\"__metadata__\":{\"k\":{}}," + GOOD + "}",
            "__metadata__'s value of 'k' has to be a string, found an object"),
        arguments(
            "metadata string",
            "{\"__metadata__\":\"pt\"," + GOOD + "}",
            "__metadata__ has to be an object, found a string"),
        arguments(
            "metadata null",
            "{\"__metadata__\":null," + GOOD + "}",
            "__metadata__ has to be an object, found null"),
        arguments(
            "tensor is a list",
            "{\"w\":[\"F32\",[1],[0,4]]}",
            "the description of tensor 'w' has to be an object, found an array"),
        arguments("no dtype", "{\"w\":{\"shape\":[1],\"data_offsets\":[0,4]}}", "'w' has no dtype"),
        arguments("no shape", "{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "has no shape"),
        arguments("no offsets", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", "has no data_offsets"),
        arguments(
            "unknown dtype",
            "{" + tensor("\"F31\"", "[1]", "[0,4]") + "}",
            "tensor 'w' has the unknown dtype 'F31', expected one of [BOOL,"),
        arguments("lower case", "{" + tensor("\"f32\"", "[1]", "[0,4]") + "}", "dtype 'f32'"),
        arguments("dtype 5", "{" + tensor("5", "[1]", "[0,4]") + "}", "found a whole number"),
        arguments("shape 1", "{" + tensor(four, "1", "[0,4]") + "}", "has to be an array"),
        arguments("negative", "{" + tensor(four, "[-1]", "[0,4]") + "}", "negative number -1"),
        arguments("fraction", "{" + tensor(four, "[1.0]", "[0,4]") + "}", "with a fraction"),
        arguments("text extent", "{" + tensor(four, "[\"1\"]", "[0,4]") + "}", "found a string"),
        arguments(
            "huge extent",
            "{" + tensor(four, "[9223372036854775808]", "[0,4]") + "}",
            "9223372036854775808, which overflows 63 bits"),
        arguments(
            "huge product",
            "{" + tensor(four, "[4294967296,4294967296]", "[0,4]") + "}",
            "[4294967296, 4294967296] has more than 2^63"),
        arguments(
            "huge size",
            "{" + tensor(four, "[4611686018427387904]", "[0,4]") + "}",
            "of F32 overflows 63 bits"),
        arguments(
            "half a byte",
            "{" + tensor("\"F4\"", "[1]", "[0,4]") + "}",
            "does not fill whole bytes"),
        arguments(
            "begin behind end",
            "{" + tensor(four, "[1]", "[4,0]") + "}",
            "begin at 4, behind their end 0"),
        arguments(
            "negative begin", "{" + tensor(four, "[1]", "[-4,0]") + "}", "negative number -4"),
        arguments("one offset", "{" + tensor(four, "[1]", "[0]") + "}", "found 1 numbers"),
        arguments("three offsets", "{" + tensor(four, "[1]", "[0,4,4]") + "}", "found 3 numbers"),
        arguments(
            "out of range",
            "{" + tensor(four, "[2]", "[0,8]") + "}",
            "tensor 'w' at [0, 8] reaches beyond the 4 bytes"),
        arguments(
            "shape smaller",
            "{" + tensor(four, "[]", "[0,8]") + "}",
            "tensor 'w' of F32 [] takes 4 bytes, its data_offsets [0, 8] hold 8"),
        arguments("shape larger", "{" + tensor(four, "[2]", "[0,4]") + "}", "takes 8 bytes"),
        arguments("nothing indexed", "{}", "a hole at [0, 4] behind the header"),
        arguments(
            "hole at the beginning",
            "{" + tensor("\"U8\"", "[2]", "[2,4]") + "}",
            "a hole at [0, 2] between the header and tensor 'w'"),
        arguments(
            "hole at the end",
            "{" + tensor("\"U8\"", "[2]", "[0,2]") + "}",
            "a hole at [2, 4] behind tensor 'w'"),
        arguments(
            "hole between",
            "{"
                + tensor("\"U8\"", "[1]", "[0,1]")
                + ",\"v\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
            "a hole at [1, 2] between tensor 'w' and tensor 'v'"),
        arguments(
            "overlap",
            "{"
                + tensor("\"U8\"", "[3]", "[0,3]")
                + ",\"v\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
            "tensor 'v' at [2, 4] overlaps tensor 'w', which ends at 3"),
        arguments(
            "two names for the same bytes",
            "{" + GOOD + ",\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
            "overlaps"),
        arguments(
            "empty tensor inside another",
            "{" + GOOD + ",\"v\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[2,2]}}",
            "tensor 'v' at [2, 2] overlaps tensor 'w'"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("headers")
  void aBrokenHeaderIsOneClearError(String name, String header, String problem) throws IOException {
    assertMalformed(
        SafetensorsFileTest.write(folder.resolve("bad.safetensors"), header, new byte[4]), problem);
  }

  @Test
  void aGoodHeaderOfTheSameKindIsAccepted() throws IOException {
    for (String header :
        new String[] {
          "{" + GOOD + "}",
          "{" + GOOD + "}   ",
          "{\n  " + GOOD + "\n}\n",
          "{\"w\":{\"extra\":[{}],\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
        }) {
      Path path =
          SafetensorsFileTest.write(folder.resolve("good.safetensors"), header, new byte[4]);
      try (SafetensorsFile file = SafetensorsFile.open(path)) {
        assertEquals(Shape.of(1), file.shape("w"));
      }
    }
  }
}
