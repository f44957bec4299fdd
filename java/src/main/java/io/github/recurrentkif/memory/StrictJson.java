package io.github.recurrentkif.memory;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.json.JsonFactory;

/**
 * Walks through one JSON object whose every oddity is an error of its file: bad UTF-8, a key given
 * twice, a value of another type, text behind the end.
 */
final class StrictJson implements AutoCloseable {

  // Canonical names would only help names that repeat; a table of them can be attacked by
  // collisions.
  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .disable(TokenStreamFactory.Feature.CANONICALIZE_PROPERTY_NAMES)
          .build();

  /** What to do with the value of one key; the walk stands on the value's first token. */
  @FunctionalInterface
  interface Member {
    void read(String key) throws MalformedSafetensorsException;
  }

  private final Path file;
  private final JsonParser parser;

  /**
   * @throws MalformedSafetensorsException if the bytes are not UTF-8
   */
  StrictJson(Path file, byte[] bytes) throws MalformedSafetensorsException {
    this.file = file;
    try {
      // Decoded first: a parser of bytes would guess UTF-16 and UTF-32 too.
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      parser = FACTORY.createParser(ObjectReadContext.empty(), text);
    } catch (CharacterCodingException e) {
      throw malformed("its JSON is not valid UTF-8", e);
    }
  }

  /** Reads the whole document, which has to be one object. */
  void readDocument(Member member) throws MalformedSafetensorsException {
    try {
      parser.nextToken();
      readObject("the JSON", member);
      if (parser.nextToken() != null) {
        throw malformed("there is more JSON behind the object's closing brace");
      }
    } catch (JacksonException e) {
      throw malformed("its JSON cannot be read" + placeOf(e) + ": " + reasonOf(e), e);
    }
  }

  private static String placeOf(JacksonException e) {
    // Limits, as that of nesting, are exceeded at no place.
    TokenStreamLocation place = e.getLocation();
    return place == null ? "" : " at character " + place.getCharOffset();
  }

  private static String reasonOf(JacksonException e) {
    // Jackson would end with the place again, in its own words.
    String reason = e.getOriginalMessage();
    int place = reason.indexOf(" (start marker");
    return place < 0 ? reason : reason.substring(0, place);
  }

  /** Reads the object that begins here. */
  void readObject(String what, Member member) throws MalformedSafetensorsException {
    expect(JsonToken.START_OBJECT, what, "an object");
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String key = wellFormed(parser.currentName());
      parser.nextToken();
      member.read(key);
    }
  }

  /** Reads the object of strings that begins here. */
  SequencedMap<String, String> readStringMap(String what) throws MalformedSafetensorsException {
    SequencedMap<String, String> map = new LinkedHashMap<>();
    readObject(what, key -> map.put(key, readString(what + "'s value of '" + key + "'")));
    return Collections.unmodifiableSequencedMap(map);
  }

  String readString(String what) throws MalformedSafetensorsException {
    expect(JsonToken.VALUE_STRING, what, "a string");
    return wellFormed(parser.getString());
  }

  /** Reads the array of numbers in 0..2^63-1 that begins here. */
  long[] readNaturals(String what) throws MalformedSafetensorsException {
    expect(JsonToken.START_ARRAY, what, "an array");
    var numbers = LongStream.builder();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      expect(JsonToken.VALUE_NUMBER_INT, "an element of " + what, "a whole number");
      if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
        throw malformed(what + " holds " + parser.getString() + ", which overflows 63 bits");
      }
      long number = parser.getLongValue();
      if (number < 0) {
        throw malformed(what + " holds the negative number " + number);
      }
      numbers.add(number);
    }
    return numbers.build().toArray();
  }

  /** Passes over the value that begins here. */
  void skip() {
    parser.skipChildren();
  }

  MalformedSafetensorsException malformed(String problem) {
    return new MalformedSafetensorsException(file, problem);
  }

  private MalformedSafetensorsException malformed(String problem, Throwable cause) {
    return new MalformedSafetensorsException(file, problem, cause);
  }

  private void expect(JsonToken token, String what, String expected)
      throws MalformedSafetensorsException {
    if (parser.currentToken() != token) {
      throw malformed(
          "%s has to be %s, found %s".formatted(what, expected, describe(parser.currentToken())));
    }
  }

  private static String describe(@Nullable JsonToken token) {
    return switch (token) {
      case null -> "nothing";
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      case VALUE_STRING -> "a string";
      case VALUE_NUMBER_INT -> "a whole number";
      case VALUE_NUMBER_FLOAT -> "a number with a fraction or an exponent";
      case VALUE_TRUE, VALUE_FALSE -> "a boolean";
      case VALUE_NULL -> "null";
      default -> "the end";
    };
  }

  /** An escape can spell half a surrogate pair, which no UTF-8 file could write back. */
  private String wellFormed(String text) throws MalformedSafetensorsException {
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
      throw malformed("a string of its JSON holds half a surrogate pair");
    }
    return text;
  }

  @Override
  public void close() {
    parser.close();
  }
}
