package io.github.recurrentkif.data;

import io.github.recurrentkif.memory.InputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectReader;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.JsonNodeFactory;

/**
 * What the files of a model folder say about ids, as far as the native tokenizer does not tell.
 *
 * @param size one more than the largest id of the tokenizer
 * @param modelSize rows of the model's embedding
 */
record TokenizerVocabulary(int size, int modelSize, int endOfSequence, int padding) {

  private static final ObjectReader WHOLE_FILE = new JsonMapper().reader();

  /** Reads one value of a file and leaves what follows. */
  private static final ObjectReader ONE_VALUE =
      WHOLE_FILE.without(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  /**
   * Tokens by name, and one more than the largest id among those of the tokenizer model itself: the
   * added ones may lie beyond the embedding as long as no text uses them.
   */
  private record Tokens(Map<String, Integer> ids, int modelEnd, int end) {}

  static TokenizerVocabulary read(Path modelFolder, Path tokenizerFile) {
    Path configFile = modelFolder.resolve("config.json");
    if (!Files.isRegularFile(configFile)) {
      throw new InputException(
          configFile
              + ": expected the model's configuration beside its tokenizer, found no such file;"
              + " name the folder of a complete Hugging Face model");
    }
    JsonNode config = object(configFile);
    JsonNode size = config.path("vocab_size");
    if (!size.isInt() || size.intValue() < 1) {
      throw new InputException(
          "%s, key 'vocab_size': expected a positive whole number, found %s; take the file from the model's publisher again"
              .formatted(configFile, size.isMissingNode() ? "no such key" : size.toString()));
    }
    Path namesFile = modelFolder.resolve("tokenizer_config.json");
    JsonNode names =
        Files.isRegularFile(namesFile) ? object(namesFile) : JsonNodeFactory.instance.objectNode();

    Tokens tokens = tokens(tokenizerFile);
    int endOfSequence =
        named(names, "eos_token", tokens)
            .orElseGet(
                () ->
                    identified(config, "eos_token_id")
                        .orElseThrow(
                            () ->
                                new InputException(
                                    "%s: expected a token that ends a sequence, found neither 'eos_token' in %s nor 'eos_token_id' here; add one"
                                        .formatted(configFile, namesFile.getFileName()))));
    int padding =
        named(names, "pad_token", tokens)
            .orElseGet(() -> identified(config, "pad_token_id").orElse(0));
    TokenizerVocabulary vocabulary =
        new TokenizerVocabulary(tokens.end(), size.intValue(), endOfSequence, padding);
    int needed = Math.max(tokens.modelEnd(), Math.max(endOfSequence, padding) + 1);
    if (needed > vocabulary.modelSize()) {
      throw vocabulary.doesNotFit(tokenizerFile, "token id " + (needed - 1));
    }
    return vocabulary;
  }

  InputException doesNotFit(Path tokenizerFile, String found) {
    return new InputException(
        "%s: the tokenizer does not fit the model: expected token ids below the 'vocab_size' %d of config.json, found %s; take both files from the same model"
            .formatted(tokenizerFile, modelSize, found));
  }

  /** The id of the token that {@code tokenizer_config.json} names under a key. */
  private static OptionalInt named(JsonNode names, String key, Tokens tokens) {
    // Either the bare text, or an object that describes the token.
    JsonNode token = names.path(key);
    JsonNode text = token.isObject() ? token.path("content") : token;
    Integer id = text.isString() ? tokens.ids().get(text.stringValue()) : null;
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /** The id under a key of {@code config.json}: one number, or the first of several. */
  private static OptionalInt identified(JsonNode config, String key) {
    JsonNode value = config.path(key);
    JsonNode id = value.isArray() ? value.path(0) : value;
    // Some configurations write -1 for "none".
    return id.isInt() && id.intValue() >= 0 ? OptionalInt.of(id.intValue()) : OptionalInt.empty();
  }

  private static JsonNode object(Path file) {
    try (JsonParser parser = JsonFiles.parser(file)) {
      JsonToken first = parser.nextToken();
      if (first != JsonToken.START_OBJECT) {
        throw new InputException(
            "%s: expected a JSON object, found %s; take the file from the model's publisher again"
                .formatted(file, JsonFiles.kind(first)));
      }
      return WHOLE_FILE.readTree(parser);
    } catch (JacksonException e) {
      throw JsonFiles.unreadable(file, e);
    }
  }

  private static Tokens tokens(Path file) {
    Map<String, Integer> ids = new HashMap<>();
    int modelEnd = 0;
    try (JsonParser parser = JsonFiles.parser(file)) {
      JsonToken first = parser.nextToken();
      if (first != JsonToken.START_OBJECT) {
        throw broken(file, "a JSON object", JsonFiles.kind(first));
      }
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = parser.currentName();
        JsonToken value = parser.nextToken();
        if (key.equals("added_tokens") && value == JsonToken.START_ARRAY) {
          readAddedTokens(file, parser, ids);
        } else if (key.equals("model") && value == JsonToken.START_OBJECT) {
          modelEnd = readModel(file, parser, ids);
        } else {
          parser.skipChildren();
        }
      }
    } catch (JacksonException e) {
      throw JsonFiles.unreadable(file, e);
    }
    if (modelEnd == 0) {
      throw broken(file, "tokens under 'model', 'vocab'", "none");
    }
    int end = modelEnd;
    for (int id : ids.values()) {
      end = Math.max(end, id + 1);
    }
    return new Tokens(ids, modelEnd, end);
  }

  private static void readAddedTokens(Path file, JsonParser parser, Map<String, Integer> ids) {
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      JsonNode token = ONE_VALUE.readTree(parser);
      JsonNode content = token.path("content");
      JsonNode id = token.path("id");
      if (!content.isString() || !id.isInt()) {
        throw broken(file, "'content' and 'id' in each of 'added_tokens'", token.toString());
      }
      ids.put(content.stringValue(), id.intValue());
    }
  }

  /**
   * The vocabulary under {@code model}: pairs of token and score whose place is the id (Unigram),
   * or an object from token to id (BPE, WordPiece, WordLevel).
   *
   * @return one more than the largest id
   */
  private static int readModel(Path file, JsonParser parser, Map<String, Integer> ids) {
    int end = 0;
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      boolean isVocabulary = parser.currentName().equals("vocab");
      JsonToken value = parser.nextToken();
      if (isVocabulary && value == JsonToken.START_ARRAY) {
        while (parser.nextToken() != JsonToken.END_ARRAY) {
          if (parser.currentToken() != JsonToken.START_ARRAY
              || parser.nextToken() != JsonToken.VALUE_STRING) {
            throw broken(file, "pairs of token and score under 'vocab'", "something else");
          }
          ids.put(parser.getString(), end++);
          while (parser.nextToken() != JsonToken.END_ARRAY) {
            parser.skipChildren();
          }
        }
      } else if (isVocabulary && value == JsonToken.START_OBJECT) {
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
          String token = parser.currentName();
          if (parser.nextToken() != JsonToken.VALUE_NUMBER_INT) {
            throw broken(file, "a whole number for every token under 'vocab'", token);
          }
          int id = parser.getIntValue();
          ids.put(token, id);
          end = Math.max(end, id + 1);
        }
      } else {
        parser.skipChildren();
      }
    }
    return end;
  }

  private static InputException broken(Path file, String expected, String found) {
    return new InputException(
        "%s: expected %s, found %s; take the file from the model's publisher again"
            .formatted(file, expected, found));
  }
}
