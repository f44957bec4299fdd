package io.github.recurrentkif.data;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.exc.JacksonIOException;
import tools.jackson.core.json.JsonFactory;

/** How this package reads JSON files: as a stream, a key twice in one object being an error. */
final class JsonFiles {

  private static final JsonFactory FACTORY =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private JsonFiles() {}

  static JsonParser parser(Path file) {
    return FACTORY.createParser(ObjectReadContext.empty(), file);
  }

  /** What a token begins, in words. */
  static String kind(@Nullable JsonToken token) {
    return switch (token) {
      case null -> "an empty file";
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      case VALUE_STRING -> "a string";
      case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "a number";
      case VALUE_TRUE, VALUE_FALSE -> "a truth value";
      case VALUE_NULL -> "null";
      default -> token.name();
    };
  }

  /** The error for a file that cannot be read or is not JSON. */
  static InputException unreadable(Path file, JacksonException e) {
    if (e instanceof JacksonIOException) {
      return new InputException(file + ": the file cannot be read: " + e.getOriginalMessage(), e);
    }
    TokenStreamLocation location = e.getLocation();
    String place =
        location == null
            ? ""
            : ", line %d, column %d".formatted(location.getLineNr(), location.getColumnNr());
    return new InputException(
        "%s%s: expected JSON, found: %s; correct the file"
            .formatted(file, place, e.getOriginalMessage()),
        e);
  }
}
