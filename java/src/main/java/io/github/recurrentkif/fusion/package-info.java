/**
 * Merging weights that others trained: models and adapters of any size, streamed from file to file.
 */
@NullMarked
package io.github.recurrentkif.fusion;

import org.jspecify.annotations.NullMarked;
