"""Merges the same models with kif and with mergekit, in turns, and compares results, time and memory.

    bench/compare-fuse [--millions N] [--rounds N] [--rules ties,linear,...] [--threads N]
                       [--scratch DIR] [--keep] [--page docs/fusion.md]

Makes a base and two models of the shape of LLaMA with random weights (bfloat16 for the measurement,
float32 and small for the comparison of results), merges them by every rule with both programs, as
processes of their own, in turns, and writes bench/results/fuse-PROCESSOR.json and a table, with
--page also between the marks of that page. --scratch is where models and results lie (about 5 GB for
469 million weights); a disk slower than the programs hides what they do, memory (/dev/shm) does not.
With --keep they stay there, and each further call adds its rounds: a machine that is quiet for a short
while only can be measured in pieces. --rounds 0 makes the models, and at the end writes the table.

Results are compared first, in float32. Where mergekit has to choose among equal magnitudes at the
threshold (it sorts and takes exactly k), so that single elements may differ, their share is told;
it must stay below one in a thousand. DARE draws at random in both: its share of drawn elements is
compared instead.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = {
    "linear": {"merge_method": "linear", "parameters": {"normalize": True}},
    "task-arithmetic": {"merge_method": "task_arithmetic", "parameters": {"normalize": False}},
    "ties": {"merge_method": "ties", "parameters": {"normalize": True}},
    "dare-linear": {"merge_method": "dare_linear", "parameters": {"normalize": False}},
}
DENSITY = 0.2


def shape_of(millions):
    """Layers, width and vocabulary of a LLaMA with about so many million weights."""
    if millions < 1:
        return dict(layers=2, width=64, inner=128, vocabulary=200, heads=4)
    width = 1536
    layer = 4 * width * width + 3 * width * 4096
    layers = max(1, round((millions * 1e6 - 2 * 32000 * width) / layer))
    return dict(layers=layers, width=width, inner=4096, vocabulary=32000, heads=12)


def tensors(shape):
    width, inner = shape["width"], shape["inner"]
    yield "model.embed_tokens.weight", (shape["vocabulary"], width)
    for layer in range(shape["layers"]):
        block = f"model.layers.{layer}."
        for name in "qkvo":
            yield f"{block}self_attn.{name}_proj.weight", (width, width)
        yield f"{block}mlp.gate_proj.weight", (inner, width)
        yield f"{block}mlp.up_proj.weight", (inner, width)
        yield f"{block}mlp.down_proj.weight", (width, inner)
        yield f"{block}input_layernorm.weight", (width,)
        yield f"{block}post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (shape["vocabulary"], width)


def make(folder, shape, dtype):
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape["width"],
        "intermediate_size": shape["inner"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["heads"],
        "vocab_size": shape["vocabulary"],
        "tie_word_embeddings": False,
        "torch_dtype": str(dtype).split(".")[1],
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    generator = torch.Generator().manual_seed(1)
    base = {
        name: torch.randn(size, generator=generator) * 0.02 for name, size in tensors(shape)
    }
    for name in ("base", "a", "b"):
        path = folder / name
        path.mkdir(parents=True)
        weights = base
        if name != "base":
            weights = {
                k: v + torch.randn(v.shape, generator=generator) * 0.002 for k, v in base.items()
            }
        save_file(
            {k: v.to(dtype).contiguous() for k, v in weights.items()},
            path / "model.safetensors",
            metadata={"format": "pt"},
        )
        (path / "config.json").write_text(json.dumps(config))


def kif_command(rule, models, output, arguments):
    command = [arguments.kif, "fuse", "--rule", rule, "--output", str(output)]
    command += ["--model", str(models / "a"), "--model", f"{models / 'b'}=0.5"]
    command += ["--threads", str(arguments.threads), "--density", str(DENSITY)]
    if rule != "linear":
        command += ["--base", str(models / "base")]
    return command


def mergekit_command(rule, models, output, program):
    config = dict(RULES[rule])
    config["models"] = [
        {"model": str(models / "a"), "parameters": {"weight": 1.0, "density": DENSITY}},
        {"model": str(models / "b"), "parameters": {"weight": 0.5, "density": DENSITY}},
    ]
    if rule != "linear":
        config["base_model"] = str(models / "base")
    else:
        for model in config["models"]:
            del model["parameters"]["density"]
    recipe = models / f"{rule}.yaml"
    recipe.write_text(json.dumps(config))  # JSON is YAML
    return [program, str(recipe), str(output), "--no-copy-tokenizer", "--lazy-unpickle"]


# In a small process of its own: a child begins with the peak of the process that forked it.
MEASURER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
with open(sys.argv[1], "w") as log:
    status = subprocess.call(sys.argv[2:], stdout=log, stderr=log)
seconds = time.perf_counter() - start
print(json.dumps([status, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""


def run(command, threads):
    """Seconds, and the largest resident set in MiB, of one process."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    with tempfile.NamedTemporaryFile("r") as log:
        measured = subprocess.run(
            [sys.executable, "-ISc", MEASURER, log.name, *command],
            stdout=subprocess.PIPE,
            env=environment,
            check=True,
        )
        status, seconds, peak = json.loads(measured.stdout)
        if status != 0:
            sys.exit(f"{' '.join(command)} failed:\n{log.read()[-2000:]}")
    return seconds, peak


def load(folder):
    weights = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights.update(load_file(file))
    return weights


