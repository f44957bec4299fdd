"""Records what PyTorch computes for the kernels on small inputs, as JSON of float32 bits.

    python bench/python/record_torch_kernels.py OUTPUT.json

The Java tests compare importance, thresholds and merges with it bit by bit, AdamW to a tolerance.
Numbers are hexadecimal float32 bit patterns, so that no printing rounds them.

PyTorch's vector code fuses multiplications and additions in lerp; its default code does not, and
that is what is recorded.
"""

import json
import os
import re
import sys

os.environ["ATEN_CPU_CAPABILITY"] = "default"

import torch  # noqa: E402

SEED = 20260101
N = 203  # no multiple of a vector width


def bits(tensor):
    return ["%08x" % (b & 0xFFFFFFFF) for b in tensor.flatten().view(torch.int32).tolist()]


def quantile(values, q):
    """torch.quantile as it was up to 2.13: since then the rank is formed in float64."""
    rank = torch.tensor(q, dtype=torch.float32) * (values.numel() - 1)
    below = rank.to(torch.int64)
    ordered = values.sort().values
    result = torch.lerp(ordered[below], ordered[rank.ceil().to(torch.int64)], rank - below)
    if values.isnan().any():
        result = torch.tensor(float("nan"))
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) <= (2, 13):
        assert bits(result) == bits(torch.quantile(values, q)), q
    return result


def scores():
    """Named inputs of torch.quantile; all non-negative."""
    g = torch.Generator().manual_seed(SEED + 1)
    inf, nan = float("inf"), float("nan")
    random = torch.rand(N, generator=g) * 1e-10
    cases = {
        "one": [0.25],
        "two": [0.5, 0.25],
        "random": random.tolist(),
        "ties": [0.5, 0.25, 0.5, 0.5, 0.25, 1.0, 0.5, 0.5],
        "zeros": [0.0] * 9,
        "mostly zeros": [0.0] * 9 + [1.0, 2.0],
        "denormals": (random * 1e-30).tolist(),
        "largest": [3.4e38, 1e38, 2e38, 3e38],
        "infinity on top": [1.0, 2.0, 3.0, inf],
        "infinities": [1.0, inf, inf, inf, 2.0],
        "nan": [1.0, nan, 2.0],
        "neighbours": [1.0 + k * 2.0**-23 for k in range(11)],
    }
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in cases.items()}


def main(path):
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    record = {"torch": torch.__version__, "script": "bench/python/record_torch_kernels.py"}

    w, g = torch.randn(N) * 1e-2, torch.randn(N) * 1e-3
    sensitivity, uncertainty = torch.rand(N) * 1e-5, torch.rand(N) * 1e-6
    beta1, beta2 = 0.85, 0.75
    record["importance"] = {
        "beta1": beta1,
        "beta2": beta2,
        "weights": bits(w),
        "gradient": bits(g),
        "sensitivity": bits(sensitivity),
        "uncertainty": bits(uncertainty),
        "after": {},
    }
    formulas = {
        "FIRST_ORDER": lambda p: p.abs(),
        "SECOND_ORDER": lambda p: (p * p).abs(),
        "MIXED": lambda p: (p - 0.5 * (p * p)).abs(),
    }
    for name, formula in formulas.items():
        s = formula(w * g)
        i = beta1 * sensitivity + (1 - beta1) * s
        u = beta2 * uncertainty + (1 - beta2) * (s - i).abs()
        record["importance"]["after"][name] = {"sensitivity": bits(i), "uncertainty": bits(u)}

    record["quantile"] = {
        name: {
            "scores": bits(values),
            "quantiles": [
                {"q": q, "value": bits(quantile(values, q))[0]}
                for q in (0.0, 0.1, 0.25, 1 / 3, 0.5, 0.61, 0.8, 0.9, 0.99, 1.0)
            ],
        }
        for name, values in scores().items()
    }

    base, snapshot, weights = torch.randn(N), torch.randn(N), torch.randn(N)
    inner, outer = torch.rand(N), torch.rand(N)
    thr_in, thr_out = quantile(inner, 0.8), quantile(outer, 0.8)
    a, b = (inner > thr_in).float(), (outer > thr_out).float()
    both, neither = (a == 1) & (b == 1), (a == 0) & (b == 0)
    a[both], b[both] = 0.4, 0.6
    a[neither], b[neither] = 0.5, 0.5
    merged = base + (a * (snapshot - base) + b * (weights - snapshot))
    record["merge"] = {
        "base": bits(base),
        "snapshot": bits(snapshot),
        "weights": bits(weights),
        "inner": bits(inner),
        "outer": bits(outer),
        "quantile": 0.8,
        "merged": bits(merged),
        "counts": [
            int(both.sum()),
            int(((inner > thr_in) & ~both).sum()),
            int(((outer > thr_out) & ~both).sum()),
            int(neither.sum()),
        ],
    }

    parameter = torch.nn.Parameter(torch.randn(N) * 1e-2)
    settings = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
    optimizer = torch.optim.AdamW([parameter], foreach=False, **settings)
    adamw = {
        "learningRate": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "weightDecay": 0.01,
        "before": bits(parameter.data),
        "gradients": [],
        "after": [],
    }
    for _ in range(5):
        parameter.grad = torch.randn(N) * 1e-3
        optimizer.step()
        adamw["gradients"].append(bits(parameter.grad))
        adamw["after"].append(bits(parameter.data))
    record["adamw"] = adamw

    text = json.dumps(record, indent=1)
    # Bit patterns of one array share a line.
    text = re.sub(r"(\"[0-9a-f]{8}\",)\s+(?=\"[0-9a-f]{8}\")", r"\1 ", text)
    with open(path, "w", encoding="ascii") as out:
        out.write(text)
        out.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
