/** What a model is: architectures, LoRA, Hugging Face folders, training artifacts. */
@NullMarked
package io.github.recurrentkif.model;

import org.jspecify.annotations.NullMarked;
