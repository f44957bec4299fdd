"""Measures our kernels against PyTorch's in one run:

    bench/python/.venv/bin/python bench/python/kernels_vs_torch.py

Ours are called through the C interface (native/include/kif.h, by ctypes), theirs do the same work

- eager, tensor by tensor, as the method's released code does it: importances in a loop over
  tensors, torch.quantile over all scores concatenated, merges by boolean masks;
- eager on one flat tensor; and
- flat and compiled by torch.compile, where that works.

First the results are compared, then all take turns: in every round each one runs once, after the
caches were cleared, and each round begins with another one. Medians go to bench/results and into
docs/performance.md, together with what a call from Java costs, as ./kif bench measures it.

    --library FILE   libkif.so; without it native/build.sh builds one
    --n N[,N...]     2359296 (T5-large: 288 LoRA matrices of 8192 elements), 67108864 (512 of 131072)
    --threads T      of both sides (2)
    --rounds R       per size; fewer for more than 2^24 elements (15)
    --device cuda    PyTorch on the GPU; ours are those that ./kif bench measures there
    --results FILE   the JSON to write; --no-documents leaves docs/performance.md as it is
    --op OP[,OP...]  only these of importance, merge, threshold, fusion, adamw-importance
    --keep           keep what the results hold of other sizes and operations
    --documents-from FILE
                     measure nothing, only write docs/performance.md from these results
"""

import argparse
import ctypes
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

import numpy
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
BETA1 = BETA2 = 0.85
QUANTILE = 0.8
ADAMW = {"lr": 3e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
STEP = 100
KEYS = ("median_us", "least_us", "processor_us")
BYTES = {"importance": 24, "merge": 36, "threshold": 8, "fusion": 52, "adamw-importance": 44}


class ImportanceRule(ctypes.Structure):
    _fields_ = [("formula", ctypes.c_int32)] + [
        (name, ctypes.c_float) for name in ("decay1", "gain1", "decay2", "gain2")
    ]


class MergeRule(ctypes.Structure):
    _fields_ = (
        [("score", ctypes.c_int32), ("weighting", ctypes.c_int32)]
        + [(name, ctypes.c_float * 2) for name in ("shared", "new_only", "old_only", "redundant")]
        + [("temperature", ctypes.c_float)]
        + [("reset_inner", ctypes.c_int32), ("reset_outer", ctypes.c_int32)]
    )


class AdamWStep(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_float)
        for name in ("decay", "gain1", "decay2", "gain2", "step_size", "correction2", "epsilon")
    ]


class Kif:
    """The C interface on tensors of the host."""

    def __init__(self, library, threads):
        self.library = ctypes.CDLL(str(library))
        self.library.kif_isa_name.restype = ctypes.c_char_p
        self.library.kif_status_text.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p()
        self.check(self.library.kif_context_create(threads, 0, ctypes.byref(self.context)))
        self.isa = self.library.kif_isa_name(
            self.library.kif_context_isa(self.context)
        ).decode()
        self.importance_rule = ImportanceRule(0, BETA1, 1 - BETA1, BETA2, 1 - BETA2)
        half = (ctypes.c_float * 2)(0.5, 0.5)
        self.merge_rule = MergeRule(
            0,
            0,
            (ctypes.c_float * 2)(0.4, 0.6),
            (ctypes.c_float * 2)(1, 0),
            (ctypes.c_float * 2)(0, 1),
            half,
            0,
            0,
            0,
        )
        b1, b2 = ADAMW["betas"]
        self.step = AdamWStep(
            1 - ADAMW["lr"] * ADAMW["weight_decay"],
            1 - b1,
            b2,
            1 - b2,
            ADAMW["lr"] / (1 - b1**STEP),
            (1 - b2**STEP) ** 0.5,
            ADAMW["eps"],
        )

    def check(self, status):
        if status:
            raise RuntimeError(self.library.kif_status_text(status).decode())

    def call(self, function, *arguments):
        converted = [
            ctypes.c_void_p(a.data_ptr())
            if isinstance(a, torch.Tensor)
            else ctypes.byref(a)
            if isinstance(a, ctypes.Structure)
            else a
            for a in arguments
        ]
        self.check(getattr(self.library, function)(self.context, *converted))

    def copy(self, source, target):
        self.call("kif_copy", source, target, ctypes.c_int64(source.numel()))

    def importance(self, w, g, i, u):
        n = ctypes.c_int64(w.numel())
        one = ctypes.c_float(1)
        self.call("kif_importance", w, g, i, u, one, self.importance_rule, n)

    def adamw(self, w, g, m, v):
        n = ctypes.c_int64(w.numel())
        self.call("kif_adamw", w, g, m, v, ctypes.c_float(1), self.step, n)

    def adamw_importance(self, w, g, m, v, i, u):
        n = ctypes.c_int64(w.numel())
        one = ctypes.c_float(1)
        self.call(
            "kif_adamw_importance", w, g, m, v, i, u, one, self.step, self.importance_rule, n
        )

    def threshold(self, i, u, result):
        n = ctypes.c_int64(i.numel())
        zero = ctypes.c_int64(0)
        quantile = ctypes.c_double(QUANTILE)
        self.call("kif_threshold", i, u, ctypes.c_int32(0), quantile, None, zero, n, zero, result)

    def merge(self, w, base, snapshot, i, u, outer_i, outer_u, threshold, outer_threshold):
        n = ctypes.c_int64(w.numel())
        self.call(
            "kif_merge", w, base, snapshot, i, u, outer_i, outer_u, threshold, outer_threshold,
            None, ctypes.c_int64(0), self.merge_rule, n,
        )  # fmt: skip


