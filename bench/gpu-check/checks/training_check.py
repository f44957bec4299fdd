"""Training by kif on a GPU: a run against the processor's, and updates against PyTorch.

    python training_check.py --pack PACK --results FOLDER [--quick] [--device cuda|cpu] [--torch-device cuda|cpu]

Run by 50-training.sh. Leaves training.json; the last line of the output says how it went.
On a machine without a GPU, `--device cpu` tries the check itself, and `--torch-device cpu` with an
emulated device also what it says of bf16.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import threading
import time
from pathlib import Path

import torch
from torch_t5 import T5, make, read

SMALL = {"d_model": 512, "d_kv": 64, "num_heads": 8, "d_ff": 2048, "num_layers": 6, "num_decoder_layers": 6, "vocab_size": 32128}
QUICK = {"d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 128, "num_layers": 2, "num_decoder_layers": 2, "vocab_size": 512}
COMMON = {
    "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6, "dropout_rate": 0.0,
    "feed_forward_proj": "relu", "is_encoder_decoder": True, "tie_word_embeddings": True,
    "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
}  # fmt: skip

# Trajectories part slowly by rounding; a fault parts them at once.
TRAJECTORY_LIMIT = 1e-2
GRADIENT_LIMIT = 2e-3
# Rounding in bfloat16 takes PyTorch's gradient some way from float32's; ours may go twice as far.
ROUNDED_LIMIT = 2


class Utilisation:
    """What nvidia-smi says of the GPU while something runs."""

    def __enter__(self):
        self.samples = []
        self.process = None
        if shutil.which("nvidia-smi"):
            query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "50"]
            self.process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
            self.thread = threading.Thread(target=self.gather)
            self.thread.start()
        return self

    def gather(self):
        for line in self.process.stdout:
            try:
                self.samples.append([float(value) for value in line.split(",")[:2]])
            except ValueError:
                pass

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.thread.join()

    def summary(self):
        if not self.samples:
            return None
        return {"percent": statistics.mean(s[0] for s in self.samples), "memory_mb": max(s[1] for s in self.samples)}


class Kif:
    """`kif bench training` as a process that answers requests."""

    def __init__(self, command, model, device, graph, precision, log):
        arguments = ["bench", "training", "--model", model, "--adapter", model / "adapter", "--device", device, "--graph", graph,
                     "--precision", precision]  # fmt: skip
        self.log = open(log, "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"kif ended with {self.process.returncode}; see {self.log.name}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def batches(vocabulary, count, rows, low, high, seed):
    """Updates of two micro-batches of random tokens, padded to a multiple of 8."""
    draw = random.Random(seed)
    updates = []
    for _ in range(count):
        update = []
        for _ in range(2):
            lengths = [draw.randint(low, high) for _ in range(rows)]
            answers = [draw.randint(2, 6) for _ in range(rows)]
            width = -(-max(lengths) // 8) * 8
            height = -(-max(answers) // 8) * 8
            token = lambda: draw.randrange(3, vocabulary)  # noqa: E731
            update.append(
                {
                    "input_ids": [[token() for _ in range(n)] + [0] * (width - n) for n in lengths],
                    "attention_mask": [[1] * n + [0] * (width - n) for n in lengths],
                    "labels": [[token() for _ in range(n)] + [-100] * (height - n) for n in answers],
                }
            )
        updates.append(update)
    return updates


def distance(expected, found):
    """Relative L2 over all tensors."""
    off = sum((expected[name].double() - found[name].double()).pow(2).sum() for name in expected)
    return float((off / sum(tensor.double().pow(2).sum() for tensor in expected.values())).sqrt())


def trajectory(kif, pack, results, device):
    """The same run on the processor and on the device: how far the final adapters are apart."""
    found = {}
    tasks = sorted(file.stem for file in (pack / "provider/data/train").glob("*.json"))[:2]
    for name, where, graph in (("cpu", "cpu", "padded"), ("padded", device, "padded"), ("recorded", device, "recorded")):
        if where == "cpu" and graph == "recorded":
            continue
        folder = results / "runs" / name
        shutil.rmtree(folder, ignore_errors=True)
        command = [*kif, "train", "--plain", "--device", where, "--graph", graph, "--model", pack / "provider/tiny-t5",
                   "--data", pack / "provider/data", "--tasks", ",".join(tasks), "--output", folder,
                   "--set", "epochs=2", "--set", "accumulation=2", "--set", "cycle-length=3", "--set", "outer-steps=2"]  # fmt: skip
        start = time.perf_counter()
        with open(results / f"train-{name}.txt", "w", encoding="utf-8") as log:
            subprocess.run([*map(str, command)], check=True, stdout=log, stderr=subprocess.STDOUT)
        found[name] = {"seconds": time.perf_counter() - start}
        last = sorted((folder / "adapters").iterdir())[-1]
        found[name]["adapter"] = read(last / "adapter_model.safetensors")
    expected = found["cpu"].pop("adapter")
    for name, entry in found.items():
        if "adapter" in entry:
            entry["distance"] = distance(expected, entry.pop("adapter"))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--torch-device", help="where PyTorch computes (default: as --device)")
    options = parser.parse_args()
    where = options.torch_device or options.device
    options.results.mkdir(parents=True, exist_ok=True)
    if where == "cpu":
        torch.set_num_threads(1)  # Waiting threads of two programs keep each other from work.
    java = [options.pack / "java/bin/java", "--enable-native-access=ALL-UNNAMED", "-jar", options.pack / "app/recurrent-kif.jar"]
    kif = [*map(str, java)] if "KIF" not in os.environ else [os.environ["KIF"]]

    report = {"torch": torch.__version__, "trajectory": trajectory(kif, options.pack, options.results, options.device)}
    wrong = [name for name, entry in report["trajectory"].items() if entry.get("distance", 0) > TRAJECTORY_LIMIT]

    config = {**COMMON, **(QUICK if options.quick else SMALL)}
    model = options.results / "model"
    shutil.rmtree(model, ignore_errors=True)
    make(model, config, options.pack / "provider/tiny-t5/tokenizer.json")
    updates = batches(config["vocab_size"], 4, 4, 30, 60 if options.quick else 330, 1)
    ways = {"kif padded": ("padded", "float32")}
    if options.device != "cpu":
        ways |= {"kif recorded": ("recorded", "float32"), "kif padded bf16": ("padded", "bf16"),
                 "kif recorded bf16": ("recorded", "bf16")}  # fmt: skip
    contestants = {
        name: Kif(kif, model, options.device, graph, precision, options.results / f"kif-{graph}-{precision}.txt")
        for name, (graph, precision) in ways.items()
    }
    forms = {"torch eager": {}, "torch compiled": {"compiled": True}, "torch eager bf16": {"bf16": True},
             "torch compiled bf16": {"compiled": True, "bf16": True}}  # fmt: skip
    if where == "cpu":
        forms = {"torch eager": {}, "torch eager bf16": {"bf16": True}}
    peers = {name: T5(model, where, **form) for name, form in forms.items()}

    losses, expected = peers["torch eager"].gradient(updates[0])
    rounded_losses, rounded = peers["torch eager bf16"].gradient(updates[0])
    autocast = distance(expected, rounded)
    report["gradient"] = {"torch eager bf16": {"distance": autocast, "losses": rounded_losses}}
    for name, contestant in contestants.items():
        file = options.results / "gradient"
        answer = contestant.ask(do="gradient", update=updates[0], file=str(file))
        found = read(file / "adapter_model.safetensors")
        report["gradient"][name] = {"distance": distance(expected, found), "losses": answer["losses"], "torch_losses": losses}
        away = report["gradient"][name]["distance"]
        # Products that are float32 after all would be too near.
        if not (autocast / 10 < away < ROUNDED_LIMIT * autocast if ways[name][1] == "bf16" else away < GRADIENT_LIMIT):
            wrong.append("gradient of " + name)

    # Interleaved blocks; the first of each warms up, records and compiles.
    blocks = 3 if options.quick else 8
    seconds = {name: [] for name in [*contestants, *peers]}
    use = {}
    for block in range(blocks):
        for name, contestant in contestants.items():
            with Utilisation() as watched:
                answer = contestant.ask(do="updates", updates=updates * 3)
            seconds[name] += answer["seconds"] if block else []
            use[name] = watched.summary()
        for name, peer in list(peers.items()):
            try:
                with Utilisation() as watched:
                    for update in updates * 3:
                        start = time.perf_counter()
                        peer.step(update)
                        if block:
                            seconds[name].append(time.perf_counter() - start)
                use[name] = watched.summary()
            except Exception as problem:  # A compiler that is not there says so in many ways.
                report.setdefault("absent", {})[name] = f"{type(problem).__name__}: {str(problem)[:300]}"
                del peers[name]
    for contestant in contestants.values():
        contestant.close()
    report["updates"] = {
        name: {"median_ms": 1e3 * statistics.median(times), "least_ms": 1e3 * min(times), "utilisation": use.get(name)}
        for name, times in seconds.items()
        if times
    }
    report["wrong"] = wrong
    (options.results / "training.json").write_text(json.dumps(report, indent=1))
    for name, entry in report["updates"].items():
        print(f"{name:22} {entry['median_ms']:9.2f} ms an update, least {entry['least_ms']:.2f}")
    distances = {name: entry["distance"] for name, entry in report["trajectory"].items() if "distance" in entry}
    print(("WRONG: " + ", ".join(wrong) if wrong else "all agree") + f"; trajectories {distances}, gradients "
          f"{ {name: entry['distance'] for name, entry in report['gradient'].items()} }")  # fmt: skip
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