def compare(rule, models, ours, theirs):
    base, a, b, x, y = (load(p) for p in (models / "base", models / "a", models / "b", ours, theirs))
    if x.keys() != y.keys():
        sys.exit(f"{rule}: the two programs wrote different tensors")
    elements = sum(v.numel() for v in x.values())
    if rule.startswith("dare"):
        changed = [
            sum((w[k] != base[k]).sum().item() for k in base) / elements for w in (x, y)
        ]
        if abs(changed[0] - changed[1]) > 0.02:
            sys.exit(f"{rule}: shares of changed weights differ: {changed}")
        return f"{changed[0]:.3f} and {changed[1]:.3f} of the weights changed"
    apart = sum(((x[k] - y[k]).abs() > 1e-6).sum().item() for k in x)
    if apart > elements / 1000:
        sys.exit(f"{rule}: {apart} of {elements} weights differ by more than 1e-6")
    return f"{apart} of {elements} differ by more than 1e-6"


BEGIN, END = "<!-- measured by bench/compare-fuse -->", "<!-- end -->"


def write_between_marks(page, lines):
    text = page.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(text[:begin] + "\n\n" + "\n".join(lines) + "\n\n" + text[end:])


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def new_row(agreement):
    return {
        "agreement": agreement,
        "seconds": {"kif": [], "mergekit": [], "copy": []},
        "peak_mib": {"kif": 0, "mergekit": 0},
        "load": [],
    }


def agreements(small, arguments):
    """By rule, how far the results of both programs agree, in float32."""
    make(small, shape_of(0), torch.float32)
    found = {}
    for rule in RULES:
        ours, theirs = small / f"ours-{rule}", small / f"theirs-{rule}"
        run(kif_command(rule, small, ours, arguments), arguments.threads)
        run(mergekit_command(rule, small, theirs, arguments.mergekit), arguments.threads)
        found[rule] = compare(rule, small, ours, theirs)
        print(f"{rule}: {found[rule]}", flush=True)
    return found


def measure(rule, models, scratch, row, arguments):
    """Adds one round to a row: each program once, and a copy."""
    output = scratch / "output"
    for name, command in (
        ("kif", kif_command(rule, models, output, arguments)),
        ("mergekit", mergekit_command(rule, models, output, arguments.mergekit)),
    ):
        seconds, peak = run(command, arguments.threads)
        row["seconds"][name].append(seconds)
        row["peak_mib"][name] = max(row["peak_mib"][name], peak)
        shutil.rmtree(output)
    start = time.perf_counter()
    for name in ["a", "b"] + ([] if rule == "linear" else ["base"]):
        with open(models / name / "model.safetensors", "rb") as file:
            while file.read(1 << 22):
                pass
    shutil.copy(models / "a/model.safetensors", scratch / "copy")
    row["seconds"]["copy"].append(time.perf_counter() - start)
    row["load"].append(os.getloadavg()[0])
    (scratch / "copy").unlink()


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


@contextlib.contextmanager
def place(arguments):
    """Where models, results and timings lie: a folder that stays, or one for this call."""
    if arguments.keep:
        name = f"compare-fuse-{arguments.millions:g}"
        folder = Path(arguments.scratch or tempfile.gettempdir()) / name
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in ("small", "making", "output"):
            shutil.rmtree(folder / unfinished, ignore_errors=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="compare-fuse-", dir=arguments.scratch) as folder:
            yield Path(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, default=469, help="weights of a model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rules", default="ties,linear")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--kif", default=str(REPOSITORY / "kif"))
    parser.add_argument("--mergekit", default=str(Path(sys.executable).parent / "mergekit-yaml"))
    parser.add_argument("--scratch", type=Path, help="default: the usual folder for such")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave models and timings in SCRATCH; later calls with it add rounds to them",
    )
    parser.add_argument("--page", type=Path, help="where a table stands between marks")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "bench/results")
    arguments = parser.parse_args()
    rules = arguments.rules.split(",")
    with place(arguments) as scratch:
        models = scratch / "models"
        if not models.exists():
            agreement = agreements(scratch / "small", arguments)
            make(scratch / "making", shape_of(arguments.millions), torch.bfloat16)
            write_json(scratch / "rows.json", {rule: new_row(agreement[rule]) for rule in RULES})
            (scratch / "making").rename(models)
        rows = json.loads((scratch / "rows.json").read_text())
        for _ in range(arguments.rounds):
            for rule in rules:
                measure(rule, models, scratch, rows[rule], arguments)
                write_json(scratch / "rows.json", rows)
        rows = [{"rule": rule} | rows[rule] for rule in RULES if rows[rule]["seconds"]["kif"]]
        if not rows:
            return

        size = sum(v.stat().st_size for v in models.glob("a/*.safetensors")) / 2
    table = [
        f"{size / 1e6:.0f} million weights, bfloat16, {arguments.threads} threads, {processor()};"
        f" medians of {min(len(row['seconds']['kif']) for row in rows)}; files in"
        f" {'memory' if str(arguments.scratch).startswith('/dev/shm') else 'a folder on disk'}:",
        "",
        "| rule | kif, s | mergekit, s | faster by | peak RSS, MiB | a copy, s | kif to a copy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        median = {k: statistics.median(v) for k, v in row["seconds"].items()}
        table.append(
            f"| {row['rule']} | {median['kif']:.1f} | {median['mergekit']:.1f} "
            f"| {median['mergekit'] / median['kif']:.1f} "
            f"| {row['peak_mib']['kif']:.0f} and {row['peak_mib']['mergekit']:.0f} "
            f"| {median['copy']:.1f} | {median['kif'] / median['copy']:.1f} |"
        )
    table.append("")
    table.append("A copy reads each input once and writes one result, by `read` and `cp`.")
    print("\n" + "\n".join(table))
    if arguments.page:
        write_between_marks(arguments.page, table)
    arguments.results.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    target = arguments.results / f"fuse-{name}.json"
    write_json(
        target,
        {"processor": processor(), "weights": size, "threads": arguments.threads, "rows": rows},
    )
    print(f"\nwritten to {os.path.relpath(target)}")


if __name__ == "__main__":
    main()