def importance(w, g, i, u):
    s = (w * g).abs()
    i = BETA1 * i + (1 - BETA1) * s
    return i, BETA2 * u + (1 - BETA2) * (s - i).abs()


def masks(i, u, outer_i, outer_u, threshold, outer_threshold):
    a = (i * u > threshold).float()
    b = (outer_i * outer_u > outer_threshold).float()
    both, neither = (a == 1) & (b == 1), (a == 0) & (b == 0)
    a[both], b[both] = 0.4, 0.6
    a[neither], b[neither] = 0.5, 0.5
    return a, b


def merge(w, base, snapshot, i, u, outer_i, outer_u, threshold, outer_threshold):
    a, b = masks(i, u, outer_i, outer_u, threshold, outer_threshold)
    return base + (a * (snapshot - base) + b * (w - snapshot))


def merge_selecting(w, base, snapshot, i, u, outer_i, outer_u, threshold, outer_threshold):
    """The same without indexed assignments, which torch.compile cannot fuse."""
    new, old = i * u > threshold, outer_i * outer_u > outer_threshold
    a = torch.where(new & old, 0.4, torch.where(new == old, 0.5, new.float()))
    b = torch.where(new & old, 0.6, torch.where(new == old, 0.5, old.float()))
    return base + (a * (snapshot - base) + b * (w - snapshot))


class Arrays:
    def __init__(self, n, device):
        generator = torch.Generator().manual_seed(20260101)

        def normal(scale):
            return (torch.randn(n, generator=generator) * scale).to(device)

        def uniform(scale):
            return (torch.rand(n, generator=generator) * scale).to(device)

        self.n = n
        self.w, self.g, self.m = normal(1e-2), normal(1e-3), normal(1e-3)
        self.base, self.snapshot = normal(1e-2), normal(1e-2)
        self.v, self.i, self.u = uniform(1e-6), uniform(1e-5), uniform(1e-6)
        self.outer_i, self.outer_u = uniform(1e-5), uniform(1e-6)
        self.threshold = torch.zeros(1, device=device)
        self.outer_threshold = torch.zeros(1, device=device)

    def merge_operands(self):
        return (
            self.w, self.base, self.snapshot, self.i, self.u, self.outer_i, self.outer_u,
            self.threshold, self.outer_threshold,
        )  # fmt: skip


