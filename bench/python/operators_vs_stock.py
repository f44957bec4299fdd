"""Measures our operators for ONNX Runtime against its own in one run:

    bench/python/.venv/bin/python bench/python/operators_vs_stock.py

- FrozenProduct, in float32 and, where the processor has the instruction, in bf16, against MatMul
  with a constant weight, for the shapes of T5-small;
- PackedAttention, forward and with PackedAttentionGrad, against the stock operators on the padded
  batch, for sequences of equal and of very different lengths.

All are models of one part each, in sessions with the same threads. First the results are compared,
then all take turns. Least and median time of the rounds, in milliseconds, and GFLOP/s of the least.
Needs numpy, onnx and onnxruntime from PyPI (pip install onnx onnxruntime).

    --library FILE  libkif_operators.so; without it native/build.sh builds one
    --threads T     of each session (2)
    --rounds R      (15)
"""

import argparse
import ctypes
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOMAIN = "recurrentkif"
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model(nodes, inputs, outputs, constants):
    """A model; inputs and outputs are names with types and ranks."""

    def value(name, kind, rank):
        return helper.make_tensor_value_info(name, kind, [f"{name}{i}" for i in range(rank)])

    graph = helper.make_graph(
        nodes,
        "part",
        [value(*i) for i in inputs],
        [value(*o) for o in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    sets = [("", 17), (DOMAIN, 1), ("com.microsoft", 1)]
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*s) for s in sets], ir_version=8
    ).SerializeToString()


class Contestant:
    def __init__(self, name, serialized, feed, arguments):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = arguments.threads
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        # Idle threads that spin would take the cores from whoever has the next turn.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.register_custom_ops_library(str(arguments.library))
        self.name = name
        self.session = onnxruntime.InferenceSession(
            serialized, options, providers=["CPUExecutionProvider"]
        )
        self.feed = feed
        self.times = []

    def run(self):
        return self.session.run(None, self.feed)


def measure(title, contestants, flops, rounds, tolerance):
    reference = contestants[0].run()
    for contestant in contestants[1:]:
        for ours, theirs in zip(contestant.run(), reference):
            error = np.abs(ours - theirs).max() / np.abs(theirs).max()
            if not error <= tolerance(contestant.name):
                sys.exit(f"{title}: {contestant.name} differs by {error:.1e}")
    for turn in range(rounds):
        for i in range(len(contestants)):
            contestant = contestants[(i + turn) % len(contestants)]
            contestant.run()
            start = time.perf_counter()
            contestant.run()
            contestant.times.append(1e3 * (time.perf_counter() - start))
    stock = min(contestants[0].times)
    for contestant in contestants:
        least = min(contestant.times)
        print(
            f"{title:34} {contestant.name:10} {least:9.2f} {statistics.median(contestant.times):9.2f}"
            f" {flops / least / 1e6:8.0f} {least / stock:6.2f}",
            flush=True,
        )


def product(rows, depth, columns, arguments):
    random = np.random.default_rng(1)
    x = random.standard_normal((rows, depth), dtype=np.float32)
    weight = random.standard_normal((depth, columns), dtype=np.float32)
    inputs, outputs = [("x", FLOAT, 2)], [("y", FLOAT, 2)]

    def ours(precision):
        return helper.make_node(
            "FrozenProduct", ["x", "w"], ["y"], domain=DOMAIN, precision=precision
        )

    forms = {
        "stock": helper.make_node("MatMul", ["x", "w"], ["y"]),
        "float32": ours("float32"),
    }
    if arguments.bf16:
        forms["bf16"] = ours("bf16")
    contestants = [
        Contestant(name, model([node], inputs, outputs, {"w": weight}), {"x": x}, arguments)
        for name, node in forms.items()
    ]
    measure(
        f"product {rows} x {depth} x {columns}",
        contestants,
        2 * rows * depth * columns,
        arguments.rounds,
        lambda name: 2e-2 if name == "bf16" else 1e-5,
    )


