package io.github.recurrentkif.data.world;

/**
 * A text to judge, and the class it belongs to.
 *
 * @param text with the names of its parts: {@code sentence 1: ...}
 * @param label from 0, among the classes of its family
 */
record Question(String text, int label) {}
