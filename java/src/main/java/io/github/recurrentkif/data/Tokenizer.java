package io.github.recurrentkif.data;

import ai.djl.engine.EngineException;
import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/**
 * Text to token ids and back, as the {@code tokenizer.json} of a Hugging Face model folder says.
 * Any thread may use it; it holds native memory until closed.
 */
public final class Tokenizer implements AutoCloseable {

  private static final String FILE = "tokenizer.json";

  private final Path file;
  private final HuggingFaceTokenizer tokenizer;
  private final TokenizerVocabulary vocabulary;

  private Tokenizer(Path file, HuggingFaceTokenizer tokenizer, TokenizerVocabulary vocabulary) {
    this.file = file;
    this.tokenizer = tokenizer;
    this.vocabulary = vocabulary;
  }

  /**
   * Opens the tokenizer of a model. Needs no network.
   *
   * @param modelFolder holds {@code tokenizer.json}, {@code config.json} and, if special tokens are
   *     named there, {@code tokenizer_config.json}
   * @throws InputException if a file is missing or broken, or the tokenizer's vocabulary is larger
   *     than the model's
   */
  public static Tokenizer open(Path modelFolder) {
    Path file = modelFolder.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      throw new InputException(
          "%s: expected the fast tokenizer of the model, found no such file; in Python,"
                  .formatted(file)
              + " AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes it from the"
              + " other tokenizer files");
    }
    TokenizerVocabulary vocabulary = TokenizerVocabulary.read(modelFolder, file);
    TokenizerLibrary.prepare();
    // Whatever truncation or padding the file asks for is a habit of other programs.
    Map<String, String> options = Map.of("truncation", "do_not_truncate", "padding", "do_not_pad");
    try (InputStream json = Files.newInputStream(file)) {
      return new Tokenizer(file, HuggingFaceTokenizer.newInstance(json, options), vocabulary);
    } catch (IOException e) {
      throw InputException.unreadable(file, e);
    } catch (EngineException | UnsatisfiedLinkError e) {
      throw TokenizerLibrary.unusable(e);
    } catch (RuntimeException e) {
      // The native library throws bare RuntimeExceptions for whatever it does not understand.
      throw new InputException(
          "%s: expected a tokenizer in the format of the Hugging Face tokenizers library, found: %s; take the file from the model's publisher again"
              .formatted(file, e.getMessage()),
          e);
    }
  }

  /**
   * The ids of a text, with the special tokens the tokenizer puts around it ({@code </s>} behind,
   * for T5; {@code <s>} in front, for LLaMA). A text that is too long loses its end, never the
   * special tokens: for T5, {@code maximumLength - 1} ids are kept and {@code </s>} follows. This
   * is the truncation of the Hugging Face libraries.
   *
   * @param maximumLength ids, the special tokens included
   * @throws InputException if the text holds a token the model has no embedding for
   */
  public long[] encode(String text, int maximumLength) {
    Encoding encoding = tokenizer.encode(text);
    long[] ids = encoding.getIds();
    if (ids.length > maximumLength) {
      ids = cut(ids, encoding.getSpecialTokenMask(), maximumLength);
    }
    for (long id : ids) {
      if (id >= vocabulary.modelSize()) {
        throw vocabulary.doesNotFit(file, "token id " + id);
      }
    }
    return ids;
  }

  /**
   * @param special 1 where the tokenizer added a token to the text
   */
  private static long[] cut(long[] ids, long[] special, int maximumLength) {
    int leading = 0;
    while (leading < ids.length && special[leading] == 1) {
      leading++;
    }
    int trailing = 0;
    while (trailing < ids.length - leading && special[ids.length - 1 - trailing] == 1) {
      trailing++;
    }
    if (maximumLength < leading + trailing) {
      throw new IllegalArgumentException(
          "%d tokens leave no room for the %d that surround every text"
              .formatted(maximumLength, leading + trailing));
    }
    long[] kept = new long[maximumLength];
    System.arraycopy(ids, 0, kept, 0, maximumLength - trailing);
    System.arraycopy(ids, ids.length - trailing, kept, maximumLength - trailing, trailing);
    return kept;
  }

  /**
   * The text of some ids, without the cosmetic removal of spaces before punctuation that some
   * libraries add.
   *
   * @param skipSpecialTokens whether {@code </s>}, {@code <pad>} and their like are left out
   */
  public String decode(long[] ids, boolean skipSpecialTokens) {
    // Older tokenizer.json files do not mark these two as special.
    long[] kept =
        skipSpecialTokens
            ? Arrays.stream(ids).filter(id -> id != endOfSequence() && id != padding()).toArray()
            : ids;
    return tokenizer.decode(kept, skipSpecialTokens);
  }

  /** One more than the largest id, tokens added later included; the model may have more rows. */
  public int vocabularySize() {
    return vocabulary.size();
  }

  /**
   * The token that ends an answer: the {@code eos_token} of {@code tokenizer_config.json}, else the
   * (first) {@code eos_token_id} of {@code config.json}.
   */
  public long endOfSequence() {
    return vocabulary.endOfSequence();
  }

  /** A text that goes on; some tokenizers end every text by themselves. */
  public long[] withoutEnd(long[] ids) {
    boolean ended = ids.length > 1 && ids[ids.length - 1] == endOfSequence();
    return ended ? Arrays.copyOf(ids, ids.length - 1) : ids;
  }

  /**
   * The token that fills the end of a short row: the {@code pad_token} of {@code
   * tokenizer_config.json}, else the {@code pad_token_id} of {@code config.json}, else 0, which the
   * attention mask hides.
   */
  public long padding() {
    return vocabulary.padding();
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
