/**
 * The paper: methods that learn one task after another, replay memory, and the measures of
 * forgetting.
 */
@NullMarked
package io.github.recurrentkif.continual;

import org.jspecify.annotations.NullMarked;
