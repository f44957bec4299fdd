"""Training, decoding and evaluation by kif against PyTorch + Transformers + PEFT, in one interleaved run.

    bench/compare-training MODEL DATA [--rows update,mixed,...] [--blocks 5] [--threads 2]

MODEL is a Hugging Face folder (bench/python/make_model.py writes some of the usual shapes), DATA a folder
with train/TASK.json and test/TASK.json. Each row starts both contestants anew, gives them the same
adapter and the same batches, compares what they compute, and only then lets them work in turns:

    update    2 x 4 samples of the first task: forward, backward, clipping, AdamW
    mixed     the same with 8 samples of 30 to 400 tokens
    long      the same with source length 1024
    cycle     Recurrent-KIF: 8 updates, 4 on mixed memory, fusion; dropout on
    decode    greedy answers of at most 10 tokens to 8 prompts, per sample
    evaluate  500 samples of the first task, the whole command against a script
    first     from starting the process to the end of the first update

Times are medians over the blocks; RSS is the peak of the process over the row. The table goes to
standard output, everything else to bench/results/.
"""

import argparse
import json
import os
import platform
import random
import shlex
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = ("update", "mixed", "long", "cycle", "decode", "evaluate", "first")
TASKS = ("agnews", "dbpedia", "amazon", "yahoo")

# Time and memory to reach, as shares of the peer's, in float32.
TARGETS = {
    "t5": {"update": (0.47, 0.6), "mixed": (0.33, None), "long": (0.6, 0.6), "cycle": (0.35, None),
           "decode": (0.35, None), "evaluate": (0.4, None), "first": (0.5, None)},
    "small t5": {"update": (0.3, None)},
    "llama": {"update": (0.45, 0.5), "decode": (0.5, None)},
}  # fmt: skip
# The same for times of other precisions: kif's, PyTorch's.
TIME_TARGETS = {
    ("bf16-backward", "float32"): {"t5": {"update": 0.37}},
    ("bf16", "float32"): {"t5": {"update": 0.29, "mixed": 0.2, "decode": 0.25}, "llama": {"update": 0.28, "decode": 0.3}},
    ("bf16", "bf16"): {"t5": {"update": 0.7}},
}  # fmt: skip


def targets_of(family, options):
    precisions = (options.kif_precision, options.peer_precision)
    if precisions == ("float32", "float32"):
        return TARGETS[family]
    times = TIME_TARGETS.get(precisions, {}).get(family, {})
    return {row: (times.get(row), memory) for row, (_, memory) in TARGETS[family].items()}


class Contestant:
    """A process that answers requests, one line of JSON each."""

    def __init__(self, command, log):
        self.log = open(log, "w", encoding="utf-8")
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            said = Path(self.log.name).read_text(encoding="utf-8")[-2000:]
            sys.exit(f"{shlex.join(self.command)} ended with status {self.process.returncode}:\n{said}")
        return json.loads(line)

    def peak(self):
        """Peak resident set so far, MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return float("nan")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def read_tensors(file):
    data = Path(file).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = memoryview(data)[8 + length + begin : 8 + length + end].cast("f")
    return tensors


def deviation(ours, theirs):
    """Relative L2 distance of two adapters' tensors together, and the largest of one tensor."""
    a, b = read_tensors(Path(ours, "adapter_model.safetensors")), read_tensors(Path(theirs, "adapter_model.safetensors"))
    if a.keys() != b.keys():
        sys.exit(f"tensors differ: {sorted(a.keys() ^ b.keys())[:4]}")
    distance = size = worst = 0.0
    for name, values in a.items():
        d = sum((x - y) ** 2 for x, y in zip(values, b[name]))
        s = sum(y * y for y in b[name])
        distance, size = distance + d, size + s
        worst = max(worst, (d / s) ** 0.5 if s else d**0.5)
    return (distance / size) ** 0.5, worst


