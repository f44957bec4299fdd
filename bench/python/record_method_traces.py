"""Records what the update rules of the methods do to a small problem, in float64, by PyTorch.

    python record_method_traces.py java/src/test/resources/io/github/recurrentkif/continual/method-traces.json

Every rule is written out here as its paper states it, penalties as losses that autograd
differentiates, adapters of several tasks as parameters of their own; nothing is shared with the
code that MethodTracesTest compares with this.

The problem: two layers with adapters, whose elements are numbered i = 0, 1, ... through A of the
first layer, its B, A of the second, its B. A batch (t, s) of task t has the loss

    sum over i of 0.5 * c * (w[i] - m)^2,  c = 1 + 0.5*sin(i*(t+1) + t),  m = 0.3*cos(i*(t+2)) * (1 + 0.1*s)

A task has 6 updates, update u of the batches (t, 2u) and (t, 2u+1), averaged; its memory gives the
batch (t-1, u), and its samples are (t, 0) to (t, 3). The first weights are 0.1*sin(i+1).
"""

import json
import sys

import torch

torch.set_default_dtype(torch.float64)

LAYERS = [(5, 4), (3, 6)]  # inputs, outputs
TASKS = 3
UPDATES = 6
WARMUP = 2
SCHEDULE = 8
PEAK = 0.05
CLIP = 1.0


def rate(u):
    return PEAK * u / WARMUP if u < WARMUP else PEAK * max(0.0, (SCHEDULE - u) / (SCHEDULE - WARMUP))


def shapes(rank):
    return [shape for inputs, outputs in LAYERS for shape in ((rank, inputs), (outputs, rank))]


def start(rank):
    tensors, i = [], 0
    for shape in shapes(rank):
        n = shape[0] * shape[1]
        tensors.append((0.1 * torch.sin(torch.arange(i, i + n) + 1.0)).reshape(shape))
        i += n
    return tensors


def flat(tensors):
    return torch.cat([t.reshape(-1) for t in tensors])


def loss(tensors, batch):
    t, s = batch
    w = flat(tensors)
    i = torch.arange(w.numel(), dtype=torch.float64)
    curvature = 1 + 0.5 * torch.sin(i * (t + 1) + t)
    minimum = 0.3 * torch.cos(i * (t + 2)) * (1 + 0.1 * s)
    return (0.5 * curvature * (w - minimum) ** 2).sum()


def inner(tensors, t, u):
    return 0.5 * loss(tensors, (t, 2 * u)) + 0.5 * loss(tensors, (t, 2 * u + 1))


class Trace:
    def __init__(self):
        self.norms, self.weights = [], []

    def json(self, **settings):
        return {"settings": settings, "norms": self.norms, "weights": self.weights}


def optimizer(parameters):
    return torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)


def step(trace, adamw, parameters, u):
    norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP)
    trace.norms.append(norm.item())
    for group in adamw.param_groups:
        group["lr"] = rate(u)
    adamw.step()


def finish(trace, tensors):
    trace.weights.append(flat([t.detach() for t in tensors]).tolist())


def leaves(tensors):
    return [t.clone().requires_grad_() for t in tensors]


def sequential():
    trace, w = Trace(), leaves(start(2))
    for t in range(TASKS):
        adamw = optimizer(w)
        for u in range(UPDATES):
            adamw.zero_grad()
            inner(w, t, u).backward()
            step(trace, adamw, w, u)
        finish(trace, w)
    return trace.json()


def ewc(lam, decay):
    trace, w = Trace(), leaves(start(2))
    fisher = [torch.zeros_like(x) for x in w]
    anchor = [torch.zeros_like(x) for x in w]
    for t in range(TASKS):
        adamw = optimizer(w)
        for u in range(UPDATES):
            adamw.zero_grad()
            penalty = sum((f * (x - a) ** 2).sum() for f, x, a in zip(fisher, w, anchor))
            (inner(w, t, u) + lam / 2 * penalty).backward()
            step(trace, adamw, w, u)
        found = [torch.zeros_like(x) for x in w]
        for s in range(4):
            gradients = torch.autograd.grad(loss(w, (t, s)), w)
            found = [f + g**2 / 4 for f, g in zip(found, gradients)]
        fisher = [decay * old + new for old, new in zip(fisher, found)]
        anchor = [x.detach().clone() for x in w]
        finish(trace, w)
    return trace.json(lambda_=lam, decay=decay)


def stacked(lambda1, lambda2):
    """An adapter of rank 2 for each task; the model's is what they are side by side."""
    trace = Trace()
    whole = start(2 * TASKS)
    adapters = []
    for t in range(TASKS):
        part = slice(2 * t, 2 * t + 2)
        adapters.append(leaves([x[part] if i % 2 == 0 else x[:, part] for i, x in enumerate(whole)]))

    def together():
        return [torch.cat([a[i] for a in adapters], dim=i % 2) for i in range(len(whole))]

    for t in range(TASKS):
        new = adapters[t]
        adamw = optimizer(new)
        for u in range(UPDATES):
            adamw.zero_grad()
            total = inner(together(), t, u)
            for layer in range(len(LAYERS)):
                for earlier in adapters[:t]:
                    frozen = earlier[2 * layer].detach()
                    total = total + lambda1 * torch.abs(frozen @ new[2 * layer].T).sum()
            total = total + lambda2 * sum(torch.norm(x, p=2) for x in new)
            total.backward()
            step(trace, adamw, new, u)
        finish(trace, together())
    return trace.json(lambda1=lambda1, lambda2=lambda2)


