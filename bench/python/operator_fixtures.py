"""Records what PyTorch gives for each differentiable operator: result and gradients in float64.

usage: python operator_fixtures.py > java/src/test/resources/io/github/recurrentkif/graph/operators.json
The loss is the sum of result * projection, so that every element of a gradient counts.
"""
import json

import torch

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
cases = []


def random(*shape, scale=1.0):
    # Values that float32 holds exactly, so that both sides start from the same numbers.
    return (torch.randn(*shape) * scale).float().double()


def case(name, function, parameters, constants=None, indices=None):
    parameters = {k: v.clone().requires_grad_() for k, v in parameters.items()}
    constants = constants or {}
    indices = indices or {}
    result = function(**parameters, **constants, **indices)
    projection = random(*result.shape) if result.dim() else torch.tensor(1.0)
    (result * projection).sum().backward()
    tensor = lambda t: {"shape": list(t.shape), "values": t.detach().flatten().tolist()}
    cases.append(
        {
            "name": name,
            "parameters": {k: tensor(v) for k, v in parameters.items()},
            "constants": {k: tensor(v) for k, v in constants.items()},
            "indices": {k: tensor(v) for k, v in indices.items()},
            "projection": tensor(projection),
            "result": tensor(result),
            "gradients": {k: tensor(v.grad) for k, v in parameters.items()},
        }
    )