def tensors_of(n):
    """The extents of T5-large's LoRA matrices, or of a larger model's."""
    size = 8192 if n <= 1 << 24 else 131072
    if n % size:
        raise SystemExit(f"--n: {n} is no multiple of {size}")
    return [size] * (n // size)


def per_tensor(arrays):
    """The released code's way: dictionaries of tensors, one per matrix."""
    sizes = tensors_of(arrays.n)
    split = {
        name: [t.clone() for t in torch.split(getattr(arrays, name), sizes)]
        for name in ("w", "g", "i", "u", "outer_i", "outer_u", "base", "snapshot")
    }

    def importances():
        for k in range(len(sizes)):
            split["i"][k], split["u"][k] = importance(
                split["w"][k], split["g"][k], split["i"][k], split["u"][k]
            )

    def quantile(i, u):
        scores = [split[i][k] * split[u][k] for k in range(len(sizes))]
        return torch.quantile(torch.cat([score.flatten() for score in scores]), QUANTILE)

    def merges(threshold, outer_threshold):
        for k in range(len(sizes)):
            merged = merge(
                split["w"][k], split["base"][k], split["snapshot"][k], split["i"][k],
                split["u"][k], split["outer_i"][k], split["outer_u"][k], threshold,
                outer_threshold,
            )  # fmt: skip
            # Neither may change what the next round starts from.
            merged.clone()

    def fusion():
        merges(quantile("i", "u"), quantile("outer_i", "outer_u"))

    return {
        "importance": importances,
        "threshold": lambda: quantile("i", "u"),
        "merge": lambda: merges(arrays.threshold, arrays.outer_threshold),
        "fusion": fusion,
    }


def flat(arrays, importance_step=importance, merge_step=merge):
    state = [arrays.i.clone(), arrays.u.clone()]

    def importances():
        state[0], state[1] = importance_step(arrays.w, arrays.g, *state)

    def quantile(i, u):
        return torch.quantile(i * u, QUANTILE)

    def fusion():
        *operands, _, _ = arrays.merge_operands()
        thresholds = (
            quantile(arrays.i, arrays.u),
            quantile(arrays.outer_i, arrays.outer_u),
        )
        merge_step(*operands, *thresholds).clone()

    return {
        "importance": importances,
        "threshold": lambda: quantile(arrays.i, arrays.u),
        "merge": lambda: merge_step(*arrays.merge_operands()).clone(),
        "fusion": fusion,
    }


def ours(kif, arrays):
    i, u = arrays.i.clone(), arrays.u.clone()
    w, base = arrays.w.clone(), arrays.base.clone()
    trained = [t.clone() for t in (arrays.w, arrays.m, arrays.v, arrays.i, arrays.u)]
    thresholds = torch.zeros(1), torch.zeros(1)

    def merges():
        kif.merge(w, base, arrays.snapshot, arrays.i, arrays.u, arrays.outer_i, arrays.outer_u,
                  arrays.threshold, arrays.outer_threshold)  # fmt: skip

    def fusion():
        kif.threshold(arrays.i, arrays.u, thresholds[0])
        kif.threshold(arrays.outer_i, arrays.outer_u, thresholds[1])
        kif.merge(w, base, arrays.snapshot, arrays.i, arrays.u, arrays.outer_i, arrays.outer_u,
                  *thresholds)  # fmt: skip

    def two_passes():
        tw, tm, tv, ti, tu = trained
        kif.adamw(tw, arrays.g, tm, tv)
        kif.importance(tw, arrays.g, ti, tu)

    def one_pass():
        tw, tm, tv, ti, tu = trained
        kif.adamw_importance(tw, arrays.g, tm, tv, ti, tu)

    return {
        "importance": lambda: kif.importance(arrays.w, arrays.g, i, u),
        "threshold": lambda: kif.threshold(arrays.i, arrays.u, thresholds[0]),
        "merge": merges,
        "fusion": fusion,
        "adamw-importance": one_pass,
        "adamw, then importance": two_passes,
    }


def agreement(kif, arrays):
    """What equals what; exits if our results differ from PyTorch's eager ones."""
    i, u = arrays.i.clone(), arrays.u.clone()
    kif.importance(arrays.w, arrays.g, i, u)
    wanted = importance(arrays.w, arrays.g, arrays.i, arrays.u)
    kif.threshold(arrays.i, arrays.u, arrays.threshold)
    kif.threshold(arrays.outer_i, arrays.outer_u, arrays.outer_threshold)
    w, base = arrays.w.clone(), arrays.base.clone()
    operands = arrays.merge_operands()
    kif.merge(w, base, *operands[2:])
    merged = merge(*operands)
    quantile = torch.quantile(arrays.i * arrays.u, QUANTILE)
    scores = arrays.i * arrays.u
    ranks = [int((scores > t).sum()) for t in (arrays.threshold, quantile)]
    facts = {
        "importance has PyTorch's bits": torch.equal(i, wanted[0]) and torch.equal(u, wanted[1]),
        "merge has PyTorch's bits": torch.equal(w, merged) and torch.equal(base, merged),
        "elements above our threshold and torch.quantile's": ranks,
    }
    if not (facts["importance has PyTorch's bits"] and facts["merge has PyTorch's bits"]):
        raise SystemExit(f"our results differ from PyTorch's: {facts}")
    if abs(ranks[0] - ranks[1]) > 1:
        raise SystemExit(f"our threshold is not torch.quantile's: {facts}")
    return facts


def compiled(arrays):
    """The flat version by torch.compile, or why there is none."""
    try:
        version = flat(arrays, torch.compile(importance), torch.compile(merge_selecting))
        version["importance"]()
        version["merge"]()
        return version, None
    except Exception as e:  # noqa: BLE001: whatever it is, the others can still be measured
        return {}, f"{type(e).__name__}: {str(e).splitlines()[0][:200]}"


OURS = ("ours", "two passes", "copy by kif")


def measure(contestants, rounds, clear, synchronize):
    """Medians and quartiles in microseconds of {name: function}, taking turns.

    clear(ours) clears the caches by the threads of the one whose turn it is, so that those are awake
    and no others: idle threads of PyTorch look for work in a busy loop for about 20 ms.
    """
    names = list(contestants)
    times = {name: [] for name in names}
    busy = {name: [] for name in names}
    for function in contestants.values():
        function()
    for r in range(rounds):
        for k in range(len(names)):
            name = names[(k + r) % len(names)]
            time.sleep(0.03)
            clear(name in OURS)
            synchronize()
            begin, busy_before = time.perf_counter_ns(), time.process_time_ns()
            contestants[name]()
            synchronize()
            times[name].append((time.perf_counter_ns() - begin) / 1e3)
            busy[name].append((time.process_time_ns() - busy_before) / 1e3)
    result = {}
    for name, values in times.items():
        low, median, high = numpy.quantile(values, [0.25, 0.5, 0.75])
        result[name] = {
            "median_us": median,
            "lower_quartile_us": low,
            "upper_quartile_us": high,
            "least_us": min(values),
            # Of all threads together: on a crowded machine, the rest of the time it waited.
            "processor_us": float(numpy.median(busy[name])),
        }
    return result


def size(n, kif, options, keep):
    """Measures all operations at one size; hands what there is to keep after each."""
    device = options.device
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    arrays = Arrays(n, device)
    rounds = options.rounds if n <= 1 << 24 else max(3, options.rounds // 3)
    large, other = (torch.zeros(16 << 20, device=device) for _ in range(2))

    def clear(ours):
        if ours:
            kif.copy(large, other)
        else:
            other.copy_(large)

    result = {"n": n, "tensors": len(tensors_of(n)), "operations": {}}
    implementations = {}
    if device == "cpu":
        result["agreement"] = agreement(kif, arrays)
        implementations["ours"] = ours(kif, arrays)
    implementations["PyTorch per tensor"] = per_tensor(arrays)
    implementations["PyTorch flat"] = flat(arrays)
    version, problem = compiled(arrays)
    if problem:
        result["torch.compile"] = problem
    else:
        implementations["torch.compile"] = version
    for operation, bytes_per_element in BYTES.items():
        if operation not in options.op.split(","):
            continue
        contestants = {
            name: functions[operation]
            for name, functions in implementations.items()
            if operation in functions
        }
        if operation == "threshold":
            contestants["torch.kthvalue"] = lambda: torch.kthvalue(
                arrays.i * arrays.u, int(QUANTILE * (n - 1)) + 1
            )
        if operation == "adamw-importance":
            if device != "cpu":
                continue
            contestants["two passes"] = implementations["ours"]["adamw, then importance"]
        # A gigabyte is enough to know the bandwidth of a copy.
        copied = min(bytes_per_element * n, 1 << 30)
        source, target = (torch.zeros(copied // 8, device=device) for _ in range(2))
        contestants["copy by PyTorch"] = lambda s=source, t=target: t.copy_(s)
        if device == "cpu":
            contestants["copy by kif"] = lambda s=source, t=target: kif.copy(s, t)
        times = measure(contestants, rounds, clear, synchronize)
        copies = [times.pop(name) for name in list(times) if name.startswith("copy by")]
        copy = min(copies, key=lambda sample: sample["median_us"])
        bandwidth = copied / copy["median_us"]
        for sample in times.values():
            bytes_per_us = bytes_per_element * n / sample["median_us"]
            sample["gigabytes_per_second"] = bytes_per_us / 1e3
            sample["share_of_copy"] = bytes_per_us / bandwidth
        result["operations"][operation] = {
            "bytes": bytes_per_element * n,
            "copy": {"bytes": copied, "gigabytes_per_second": bandwidth / 1e3, **copy},
            "times": times,
            "rounds": rounds,
            "load": os.getloadavg()[0],
        }
        keep(result)
        print(f"n = {n}, {operation}: " + ", ".join(
            f"{name} {sample['median_us']:.0f} us" for name, sample in times.items()
        ), file=sys.stderr)  # fmt: skip


def java_route(threads):
    """What ./kif bench says about calls from Java: 16 elements, and T5-large."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "kif.json"
        command = [
            str(ROOT / "kif"), "bench", "kernels", "--op", "importance", "--n", "16,2359296",
            "--threads", str(threads), "--json", str(file),
        ]  # fmt: skip
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as e:
            return {"problem": str(e)}
        return json.loads(file.read_text())


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def place(threads, start):
    """Calls start() and keeps the threads that it starts off the first core, which the caller gets.

    A kernel takes milliseconds. Where a thread is woken on the core of the one that wakes it, as
    some virtual machines do though another core is idle, that is over before anybody moves it.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if threads < 2 or len(cores) < threads:
        return start()
    os.sched_setaffinity(0, cores[1:threads])
    result = start()
    # PyTorch starts its threads with its first parallel operation.
    torch.zeros(1 << 22).add_(1)
    os.sched_setaffinity(0, cores[:1])
    return result


def build_library(folder):
    subprocess.run(
        ["sh", str(ROOT / "native/build.sh"), folder], check=True, stdout=subprocess.DEVNULL
    )
    return next(pathlib.Path(folder).glob("*/libkif.*"))


def rows_of_figures(results, java):
    """The figures that were set before the work began, and what was measured."""
    figures = []
    for result in results["sizes"]:
        operations = result["operations"]
        n = f"{result['n']:.2g}".replace("e+0", "e")

        def quotients(operation, who, operations=operations):
            """How many times as fast ours is: by medians, and by the least times."""
            times = operations[operation]["times"]
            return [times[who][key] / times["ours"][key] for key in KEYS]

        for operation in ("importance", "merge"):
            if operation not in operations:
                continue
            outcome = operations[operation]
            shares = [
                outcome["bytes"] / outcome["times"]["ours"][key]
                / (outcome["copy"]["bytes"] / outcome["copy"][key])
                for key in KEYS
            ]  # fmt: skip
            figures.append((f"{operation}, of a copy's bandwidth, n = {n}", 0.9, shares))
        for name, operation, who, least in (
            ("threshold, times torch.quantile", "threshold", "PyTorch flat", 15),
            ("threshold, times torch.kthvalue", "threshold", "torch.kthvalue", 6),
            ("fusion, times PyTorch as released", "fusion", "PyTorch per tensor", 20),
            ("AdamW with importance, times two passes", "adamw-importance", "two passes", 1.15),
        ):
            if operation in operations:
                figures.append((f"{name}, n = {n}", least, quotients(operation, who)))
    lines = [
        "| figure | to reach | by medians | by least times | by processor time | reached |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, least, (median, fastest, busy) in figures:
        reached = "yes" if median >= least else "**no**"
        lines.append(
            f"| {name} | {least} | {median:.2f} | {fastest:.2f} | {busy:.2f} | {reached} |"
        )
    for outcome in java.get("results", []):
        if outcome["n"] == 16:
            samples = [
                c["warm"]
                for c in outcome["contestants"]
                if c["name"].endswith(", 1 thread") and "warm" in c
            ]
            if samples:
                best = min(samples, key=lambda sample: sample["median_us"])
                median, fastest = (1e3 * best[key] for key in ("median_us", "least_us"))
                reached = "yes" if median < 100 else "**no**"
                lines.append(
                    "| a call from Java with 16 elements, work included, ns | < 100 |"
                    f" {median:.0f} | {fastest:.0f} | | {reached} |"
                )
    return lines


def table(results):
    lines = []
    for result in results["sizes"]:
        lines += [
            f"n = {result['n']:,} in {result['tensors']} tensors:",
            "",
            "| operation | implementation | median, ms | quartiles, ms | least, ms | processor, ms | GB/s | of copy | ours is faster by | rounds, load |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for operation, outcome in result["operations"].items():
            mine = outcome["times"].get("ours")
            for who, t in outcome["times"].items():
                ratio = f"{t['median_us'] / mine['median_us']:.2f}" if mine else ""
                lines.append(
                    f"| {operation} | {who} | {t['median_us'] / 1e3:.3g} |"
                    f" {t['lower_quartile_us'] / 1e3:.3g} to {t['upper_quartile_us'] / 1e3:.3g} |"
                    f" {t['least_us'] / 1e3:.3g} | {t['processor_us'] / 1e3:.3g} |"
                    f" {t['gigabytes_per_second']:.1f} | {t['share_of_copy']:.2f} | {ratio} |"
                    f" {outcome['rounds']}, {outcome['load']:.1f} |"
                )
        if "torch.compile" in result:
            lines += ["", f"torch.compile did not work here: {result['torch.compile']}"]
        lines.append("")
    return lines


def write_documents(results, java):
    path = ROOT / "docs/performance.md"
    machine = results["machine"]
    lines = [
        "",
        f"{machine['processor']}, {machine['cores']} cores, {results['kif']},"
        f" PyTorch {machine['torch']} ({machine['torch_capability']}), {results['threads']} threads each;"
        " the load is the average number of runnable processes of the last minute.",
        "",
        *rows_of_figures(results, java),
        "",
        *table(results),
    ]
    text = path.read_text()
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    if begin not in text or end not in text:
        raise SystemExit(f"{path} has lost its marks {begin} and {end}")
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    new = path.with_suffix(".new")
    new.write_text(before + begin + "\n".join(lines) + end + after)
    new.replace(path)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", type=pathlib.Path)
    parser.add_argument("--n", default="2359296,67108864")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--no-documents", action="store_true")
    parser.add_argument("--op", default=",".join(BYTES))
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--documents-from", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    if options.documents_from:
        results = json.loads(options.documents_from.read_text())
        write_documents(results, results["java"])
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: this PyTorch sees no GPU")
    # OpenMP reads it when PyTorch is loaded, and compiled code and its processes take it from there.
    if os.environ.get("OMP_NUM_THREADS") != str(options.threads):
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    machine = {
        "processor": torch.cuda.get_device_name() if options.device == "cuda" else processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "numpy": numpy.__version__,
    }
    name = re.sub(r"[^a-z0-9]+", "-", machine["processor"].lower()).strip("-")
    path = options.results or ROOT / f"bench/results/kernels-{name}.json"
    results = {"sizes": [], "java": {}}
    if options.keep and path.exists():
        results = json.loads(path.read_text())
        if results["machine"] != machine or results["threads"] != options.threads:
            raise SystemExit(f"--keep: {path} is of another machine or number of threads")

    def write():
        new = path.with_suffix(".new")
        new.write_text(json.dumps(results, indent=1) + "\n")
        new.replace(path)

    def keep(result):
        for known in results["sizes"]:
            if known["n"] == result["n"]:
                operations = known["operations"] | result["operations"]
                known.update(result, operations=operations)
                break
        else:
            results["sizes"].append(result)
        results["sizes"].sort(key=lambda known: known["n"])
        write()

    with tempfile.TemporaryDirectory() as folder:
        kif = None
        if options.device == "cpu":
            library = options.library or build_library(folder)
            kif = place(options.threads, lambda: Kif(library, options.threads))
        results |= {
            "format": 1,
            "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": "bench/python/kernels_vs_torch.py",
            "device": options.device,
            "threads": options.threads,
            "kif": f"kif in C, {kif.isa}" if kif else "",
            "machine": machine,
        }
        for n in options.n.split(","):
            size(int(n), kif, options, keep)
    documented = options.device == "cpu" and not options.no_documents
    if documented:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, range(os.cpu_count()))
        results["java"] = java_route(options.threads)
    write()
    print(f"wrote {path}", file=sys.stderr)
    if documented:
        write_documents(results, results["java"])
        print("wrote docs/performance.md", file=sys.stderr)


if __name__ == "__main__":
    main()
