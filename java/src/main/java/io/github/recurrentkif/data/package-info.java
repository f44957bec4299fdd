/** Tasks, tokens and batches. */
@NullMarked
package io.github.recurrentkif.data;

import org.jspecify.annotations.NullMarked;
