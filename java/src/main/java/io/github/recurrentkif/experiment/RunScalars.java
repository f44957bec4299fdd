package io.github.recurrentkif.experiment;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * The numbers of a run over its updates, one event after another. A step is an update on new data,
 * counted through all tasks.
 */
final class RunScalars {

  /** Numbers of one step, by name. */
  record Point(long step, SequencedMap<String, Float> values) {}

  private long before;
  private long update;
  private @Nullable Object task;

  // Several replays belong to one step: what is shown is their mean.
  private int replays;
  private double replayedLoss;

  private int examined;
  private double accuracies;

  /** What an event adds: nothing, or numbers of the step that the run has come to. */
  List<Point> of(Map<String, Object> event) {
    List<Point> points = new ArrayList<>();
    Object kind = event.get("event");
    if ("replay".equals(kind)) {
      replays++;
      replayedLoss += number(event, "loss");
      return points;
    }
    if (replays > 0) {
      points.add(point("loss/replay", replayedLoss / replays));
      replays = 0;
      replayedLoss = 0;
    }
    if ("update".equals(kind)) {
      Object current = event.get("task");
      if (!String.valueOf(current).equals(String.valueOf(task))) {
        before += update;
        task = current;
      }
      update = (long) number(event, "update");
      examined = 0;
      accuracies = 0;
      Point point = point("loss/new", number(event, "loss"));
      put(point, "training/learning_rate", number(event, "learning_rate"));
      put(point, "training/gradient_norm", number(event, "gradient_norm"));
      points.add(point);
    } else if ("fusion".equals(kind) && event.containsKey("shared")) {
      double all = 0;
      for (String name : RunHistory.CLASSES) {
        all += number(event, name);
      }
      Point point = new Point(before + update, new LinkedHashMap<>());
      for (String name : RunHistory.CLASSES) {
        put(point, "importance/" + name, number(event, name) / Math.max(1, all));
      }
      points.add(point);
    } else if ("evaluation".equals(kind)) {
      double accuracy = number(event, "accuracy");
      Point point = point("accuracy/" + event.get("task"), accuracy);
      examined++;
      accuracies += accuracy;
      // The last of those learned; behind it comes the one that will be next.
      if (String.valueOf(event.get("task")).equals(event.get("after"))) {
        put(point, "accuracy_mean/learned_tasks", accuracies / examined);
      }
      points.add(point);
    }
    return points;
  }

  private Point point(String name, double value) {
    Point point = new Point(before + update, new LinkedHashMap<>());
    put(point, name, value);
    return point;
  }

  private static void put(Point point, String name, double value) {
    point.values().put(name, (float) value);
  }

  private static double number(Map<String, Object> event, String name) {
    return event.get(name) instanceof Number number ? number.doubleValue() : Double.NaN;
  }
}
