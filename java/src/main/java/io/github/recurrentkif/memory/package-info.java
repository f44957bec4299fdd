/** One layout, many vectors: where parameters live, and how they are stored on disk. */
@NullMarked
package io.github.recurrentkif.memory;

import org.jspecify.annotations.NullMarked;
