/**
 * A small generated world: sentences, questions about them, and tasks in the benchmark's format.
 */
@NullMarked
package io.github.recurrentkif.data.world;

import org.jspecify.annotations.NullMarked;
