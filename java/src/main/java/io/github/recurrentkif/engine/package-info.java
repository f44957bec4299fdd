/** What other programs call: see docs/embedding.md. */
@NullMarked
package io.github.recurrentkif.engine;

import org.jspecify.annotations.NullMarked;
