/** Many runs from one file: the plan, the processes that carry it out, and what they leave. */
@NullMarked
package io.github.recurrentkif.experiment.sweep;

import org.jspecify.annotations.NullMarked;
