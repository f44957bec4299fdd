"""Reads what a run wrote for TensorBoard back through TensorBoard itself, and compares every scalar
with the run's events.jsonl:

    python bench/python/check_tensorboard.py RUN
"""

import json
import math
import sys
from collections import defaultdict
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

CLASSES = ["shared", "new_only", "old_only", "redundant"]


def expected(run):
    """Scalars by tag as (step, value), from the events alone."""
    scalars = defaultdict(list)
    before, update, task = 0, 0, None
    replays, accuracies = [], []
    for line in (run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        kind = event["event"]
        if kind == "replay":
            replays.append(event["loss"])
            continue
        if replays:
            scalars["loss/replay"].append((before + update, sum(replays) / len(replays)))
            replays = []
        if kind == "update":
            if event["task"] != task:
                before, task = before + update, event["task"]
            update = event["update"]
            accuracies = []
            step = before + update
            scalars["loss/new"].append((step, event["loss"]))
            scalars["training/learning_rate"].append((step, event["learning_rate"]))
            scalars["training/gradient_norm"].append((step, event["gradient_norm"]))
        elif kind == "fusion":
            everything = sum(event[name] for name in CLASSES)
            for name in CLASSES:
                scalars[f"importance/{name}"].append((before + update, event[name] / everything))
        elif kind == "evaluation":
            accuracies.append(event["accuracy"])
            scalars[f"accuracy/{event['task']}"].append((before + update, event["accuracy"]))
            if event["task"] == event["after"]:
                mean = sum(accuracies) / len(accuracies)
                scalars["accuracy_mean/learned_tasks"].append((before + update, mean))
    return scalars


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run = Path(sys.argv[1])
    accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance={SCALARS: 0})
    accumulator.Reload()
    wanted = expected(run)
    tags = accumulator.Tags()["scalars"]
    assert sorted(tags) == sorted(wanted), (sorted(tags), sorted(wanted))
    points = 0
    for tag in tags:
        found = [(event.step, event.value) for event in accumulator.Scalars(tag)]
        assert len(found) == len(wanted[tag]), (tag, len(found), len(wanted[tag]))
        for (step, value), (wanted_step, wanted_value) in zip(found, wanted[tag]):
            assert step == wanted_step, (tag, step, wanted_step)
            assert math.isclose(value, wanted_value, rel_tol=1e-6), (tag, step, value, wanted_value)
        points += len(found)
    print(f"TensorBoard reads {points} scalars of {len(tags)} tags, equal to the events")


if __name__ == "__main__":
    main()
