package io.github.recurrentkif.data;

import static io.github.recurrentkif.data.ErrorMessages.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.github.recurrentkif.SharedFolder;
import io.github.recurrentkif.memory.CacheFolder;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

class TokenizerTest {

  private static final int NO_LIMIT = Integer.MAX_VALUE;

  /** Words a, b, c; T5's {@code </s>} behind every text. */
  private static final String SMALL =
      """
      {"version": "1.0", "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
       "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"},
       "added_tokens": [
         {"id": 0, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
         {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
         {"id": 6, "content": "<late>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
       "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
       "post_processor": {"type": "TemplateProcessing",
         "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
         "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
       "decoder": null,
       "model": {"type": "WordLevel", "vocab": {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "b": 4, "c": 5}, "unk_token": "<unk>"}}
      """;

  @TempDir Path folder;

  private static long[] ids(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).mapToLong(JsonNode::asLong).toArray();
  }

  private Tokenizer small(String config, String names) throws IOException {
    Files.writeString(folder.resolve("tokenizer.json"), SMALL);
    Files.writeString(folder.resolve("config.json"), config);
    Files.writeString(folder.resolve("tokenizer_config.json"), names);
    return Tokenizer.open(folder);
  }

  private InputException error() {
    return assertThrows(InputException.class, () -> Tokenizer.open(folder).close());
  }

  @ParameterizedTest
  @ValueSource(strings = {"t5-relu-tied", "t5-gated-untied", "llama-mha", "llama-gqa-tied"})
  void awkwardTextsGiveTheRecordedIdsAndDecodings(String model) {
    JsonNode cases = SharedFolder.json("golden/hf/" + model + "/fixture.json").get("tokenizer");
    assertTrue(cases.size() >= 10);
    try (Tokenizer tokenizer = Tokenizer.open(SharedFolder.resolve("golden/hf/" + model))) {
      for (JsonNode recorded : cases) {
        String text = recorded.get("text").stringValue();
        long[] expected = ids(recorded.get("ids"));
        assertArrayEquals(expected, tokenizer.encode(text, NO_LIMIT), text);
        assertEquals(recorded.get("decoded").stringValue(), tokenizer.decode(expected, true), text);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "hf/t5-relu-tied, 800, 1, 0",
    "hf/t5-gated-untied, 800, 1, 0",
    "hf/llama-mha, 800, 2, 0",
    "hf/llama-gqa-tied, 800, 2, 0",
    "authors-t5/model, 1024, 1, 0"
  })
  void specialTokensAreThoseOfTheModel(String model, int size, long endOfSequence, long padding) {
    try (Tokenizer tokenizer = Tokenizer.open(SharedFolder.resolve("golden/" + model))) {
      assertEquals(size, tokenizer.vocabularySize());
      assertEquals(endOfSequence, tokenizer.endOfSequence());
      assertEquals(padding, tokenizer.padding());
    }
  }

  @Test
  void referenceRunsSamplesGiveTheRecordedIds() {
    int rows = 0;
    try (Tokenizer tokenizer = Tokenizer.open(SharedFolder.resolve("golden/authors-t5/model"))) {
      for (int k = 0; k < 3; k++) {
        JsonNode samples = SharedFolder.json("golden/authors-t5/samples-task" + k + ".json");
        for (String split : List.of("train", "test")) {
          for (JsonNode row : samples.get(split)) {
            EncodedSample encoded =
                EncodedSample.of(
                    new Sample(
                        row.get("id").stringValue(),
                        row.get("input").stringValue(),
                        row.get("output").stringValue()),
                    tokenizer,
                    1024,
                    128);
            assertArrayEquals(ids(row.get("input_ids")), encoded.source());
            assertArrayEquals(ids(row.get("labels")), encoded.labels());
            rows++;
          }
        }
      }
    }
    assertEquals(90 + 88 + 91 + 3 * 16, rows);
  }

  @ParameterizedTest
  @ValueSource(strings = {"hf/t5-relu-tied", "hf/llama-mha", "authors-t5/model"})
  void cuttingIsThatOfTheLibrary(String model) throws IOException {
    Path path = SharedFolder.resolve("golden/" + model);
    List<String> texts =
        List.of(
            "What is the topic of the following paragraph? Choose one from the option.",
            "<extra_id_0> and </s>",
            "</s></s> in the middle </s></s>",
            "short",
            "");
    try (Tokenizer tokenizer = Tokenizer.open(path)) {
      for (int limit = 1; limit <= 40; limit++) {
        Map<String, String> options =
            Map.of("truncation", "longest_first", "maxLength", "" + limit, "padding", "do_not_pad");
        try (HuggingFaceTokenizer library =
            HuggingFaceTokenizer.newInstance(path.resolve("tokenizer.json"), options)) {
          for (String text : texts) {
            assertArrayEquals(
                library.encode(text).getIds(),
                tokenizer.encode(text, limit),
                text + " to " + limit);
          }
        }
      }
    }
  }

  @Test
  void textThatIsTooLongKeepsItsEndToken() throws IOException {
    try (Tokenizer tokenizer = small("{\"vocab_size\": 6, \"eos_token_id\": 1}", "{}")) {
      assertArrayEquals(new long[] {3, 4, 5, 3, 1}, tokenizer.encode("a b c a", 5));
      assertArrayEquals(new long[] {3, 4, 5, 1}, tokenizer.encode("a b c a", 4));
      assertArrayEquals(new long[] {1}, tokenizer.encode("a b c a", 1));
      assertThrows(IllegalArgumentException.class, () -> tokenizer.encode("a", 0));
    }
  }

  @Test
  void truncationAndPaddingWrittenInTheFileAreNotApplied() throws IOException {
    try (Tokenizer tokenizer = small("{\"vocab_size\": 6, \"eos_token_id\": 1}", "{}")) {
      assertArrayEquals(new long[] {3, 4, 5, 3, 1}, tokenizer.encode("a b c a", NO_LIMIT));
    }
  }

  @Test
  void namesOfTheTokenizerGoBeforeIdsOfTheModel() throws IOException {
    String names = "{\"eos_token\": {\"content\": \"c\"}, \"pad_token\": \"b\"}";
    String config = "{\"vocab_size\": 6, \"eos_token_id\": [1, 2], \"pad_token_id\": -1}";
    try (Tokenizer tokenizer = small(config, names)) {
      assertEquals(5, tokenizer.endOfSequence());
      assertEquals(4, tokenizer.padding());
    }
    try (Tokenizer tokenizer = small(config, "{}")) {
      assertEquals(1, tokenizer.endOfSequence());
      assertEquals(0, tokenizer.padding());
    }
  }

  @Test
  void addedTokenBeyondTheEmbeddingIsRefusedWhereItIsUsed() throws IOException {
    try (Tokenizer tokenizer = small("{\"vocab_size\": 6, \"eos_token_id\": 1}", "{}")) {
      assertEquals(7, tokenizer.vocabularySize());
      InputException error =
          assertThrows(InputException.class, () -> tokenizer.encode("a <late>", NO_LIMIT));
      assertSays(error, "does not fit the model", "'vocab_size' 6", "token id 6");
    }
  }

  @Test
  void tokenizerOfALargerModelIsRefused() throws IOException {
    Files.writeString(folder.resolve("tokenizer.json"), SMALL);
    Files.writeString(folder.resolve("config.json"), "{\"vocab_size\": 5, \"eos_token_id\": 1}");
    assertSays(error(), "does not fit the model", "below the 'vocab_size' 5", "token id 5");
  }

  @Test
  void missingFilesAreNamed() throws IOException {
    assertSays(error(), folder.resolve("tokenizer.json").toString(), "save_pretrained");
    Files.writeString(folder.resolve("tokenizer.json"), SMALL);
    assertSays(error(), folder.resolve("config.json").toString(), "no such file");
    Files.writeString(folder.resolve("config.json"), "{}");
    assertSays(error(), "'vocab_size'", "no such key");
    Files.writeString(folder.resolve("config.json"), "{\"vocab_size\": 6}");
    assertSays(error(), "'eos_token_id'");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"model\": |line 1, column",
        "[]|expected a JSON object, found an array",
        "{}|'vocab', found none",
        "{\"model\": {\"vocab\": [1]}}|pairs of token and score",
        "{\"model\": {\"vocab\": {\"a\": \"b\"}}}|a whole number",
        "{\"added_tokens\": [{}], \"model\": {\"vocab\": {\"a\": 1}}}|'content' and 'id'",
        "{\"model\": {\"type\": \"Unheard\", \"vocab\": {\"a\": 1}}}|tokenizers library"
      })
  void brokenTokenizerIsNamed(String json, String complaint) throws IOException {
    Files.writeString(folder.resolve("config.json"), "{\"vocab_size\": 6, \"eos_token_id\": 1}");
    Files.writeString(folder.resolve("tokenizer.json"), json);
    assertSays(error(), folder.resolve("tokenizer.json").toString(), complaint);
  }

  @Test
  void loneSurrogateIsNotFatal() throws IOException {
    try (Tokenizer tokenizer = small("{\"vocab_size\": 6, \"eos_token_id\": 1}", "{}")) {
      long[] ids = tokenizer.encode("a \uD800 b", NO_LIMIT);
      assertEquals(3, ids[0]);
      assertEquals(1, ids[ids.length - 1]);
    }
  }

  @Test
  void nativeLibraryIsUnpackedIntoTheCacheFolderOfThisUser() throws IOException {
    small("{\"vocab_size\": 6, \"eos_token_id\": 1}", "{}").close();
    Path expected = CacheFolder.ofThisUser().path().resolve("djl").resolve("tokenizers");
    assertTrue(Files.isDirectory(expected), expected::toString);
  }
}
