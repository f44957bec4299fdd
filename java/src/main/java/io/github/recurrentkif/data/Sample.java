package io.github.recurrentkif.data;

/**
 * One question and its answer.
 *
 * @param id the name the data file gives it
 * @param instruction what to do; empty where the file has it merged into the input
 * @param input the text to do it with
 * @param target the answer the model is to generate; equal targets are one class
 */
public record Sample(String id, String instruction, String input, String target) {

  /** A sample whose prompt is given whole. */
  public Sample(String id, String source, String target) {
    this(id, "", source, target);
  }

  /** The whole prompt: instruction and input without anything between them. */
  public String source() {
    return instruction + input;
  }

  /** The same question about another text. */
  Sample withInput(String other) {
    return new Sample(id, instruction, other, target);
  }
}
