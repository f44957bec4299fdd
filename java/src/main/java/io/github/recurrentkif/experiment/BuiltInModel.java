package io.github.recurrentkif.experiment;

import io.github.recurrentkif.memory.AtomicFile;
import io.github.recurrentkif.memory.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.List;

/** The small model that comes inside the jar, with the recipe it was made by. */
public final class BuiltInModel {

  private static final String FOLDER = "/tiny-t5/";

  /** What an ordinary Hugging Face folder needs. */
  private static final List<String> FILES =
      List.of(
          "config.json",
          "generation_config.json",
          "model.safetensors",
          "special_tokens_map.json",
          "tokenizer.json",
          "tokenizer_config.json");

  private static final List<String> RECIPE =
      List.of("recipe.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json");

  private BuiltInModel() {}

  /**
   * Writes the model's files into a folder, in place of those of earlier calls.
   *
   * @throws InputException if the folder cannot be written
   */
  public static void extract(Path folder) {
    copy(FILES, folder);
  }

  /** Writes the recipe and the tokenizer into a folder, and reads them there. */
  public static PretrainingRecipe extractRecipe(Path folder) {
    copy(RECIPE, folder);
    return PretrainingRecipe.read(folder.resolve("recipe.json"));
  }

  private static void copy(List<String> names, Path folder) {
    for (String name : names) {
      try (InputStream content = BuiltInModel.class.getResourceAsStream(FOLDER + name)) {
        if (content == null) {
          throw new InputException(
              "the built-in model is not complete: the jar holds no "
                  + FOLDER
                  + name
                  + "; build it again in a complete checkout");
        }
        AtomicFile.write(folder.resolve(name), content.readAllBytes());
      } catch (IOException e) {
        throw InputException.unwritable(folder.resolve(name), e);
      }
    }
  }
}
