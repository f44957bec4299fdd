"""Adds up an ONNX Runtime profile: how long the nodes of each kind take in one run, in milliseconds.

    kif bench training ... --profile PREFIX
    node_times.py PREFIX-GRAPH_TIME.json [MORE.json ...] [--lower]

Of each node the median over its runs, the first quarter of which does not count; with --lower the lower quartile, which
other programs disturb less. Runs must be of one shape. More files give more columns.
"""

import argparse
import json
import statistics
from collections import Counter


def times(path, middle):
    """The nodes of each kind, their time in ms, and the median of a whole run."""
    with open(path) as file:
        events = json.load(file)
    runs = sorted((e for e in events if e["name"] == "model_run"), key=lambda e: e["ts"])
    runs = runs[len(runs) // 4 :]
    nodes = sorted((e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")), key=lambda e: e["ts"])
    by_run = [[n for n in nodes if run["ts"] <= n["ts"] < run["ts"] + run["dur"]] for run in runs]
    if not by_run or len({len(run) for run in by_run}) != 1:
        raise SystemExit(f"{path}: expected runs with the same nodes each, found {sorted({len(run) for run in by_run})} nodes")
    counts, sums = Counter(), Counter()
    for same in zip(*by_run):
        kind = same[0]["args"]["op_name"]
        counts[kind] += 1
        sums[kind] += middle([node["dur"] for node in same]) / 1e3
    return counts, sums, statistics.median(run["dur"] for run in runs) / 1e3


def lower_quartile(values):
    return sorted(values)[(len(values) - 1) // 4]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profiles", nargs="+")
    parser.add_argument("--lower", action="store_true")
    options = parser.parse_args()
    columns = [times(path, lower_quartile if options.lower else statistics.median) for path in options.profiles]
    kinds = sorted({kind for _, sums, _ in columns for kind in sums}, key=lambda kind: -max(sums[kind] for _, sums, _ in columns))
    print("| kind of node |" + "".join(f" {path} |" for path in options.profiles))
    print("| --- |" + " --- |" * len(columns))
    for kind in kinds:
        print(f"| {kind} |" + "".join(f" {sums[kind]:.1f} ({counts[kind]}) |" for counts, sums, _ in columns))
    print("| all nodes |" + "".join(f" {sums.total():.1f} ({counts.total()}) |" for counts, sums, _ in columns))
    print("| a run, median |" + "".join(f" {run:.1f} |" for _, _, run in columns))


if __name__ == "__main__":
    main()