def attention(q, k, v, bias, mask=None, scale=1.0, batch=2, heads=3):
    split = lambda x: x.view(batch, -1, heads, x.shape[1] // heads).transpose(1, 2)
    p = torch.softmax(scale * split(q) @ split(k).transpose(2, 3) + bias, -1)
    if mask is not None:
        p = p * mask.view(p.shape)
    return (p @ split(v)).transpose(1, 2).reshape(q.shape)


def rms_norm(x, scale):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * scale


def cross_entropy(logits, labels, weights):
    return (torch.nn.functional.cross_entropy(logits, labels[:, 0], reduction="none") * weights[:, 0]).sum()


case("linear", lambda x, w: x @ w.T, {"x": random(5, 4), "w": random(3, 4)})
case("linear scaled", lambda x, w: 0.25 * x @ w.T, {"x": random(5, 4), "w": random(3, 4)})
case(
    "low rank",
    lambda base, x, a, b: base + 4 * (x @ a.T) @ b.T,
    {"base": random(5, 3), "x": random(5, 4), "a": random(2, 4), "b": random(3, 2)},
)
case(
    "embedding",
    lambda table, ids: table[ids],
    {"table": random(6, 4)},
    indices={"ids": torch.tensor([3, 0, 3, 5, 3])},
)
case("rms norm", rms_norm, {"x": random(5, 7), "scale": random(7)})
case("rms norm of small values", rms_norm, {"x": random(3, 7, scale=1e-3), "scale": random(7)})
case("sum", lambda a, b: a + b, {"a": random(2, 3), "b": random(2, 3)})
case("product", lambda a, b: a * b, {"a": random(2, 3), "b": random(2, 3)})
case(
    "dropout",
    lambda x, mask: x * mask.view(x.shape),
    {"x": random(6, 3)},
    {"mask": torch.tensor([0.0, 1.25]).repeat(9).view(2, 3, 3)},
)
case("relu", lambda x: torch.relu(x), {"x": random(4, 5)})
case("gelu tanh", lambda x: torch.nn.functional.gelu(x, approximate="tanh"), {"x": random(4, 5, scale=2)})
case("silu", lambda x: torch.nn.functional.silu(x), {"x": random(4, 5, scale=2)})
case(
    "relative position bias",
    lambda table, buckets: table[buckets].permute(2, 0, 1).unsqueeze(0),
    {"table": random(4, 3)},
    indices={"buckets": torch.tensor([[0, 1, 3, 3, 2], [1, 0, 1, 3, 3]])},
)
hidden = torch.zeros(2, 1, 1, 4)
hidden[1, 0, 0, 2:] = -torch.finfo(torch.float32).max
case("batched bias", lambda bias, mask: bias + mask, {"bias": random(1, 3, 5, 4)}, {"mask": torch.zeros(2, 1, 1, 4)})
qkv = {"q": random(10, 6), "k": random(8, 6), "v": random(8, 6)}
case("attention", lambda q, k, v, bias: attention(q, k, v, bias), {**qkv, "bias": random(2, 3, 5, 4)})
case("attention scaled, hidden keys", lambda q, k, v, bias: attention(q, k, v, bias, scale=0.5), qkv, {"bias": hidden})
case(
    "attention with dropout",
    lambda q, k, v, bias, mask: attention(q, k, v, bias, mask),
    {**qkv, "bias": random(2, 3, 5, 4)},
    {"mask": torch.tensor([1.25, 0.0, 1.25]).repeat(40).view(6, 5, 4)},
)
one = {"q": random(2, 6), "k": random(2, 6), "v": random(2, 6)}
case("attention over one key", lambda q, k, v, bias: attention(q, k, v, bias), one, {"bias": torch.zeros(2, 1, 1, 1)})
case(
    "cross-entropy",
    cross_entropy,
    {"logits": random(5, 9, scale=3)},
    {"weights": torch.tensor([[0.25], [0.0], [0.25], [0.25], [0.25]])},
    {"labels": torch.tensor([[3], [0], [8], [3], [1]])},
)


def grouped_attention(q, k, v, bias, mask=None, scale=0.7):
    """2 rows of 3 queries over 5 keys, 4 heads of width 2, of which 2 each share keys and values."""
    split = lambda x, heads: x.view(2, -1, heads, 2).transpose(1, 2)
    keys, values = (split(x, 2).repeat_interleave(2, dim=1) for x in (k, v))
    p = torch.softmax(scale * split(q, 4) @ keys.transpose(2, 3) + bias, -1)
    if mask is not None:
        p = p * mask.view(p.shape)
    return (p @ values).transpose(1, 2).reshape(q.shape)


def rotary(x, cosine, sine):
    """2 rows of 3 positions, 2 heads of width 6, as apply_rotary_pos_emb of transformers."""
    heads = x.view(2, 3, 2, 6)
    half = torch.cat([-heads[..., 3:], heads[..., :3]], -1)
    twice = lambda t: torch.cat([t, t], -1).view(t.shape[0], 3, 1, 6)
    return (heads * twice(cosine) + half * twice(sine)).reshape(x.shape)


def angles(rows):
    a = random(rows, 3, 1, 1, 3, scale=2)
    return {"cosine": torch.cos(a).float().double(), "sine": torch.sin(a).float().double()}


grouped = {"q": random(6, 8), "k": random(10, 4), "v": random(10, 4), "bias": random(2, 4, 3, 5)}
case("grouped attention", grouped_attention, grouped)
kept = (torch.rand(8, 3, 5) > 0.3).double() * 1.25
case("grouped attention with dropout", grouped_attention, grouped, {"mask": kept})
case("rotary embedding", rotary, {"x": random(6, 12)}, angles(2))
case("rotary embedding, equal positions", rotary, {"x": random(6, 12)}, angles(1))
case("bias addition", lambda x, bias: x + bias, {"x": random(5, 3), "bias": random(3)})
case(
    "rms norm of heads",
    lambda x, scale: rms_norm(x.view(-1, 3), scale).view(x.shape),
    {"x": random(4, 6), "scale": random(3)},
)
case("softmax", lambda x: torch.softmax(x, -1), {"x": random(4, 5, scale=2)})


def gated_low_rank(base, x, a, b, gates):
    """3 adapters of rank 2, each a pair of matrices of its own."""
    parts = zip(a.split(2), b.split(2, dim=1), gates.split(1, dim=1))
    return base + 4 * sum(g * ((x @ a.T) @ b.T) for a, b, g in parts)


case(
    "gated low rank",
    gated_low_rank,
    {"base": random(5, 3), "x": random(5, 4), "a": random(6, 4), "b": random(3, 6), "gates": random(5, 3)},
)


def divergence(logits, wanted, weights):
    wanted, logits = torch.log_softmax(wanted, -1), torch.log_softmax(logits, -1)
    return (weights * (wanted.exp() * (wanted - logits)).sum(-1, keepdim=True)).sum()


case(
    "divergence",
    divergence,
    {"logits": random(5, 9, scale=3)},
    {"wanted": random(5, 9, scale=3), "weights": torch.tensor([[0.25], [0.0], [0.25], [0.25], [0.25]])},
)
case("beside", lambda a, b: torch.cat([a, b], 1), {"a": random(5, 3), "b": random(5, 2)})
case(
    "wider heads",
    lambda x: torch.nn.functional.pad(x.view(-1, 3, 4), (0, 2)).reshape(-1, 18),
    {"x": random(5, 12)},
)
print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")
