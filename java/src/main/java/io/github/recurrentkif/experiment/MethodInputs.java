package io.github.recurrentkif.experiment;

import io.github.recurrentkif.continual.FreshAdapter;
import io.github.recurrentkif.kernels.Kernels;
import io.github.recurrentkif.kernels.RandomKey;
import io.github.recurrentkif.memory.ParameterLayout;
import io.github.recurrentkif.training.TextModel;

/**
 * What the method of a run is made from.
 *
 * @param tasks how many the stream has
 * @param layout of the weights that will be learned
 * @param kernels of the learner to come
 * @param fresh what a new adapter begins with
 * @param text the model that will be learned
 * @param key of what a method draws itself
 */
record MethodInputs(
    Settings settings,
    int tasks,
    ParameterLayout layout,
    Kernels kernels,
    FreshAdapter fresh,
    TextModel text,
    RandomKey key) {}
