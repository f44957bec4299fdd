package io.github.recurrentkif.model;

import io.github.recurrentkif.graph.Graph;
import io.github.recurrentkif.graph.Value;
import io.github.recurrentkif.graph.operators.BiasAddition;
import io.github.recurrentkif.graph.operators.Embedding;
import io.github.recurrentkif.graph.operators.LowRankUpdate;
import io.github.recurrentkif.memory.InputException;
import io.github.recurrentkif.memory.Shape;
import io.github.recurrentkif.model.DropoutPlace.Side;
import java.util.HashSet;
import java.util.Set;

/**
 * What the layers of a transformer have in common, over the parameters of one graph: which are
 * trained, and which linear layers have an adapter.
 */
final class Layers {

  private final Graph graph;
  private final Trainables trainables;
  private final TokenRows rows;
  private final Set<String> usedTargets = new HashSet<>();

  Layers(Graph graph, Trainables trainables, TokenRows rows) {
    this.graph = graph;
    this.trainables = trainables;
    this.rows = rows;
  }

  Value parameter(String name, Shape shape) {
    return trainables instanceof Trainables.EveryWeight
        ? graph.trainable(name, shape)
        : graph.frozen(name, shape);
  }

  Value embedded(Value ids, Value table) {
    return graph.apply(new Embedding(ids, table));
  }

  Value norm(Value x, String name, int width, float epsilon) {
    return rows.norm(x, parameter(name, Shape.of(width)), epsilon);
  }

  /** A linear layer, with its adapter where it has one. */
  Value linear(Value x, String module, long out, long in, Side side) {
    return linear(x, module, out, in, side, false);
  }

  /** A linear layer, with its bias and its adapter where it has them. */
  Value linear(Value x, String module, long out, long in, Side side, boolean biased) {
    Value y = rows.linear(x, parameter(module + ".weight", Shape.of(out, in)));
    if (biased) {
      y = graph.apply(new BiasAddition(y, parameter(module + ".bias", Shape.of(out))));
    }
    if (!(trainables instanceof Trainables.Adapter(LoraConfig lora)) || !lora.adapts(module)) {
      return y;
    }
    lora.targets().stream().filter(t -> module.endsWith("." + t)).forEach(usedTargets::add);
    Value adapted = rows.dropped(x, side, (int) in, lora.dropout());
    Value a = graph.trainable(module + ".lora_A.weight", Shape.of(lora.rank(), in));
    Value b = graph.trainable(module + ".lora_B.weight", Shape.of(out, lora.rank()));
    return graph.apply(new LowRankUpdate(y, adapted, a, b, lora.scale()));
  }

  /**
   * @throws InputException if the adapter has a target that no linear layer so far has met
   */
  void requireTargetsMet(String family, String modules) {
    if (trainables instanceof Trainables.Adapter(LoraConfig lora)) {
      for (String target : lora.targets()) {
        if (!usedTargets.contains(target)) {
          throw new InputException(
              "the adapter's target module '"
                  + target
                  + "' names no linear layer of this "
                  + family
                  + "; it has "
                  + modules);
        }
      }
    }
  }
}
