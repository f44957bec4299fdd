package io.github.recurrentkif.data;

/**
 * One question and its answer.
 *
 * @param id the name the data file gives it
 * @param source the whole prompt: instruction and text
 * @param target the answer the model is to generate; equal targets are one class
 */
public record Sample(String id, String source, String target) {}
