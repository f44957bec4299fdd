/**
 * Our numbers against recorded ones: models against Hugging Face, whole runs against the authors'
 * trainer.
 */
@NullMarked
package io.github.recurrentkif.experiment.verification;

import org.jspecify.annotations.NullMarked;
