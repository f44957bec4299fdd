package io.github.recurrentkif.data;

import io.github.recurrentkif.memory.InputException;

/** How the instruction and the input of a sample become the text a model is asked with. */
public enum PromptFormat {
  /** One after the other, with nothing between them. */
  PLAIN {
    @Override
    public String prompt(Sample sample) {
      return sample.source();
    }
  },

  /**
   * The template of Stanford Alpaca for instructions with an input, which the method's release uses
   * for LLaMA; the answer follows directly.
   */
  ALPACA {
    @Override
    public String prompt(Sample sample) {
      if (sample.instruction().isEmpty()) {
        throw new InputException(
            "sample '%s': expected an instruction apart from the input for the prompt format alpaca, found none; use TASK.json files with a key 'instruction' rather than TASK_T5.json, or set prompt-format=plain"
                .formatted(sample.id()));
      }
      return "Below is an instruction that describes a task, paired with an input that provides"
          + " further context. Write a response that appropriately completes the request.\n\n"
          + "### Instruction:\n"
          + sample.instruction()
          + "\n\n### Input:\n"
          + sample.input()
          + "\n\n### Response:\n";
    }
  };

  /**
   * The text before the answer.
   *
   * @throws InputException if the sample lacks what the format shows apart
   */
  public abstract String prompt(Sample sample);
}
