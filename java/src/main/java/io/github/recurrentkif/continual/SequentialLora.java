package io.github.recurrentkif.continual;

/**
 * The lower bound: one adapter, trained on task after task, and nothing against forgetting. Each
 * task begins with a new optimiser.
 */
public final class SequentialLora<B> implements ContinualMethod<B> {}
