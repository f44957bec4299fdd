/** One update: batches to gradients to kernels; evaluation and decoding. */
@NullMarked
package io.github.recurrentkif.training;

import org.jspecify.annotations.NullMarked;