def pad(rows, causal, multiple=8):
    """Micro-batch of [source, target] pairs as Transformers' collators pad with pad_to_multiple_of."""
    if causal:
        rows = [([*source, *target], [-100] * len(source) + target) for source, target in rows]
    length = -(-max(len(source) for source, _ in rows) // multiple) * multiple
    target_length = -(-max(len(target) for _, target in rows) // multiple) * multiple
    batch = {"input_ids": [], "attention_mask": [], "labels": []}
    for source, target in rows:
        rest, target_rest = length - len(source), target_length - len(target)
        if causal:
            batch["input_ids"].append([0] * rest + source)
            batch["attention_mask"].append([0] * rest + [1] * len(source))
            batch["labels"].append([-100] * target_rest + target)
        else:
            batch["input_ids"].append(source + [0] * rest)
            batch["attention_mask"].append([1] * len(source) + [0] * rest)
            batch["labels"].append(target + [-100] * target_rest)
    return batch


class Run:
    def __init__(self, options, folder):
        self.options = options
        self.folder = Path(folder)
        self.adapter = self.folder / "adapter"
        config = json.loads(Path(options.model, "config.json").read_text(encoding="utf-8"))
        self.causal = config["model_type"] != "t5"
        small = not self.causal and config["d_model"] < 512
        self.targets = targets_of("llama" if self.causal else "small t5" if small else "t5", options)
        self.environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
        os.environ.update(self.environment)
        with self.peer(adapter=False) as peer:
            peer.ask(do="new-adapter", file=str(self.adapter))
            self.encoded = {}
            for task in self.tasks():
                samples = json.loads(Path(options.data, "train", task + ".json").read_text(encoding="utf-8"))
                chosen = random.Random(7).sample(samples, min(80, len(samples)))
                pairs = [[s["instruction"] + s["input"], s["output"]] for s in chosen]
                self.encoded[task] = peer.ask(do="encode", samples=pairs, cut=1024)["encoded"]

    def tasks(self):
        return [t for t in self.options.tasks.split(",") if Path(self.options.data, "train", t + ".json").is_file()]

    def kif(self, dropout=False):
        command = [*shlex.split(self.options.kif), "bench", "training", "--model", self.options.model, "--adapter",
                   str(self.adapter), "--threads", str(self.options.threads), "--precision", self.options.kif_precision,
                   *shlex.split(self.options.kif_options)]
        return Contestant(command + ["--dropout"] * dropout, self.folder / "kif.log")

    def peer(self, dropout=False, adapter=True):
        command = [sys.executable, str(ROOT / "bench/python/training_peer.py"), "--model", self.options.model, "--threads",
                   str(self.options.threads), "--precision", self.options.peer_precision]
        command += ["--adapter", str(self.adapter)] * adapter
        return Contestant(command + ["--dropout"] * dropout, self.folder / "peer.log")

    # Batches

    def update(self, samples):
        return [pad(samples[i : i + 2], self.causal) for i in range(0, 8, 2)]

    def task_updates(self, count):
        samples = self.encoded[self.tasks()[0]]
        return [self.update([samples[(8 * u + i) % len(samples)] for i in range(8)]) for u in range(count)]

    def of_lengths(self, lengths):
        """Samples of given source lengths, made of the first task's texts one after another."""
        samples = self.encoded[self.tasks()[0]]
        text = [token for source, _ in samples for token in source[:-1]]
        begin = random.Random(5)
        made = []
        for i, length in enumerate(lengths):
            at = begin.randrange(len(text) - length)
            made.append([text[at : at + length - 1] + [samples[i][0][-1]], samples[i][1]])
        return self.update(made)

    # Rows

    def compare_update(self, kif, peer, update):
        """Loss and gradients of one update; ends the run where they differ."""
        ours = kif.ask(do="gradient", update=update, file=str(self.folder / "ours"))
        theirs = peer.ask(do="gradient", update=update, file=str(self.folder / "theirs"))
        loss = max(abs(a - b) / abs(b) for a, b in zip(ours["losses"], theirs["losses"]))
        gradient, worst = deviation(self.folder / "ours", self.folder / "theirs")
        facts = {"relative loss deviation": loss, "relative gradient deviation": gradient, "of the worst tensor": worst}
        print(f"  loss differs by {loss:.1e}, gradients by {gradient:.1e} (worst tensor {worst:.1e})", file=sys.stderr)
        if not (loss <= self.options.loss_tolerance and gradient <= self.options.gradient_tolerance):
            sys.exit("loss or gradients differ by more than the tolerance: nothing is timed")
        return facts

    def timed(self, kif, peer, ask):
        """Blocks in turns; the first of each is warming up."""
        ours, theirs = [], []
        for block in range(self.options.blocks + 1):
            for contestant, times in ((kif, ours), (peer, theirs)):
                seconds = ask(contestant)
                if block:
                    times += seconds
        return {"kif": ours, "peer": theirs, "kif RSS": kif.peak(), "peer RSS": peer.peak()}

    def updates(self, updates):
        with self.kif() as kif, self.peer() as peer:
            facts = self.compare_update(kif, peer, updates[0])
            times = self.timed(kif, peer, lambda c: c.ask(do="updates", updates=updates)["seconds"])
        return {**times, "compared": facts}

    def row_update(self):
        return self.updates(self.task_updates(self.options.updates))

    def row_mixed(self):
        return self.updates([self.of_lengths([30, 290, 95, 400, 60, 205, 130, 40])] * self.options.updates)

    def row_long(self):
        return self.updates([self.of_lengths([1024] * 8)])

    def row_cycle(self):
        tasks = self.tasks()
        memory = [self.encoded[task][i] for i in range(10) for task in tasks[1:] or tasks]
        outer = [pad(memory[8 * i % 24 : 8 * i % 24 + 8], self.causal) for i in range(4)]
        request = {"do": "cycle", "inner": self.task_updates(8), "outer": outer}
        with self.kif() as kif, self.peer() as peer:
            for contestant, name in ((kif, "ours"), (peer, "theirs")):
                contestant.ask(**request)
                contestant.ask(do="save", file=str(self.folder / name))
        moved, _ = deviation(self.folder / "ours", self.adapter)
        apart, _ = deviation(self.folder / "ours", self.folder / "theirs")
        print(f"  without dropout the cycle moves by {moved:.1e} and ends {apart:.1e} apart", file=sys.stderr)
        if not apart <= self.options.cycle_tolerance * moved:
            sys.exit("the cycles end in other weights: nothing is timed")
        with self.kif(dropout=True) as kif, self.peer(dropout=True) as peer:
            times = self.timed(kif, peer, lambda c: [c.ask(**request)["seconds"]])
        return {**times, "compared": {"weights moved": moved, "weights apart": apart}}

    def row_decode(self):
        prompts = [source for source, _ in self.encoded[self.tasks()[0]]]
        batches = [prompts[i : i + 8] for i in range(0, 8 * self.options.updates, 8)]

        def ask(contestant):
            return [contestant.ask(do="decode", prompts=batch, tokens=10)["seconds"] / 8 for batch in batches]

        with self.kif() as kif, self.peer() as peer:
            different = 0
            for batch in batches:
                answers = [c.ask(do="decode", prompts=batch, tokens=10)["answers"] for c in (kif, peer)]
                different += sum(a != b for a, b in zip(*answers))
            print(f"  {different} of {8 * len(batches)} answers differ", file=sys.stderr)
            if different > self.options.answer_tolerance * 8 * len(batches):
                sys.exit("answers differ: nothing is timed")
            return {**self.timed(kif, peer, ask), "compared": {"answers that differ": different}}

    def row_evaluate(self):
        task = self.tasks()[0]
        ours = [*shlex.split(self.options.kif), "evaluate", "--model", self.options.model, "--adapter", str(self.adapter),
                "--data", self.options.data, "--tasks", task, "--maximum-test-samples", str(self.options.samples),
                "--maximum-new-tokens", "10", *shlex.split(self.options.kif_options)]
        theirs = [sys.executable, str(ROOT / "bench/python/evaluate_peer.py"), "--model", self.options.model, "--adapter",
                  str(self.adapter), "--data", self.options.data, "--task", task, "--samples", str(self.options.samples),
                  "--threads", str(self.options.threads)]
        return self.commands(ours, theirs)

    def commands(self, ours, theirs):
        result = {"kif": [], "peer": [], "kif RSS": 0, "peer RSS": 0, "said": {}}
        for block in range(self.options.blocks_of_commands + 1):
            for name, command in (("kif", ours), ("peer", theirs)):
                start = time.perf_counter()
                with open(self.folder / (name + ".log"), "w+", encoding="utf-8") as log:
                    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
                    said = process.stdout.read()
                    _, status, usage = os.wait4(process.pid, 0)
                seconds = time.perf_counter() - start
                if status:
                    sys.exit(f"{shlex.join(command)} failed:\n{Path(self.folder / (name + '.log')).read_text()[-2000:]}")
                result["said"][name] = said.strip().splitlines()[0 if name == "peer" else -1]
                result[name + " RSS"] = max(result[name + " RSS"], usage.ru_maxrss / 1024)
                if block:
                    result[name].append(seconds)
        print(f"  {result['said']}", file=sys.stderr)
        return result

    def row_first(self):
        result = {"kif": [], "peer": [], "kif RSS": 0, "peer RSS": 0}
        update = self.task_updates(1)
        for block in range(self.options.blocks_of_commands + 1):
            seconds, peak = self.first_of_kif(block)
            start = time.perf_counter()
            with self.peer() as peer:
                peer.ask(do="updates", updates=update)
                theirs = time.perf_counter() - start
                result["peer RSS"] = max(result["peer RSS"], peer.peak())
            if block:
                result["kif"].append(seconds)
                result["peer"].append(theirs)
                result["kif RSS"] = max(result["kif RSS"], peak)
        return result

    def first_of_kif(self, block):
        """Until the first update stands in the run's event log."""
        output = self.folder / f"run-{block}"
        command = [*shlex.split(self.options.kif), "train", "--model", self.options.model, "--data", self.options.data,
                   "--tasks", self.tasks()[0], "--method", "recurrent-kif", "--output", str(output), "--set",
                   f"threads={self.options.threads}", "--set", f"precision={self.options.kif_precision}",
                   *shlex.split(self.options.kif_options)]
        events = output / "events.jsonl"
        start = time.perf_counter()
        with open(self.folder / "kif.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                while not (events.is_file() and events.stat().st_size):
                    if process.poll() is not None:
                        sys.exit(f"{shlex.join(command)} failed:\n{Path(log.name).read_text()[-2000:]}")
                    time.sleep(0.002)
                seconds = time.perf_counter() - start
                status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
            finally:
                process.kill()
                process.wait()
        return seconds, peak


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    q = statistics.quantiles(values, n=4, method="inclusive")
    return q[0], q[2]


def table(rows, targets):
    lines = ["| row | kif, s | quartiles | PyTorch, s | quartiles | of the time | to reach | RSS kif, MB | RSS PyTorch | of the RSS | to reach |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, row in rows.items():
        ours, theirs = statistics.median(row["kif"]), statistics.median(row["peer"])
        (a, b), (c, d) = quartiles(row["kif"]), quartiles(row["peer"])
        time_target, memory_target = targets.get(name, (None, None))
        lines.append(
            f"| {name} | {ours:.3f} | {a:.3f} to {b:.3f} | {theirs:.3f} | {c:.3f} to {d:.3f} | {ours / theirs:.2f} | "
            f"{time_target or ''} | {row['kif RSS']:.0f} | {row['peer RSS']:.0f} | {row['kif RSS'] / row['peer RSS']:.2f} | "
            f"{memory_target or ''} |")
    return "\n".join(lines)


def machine():
    processor = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    from importlib.metadata import version

    return {"processor": processor, "cores": os.cpu_count(), "load": os.getloadavg()[0], "date": date.today().isoformat(),
            **{name: version(name) for name in ("torch", "transformers", "peft")}}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(prog="bench/compare-training", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--rows", default=",".join(ROWS), help="of " + ", ".join(ROWS))
    parser.add_argument("--tasks", default=",".join(TASKS), help="of DATA; those without a file are left out")
    parser.add_argument("--blocks", type=int, default=5, help="measured turns of each contestant")
    parser.add_argument("--blocks-of-commands", type=int, default=2, help="the same where a turn is a whole process")
    parser.add_argument("--updates", type=int, default=3, help="updates or batches in one turn")
    parser.add_argument("--samples", type=int, default=500, help="of the row evaluate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kif", default=str(ROOT / "kif"), help="the command to measure")
    parser.add_argument("--kif-options", default="", help='for kif alone: --kif-options=--lean')
    parser.add_argument("--kif-precision", choices=["float32", "bf16-backward", "bf16"], default="float32",
                        help="what kif trains in; the results are compared with wider tolerances then")
    parser.add_argument("--peer-precision", choices=["float32", "bf16"], default="float32", help="bf16: autocast")
    parser.add_argument("--loss-tolerance", type=float, help="default: 1e-5, in bf16 1e-2")
    parser.add_argument("--gradient-tolerance", type=float, help="default: 1e-3, in bf16 0.1")
    parser.add_argument("--cycle-tolerance", type=float,
                        help="share of the way that weights may end apart: a mask entry near its threshold may flip"
                        " (default: 0.05, in bf16 0.5)")
    parser.add_argument("--answer-tolerance", type=float, default=0.0, help="share of answers that may differ")
    parser.add_argument("--json", type=Path, help="default: bench/results/training-NAME.json")
    options = parser.parse_args()
    exact = options.kif_precision == options.peer_precision == "float32"
    for name, of_float32, of_bf16 in (("loss", 1e-5, 1e-2), ("gradient", 1e-3, 0.1), ("cycle", 0.05, 0.5)):
        if getattr(options, name + "_tolerance") is None:
            setattr(options, name + "_tolerance", of_float32 if exact else of_bf16)
    options.model = str(Path(options.model).resolve())
    options.data = str(Path(options.data).resolve())
    chosen = options.rows.split(",")
    for row in chosen:
        if row not in ROWS:
            parser.error(f"--rows: there is no '{row}'; there are {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory() as folder:
        facts = machine()
        run = Run(options, folder)
        rows = {}
        for row in chosen:
            print(row, file=sys.stderr)
            rows[row] = getattr(run, "row_" + row)()
            print(table({row: rows[row]}, run.targets).splitlines()[-1], file=sys.stderr)
    print(f"{Path(options.model).name}, {options.threads} threads, {facts['processor']}, load {facts['load']:.1f}, "
          f"torch {facts['torch']}, transformers {facts['transformers']}, peft {facts['peft']}"
          + (f", kif with {options.kif_options}" if options.kif_options else "")
          + (f", kif in {options.kif_precision}" if options.kif_precision != "float32" else "")
          + (", PyTorch in bf16 autocast" if options.peer_precision == "bf16" else ""))
    print(table(rows, run.targets))
    kind = "".join("-" + p for p in (options.kif_precision, options.peer_precision) if not exact)
    output = options.json or ROOT / "bench/results" / f"training-{Path(options.model).name}{kind}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    chosen_options = {"kif options": options.kif_options, "kif precision": options.kif_precision, "peer precision": options.peer_precision,
                      "threads": options.threads, "blocks": options.blocks, "updates": options.updates}
    document = {"model": Path(options.model).name, "machine": facts, "options": chosen_options, "rows": rows}
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