def tasl(beta, quantile, keep, temperature):
    trace, w = Trace(), leaves(start(2))
    history = None

    def normalized(x):
        return (x - x.min()) / (x.max() - x.min())

    for t in range(TASKS):
        adamw = optimizer(w)
        previous = [x.detach().clone() for x in w]
        smoothed = [torch.zeros_like(x) for x in w]
        uncertain = [torch.zeros_like(x) for x in w]
        for u in range(UPDATES):
            adamw.zero_grad()
            inner(w, t, u).backward()
            step(trace, adamw, w, u)
            for i, x in enumerate(w):
                importance = (x.detach() * x.grad).abs()
                smoothed[i] = beta * smoothed[i] + (1 - beta) * importance
                uncertain[i] = beta * uncertain[i] + (1 - beta) * (importance - smoothed[i]).abs()
        scores = [a * b for a, b in zip(smoothed, uncertain)]
        units = []
        for layer in range(len(LAYERS)):
            a, b = scores[2 * layer], scores[2 * layer + 1]
            units += [torch.outer(b[:, k], a[k]).mean() for k in range(a.shape[0])]
        new = normalized(torch.stack(units))
        if history is None:
            history = new
        else:
            old = normalized(history)
            old_bound, new_bound = torch.quantile(old, quantile), torch.quantile(new, quantile)
            for unit in range(len(units)):
                layer, k = divmod(unit, 2)
                to_old, to_new = bool(old[unit] > old_bound), bool(new[unit] > new_bound)
                if to_old and not to_new:
                    share = 0.0
                elif to_new and not to_old:
                    share = 1.0
                else:
                    share = torch.softmax(torch.stack([old[unit], new[unit]]) / temperature, 0)[1].item()
                with torch.no_grad():
                    a, b = w[2 * layer], w[2 * layer + 1]
                    a[k] = (1 - share) * previous[2 * layer][k] + share * a[k]
                    b[:, k] = (1 - share) * previous[2 * layer + 1][:, k] + share * b[:, k]
            history = keep * history + (1 - keep) * new
        finish(trace, w)
    return trace.json(beta=beta, quantile=quantile, keep=keep, temperature=temperature)


def vr_mcl(inner_rate, rate_step, momentum):
    trace, w = Trace(), leaves(start(2))
    rates = [torch.full_like(x, inner_rate) for x in w]

    def hypergradient(at, t, u):
        moved = [x.detach().clone() for x in at]
        total = [torch.zeros_like(x) for x in at]
        for k in range(2):
            here = leaves(moved)
            gradients = torch.autograd.grad(loss(here, (t, 2 * u + k)), here)
            moved = [x - r * g for x, r, g in zip(moved, rates, gradients)]
            total = [a + g for a, g in zip(total, gradients)]
        here = leaves(moved)
        meta = 0.5 * inner(here, t, u) + 0.5 * loss(here, (t - 1, u))
        return list(torch.autograd.grad(meta, here)), total

    for t in range(TASKS):
        adamw = optimizer(w)
        velocity, before = None, None
        for u in range(UPDATES):
            if t == 0:
                adamw.zero_grad()
                inner(w, t, u).backward()
                step(trace, adamw, w, u)
                continue
            now, total = hypergradient(w, t, u)
            corrected = now
            if before is not None:
                then, _ = hypergradient(before, t, u)
                corrected = [n + momentum * (v - p) for n, v, p in zip(now, velocity, then)]
            before = [x.detach().clone() for x in w]
            velocity = corrected
            for x, g in zip(w, corrected):
                x.grad = g.clone()
            step(trace, adamw, w, u)
            rates = [
                torch.clamp(r + rate_step * n * s, min=0) for r, n, s in zip(rates, now, total)
            ]
        finish(trace, w)
    return trace.json(inner_rate=inner_rate, rate_step=rate_step, momentum=momentum)


def migu(quantile):
    """The size of row k of a matrix's output is the sum over the batches s of |row k| * (1 + sin(k + s))."""
    trace, w = Trace(), leaves(start(2))
    for t in range(TASKS):
        adamw = optimizer(w)
        for u in range(UPDATES):
            adamw.zero_grad()
            inner(w, t, u).backward()
            if t > 0:
                for x in w:
                    k = torch.arange(x.shape[0], dtype=torch.float64)
                    size = x.detach().abs().sum(dim=1)
                    sizes = sum(size * (1 + torch.sin(k + s)) for s in (2 * u, 2 * u + 1))
                    kept = sizes > torch.quantile(sizes, quantile)
                    x.grad *= kept.to(torch.float64).unsqueeze(1)
            step(trace, adamw, w, u)
        finish(trace, w)
    return trace.json(quantile=quantile)


def main():
    traces = {
        "sequential-lora": sequential(),
        "ewc": ewc(20.0, 0.9),
        "incremental-lora": stacked(0.0, 0.0),
        "o-lora": stacked(0.5, 0.1),
        "tasl": tasl(0.85, 0.5, 0.7, 0.25),
        "migu": migu(0.7),
        "vr-mcl": vr_mcl(0.1, 0.05, 0.5),
    }
    with open(sys.argv[1], "w") as file:
        json.dump({"torch": torch.__version__, "traces": traces}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
