package io.github.recurrentkif.data.world;

/**
 * A text to judge, and the class it belongs to.
 *
 * @param text with the names of its parts: {@code sentence 1: ...}
 * @param label from 0, among the classes of its family
 */
record Question(String text, int label) {

  /** One text in so many is kept for the tasks. */
  private static final int SHARE = 8;

  /**
   * Whether the text is kept for the tasks. All others are for practice, so that no text of a task
   * was ever practised.
   */
  boolean keptForTasks() {
    return Math.floorMod(text.hashCode(), SHARE) == 0;
  }
}