def attention(lengths, heads, width, backward, arguments):
    """Packed rows against the padded batch, whose padding is masked; no transfers in between."""
    random = np.random.default_rng(2)
    batch, longest, rows = len(lengths), max(lengths), sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    packed = {
        name: random.standard_normal((rows, heads * width), dtype=np.float32)
        for name in ["q", "k", "v"] + (["go"] if backward else [])
    }
    packed["offsets"] = offsets
    scale = 1 / math.sqrt(width)
    sizes = dict(heads=heads, width=width, scale=scale)
    tensors = ["q", "k", "v", "offsets", "offsets"]
    nodes = [helper.make_node("PackedAttention", tensors, ["o", "lse"], domain=DOMAIN, **sizes)]
    results = ["o"]
    if backward:
        nodes.append(
            helper.make_node(
                "PackedAttentionGrad",
                ["go", "q", "k", "v", "o", "lse", "offsets", "offsets"],
                ["dq", "dk", "dv"],
                domain=DOMAIN,
                **sizes,
            )
        )
        results += ["dq", "dk", "dv"]
    ours = model(
        nodes,
        [(n, INT64 if n == "offsets" else FLOAT, 1 if n == "offsets" else 2) for n in packed],
        [(n, FLOAT, 2) for n in results],
        {},
    )

    padded = {}
    for name, array in packed.items():
        if name != "offsets":
            padded[name] = np.zeros((batch, longest, heads * width), np.float32)
            for b in range(batch):
                padded[name][b, : lengths[b]] = array[offsets[b] : offsets[b + 1]]
    padded["mask"] = np.zeros((batch, 1, 1, longest), np.float32)
    for b in range(batch):
        padded["mask"][b, :, :, lengths[b] :] = -1e30
    constants = {
        "split": np.array([0, 0, heads, width], np.int64),
        "joined": np.array([0, 0, heads * width], np.int64),
        "scale": np.float32(scale),
        "last": np.array([-1], np.int64),
    }
    nodes, count = [], 0

    def emit(kind, *inputs, out=None, domain="", **attributes):
        nonlocal count
        count += 1
        out = out or f"t{count}"
        nodes.append(helper.make_node(kind, inputs, [out], domain=domain, **attributes))
        return out

    def split(name):
        return emit("Transpose", emit("Reshape", name, "split"), perm=[0, 2, 1, 3])

    def joined(name, out):
        emit("Reshape", emit("Transpose", name, perm=[0, 2, 1, 3]), "joined", out=out)

    def product_of(a, b, **attributes):
        return emit("FusedMatMul", a, b, domain="com.microsoft", **attributes)

    q, k, v = split("q"), split("k"), split("v")
    p = emit("Softmax", emit("Add", product_of(q, k, transB=1, alpha=scale), "mask"), axis=-1)
    joined(product_of(p, v), "o")
    if backward:
        go = split("go")
        dp = product_of(go, v, transB=1)
        delta = emit("ReduceSum", emit("Mul", p, dp), "last", keepdims=1)
        ds = emit("Mul", p, emit("Sub", dp, delta))
        joined(product_of(ds, k, alpha=scale), "dq")
        joined(product_of(ds, q, transA=1, alpha=scale), "dk")
        joined(product_of(p, go, transA=1), "dv")
    stock = model(
        nodes,
        [(n, FLOAT, 4 if n == "mask" else 3) for n in padded],
        [(n, FLOAT, 3) for n in results],
        constants,
    )

    class Unpadded(Contestant):
        def run(self):
            return [
                np.concatenate([array[b, : lengths[b]] for b in range(batch)])
                for array in super().run()
            ]

    contestants = [
        Unpadded("stock", stock, padded, arguments),
        Contestant("packed", ours, packed, arguments),
    ]
    pairs = sum(length * length for length in lengths)
    measure(
        f"attention {'fwd+bwd' if backward else 'forward'} {batch} x {min(lengths)}-{longest}",
        contestants,
        (2 + (5 if backward else 0)) * 2 * pairs * heads * width,
        arguments.rounds,
        lambda name: 1e-4,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.library is None:
            subprocess.run(
                ["sh", ROOT / "native" / "build.sh", folder], check=True, stdout=sys.stderr
            )
            arguments.library = next(pathlib.Path(folder).glob("*/libkif_operators.*"))
        library = ctypes.CDLL(str(arguments.library))
        library.kif_operators_tier.restype = ctypes.c_char_p
        arguments.bf16 = bool(library.kif_operators_fast_bf16())
        print(
            f"ONNX Runtime {onnxruntime.__version__}, {arguments.threads} threads, our operators for"
            f" {library.kif_operators_tier().decode()}"
        )
        print(f"{'part':34} {'form':10} {'least ms':>9} {'median':>9} {'GFLOP/s':>8} {'ratio':>6}")
        for rows, depth, columns in [
            (1300, 512, 512),
            (1300, 512, 2048),
            (1300, 2048, 512),
            (8, 512, 2048),
        ]:
            product(rows, depth, columns, arguments)
        for lengths in [[160] * 8, [400, 380, 200, 100, 60, 35, 30, 30], [1024] * 2]:
            for backward in [False, True]:
                attention(lengths, 8, 64, backward, arguments)


if __name__ == "__main__":
    main()
