/** What a researcher touches: run folders, configuration, events, checkpoints. */
@NullMarked
package io.github.recurrentkif.experiment;

import org.jspecify.annotations.NullMarked;
