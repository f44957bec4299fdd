"""Records losses, gradients and answers of small models with adapters that PEFT does not have.

    python bench/python/record_adapters.py java/src/test/resources/io/github/recurrentkif/experiment/adapters.json

The adapters are written out here as their definitions state them, over models of the Transformers
library in float64; autograd differentiates. Element i of the adapter's tensor number n, in the order
of their names, is 0.1 * sin(i + n + 1) in float32. Of a gradient g are kept its norm and the sum of
g[i] * sin(i * i).

Sequence-to-sequence: models/tiny-t5, two sources of 9 and 6 tokens padded on the right, answers of 4
and 3. Causal: the qwen2 of the tests, two texts of 11 and 8 tokens padded on the left, of which the
last 3 are learned; the answers are to the 8 and 5 before them.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

ROOT = Path(__file__).resolve().parents[2]
QWEN = ROOT / "java/src/test/resources/io/github/recurrentkif/experiment/verification/qwen2"
ANSWER = 6


def ids(rows, length, vocabulary):
    return torch.tensor([[5 + (7 * i + 11 * r + i * i) % (vocabulary - 5) for i in range(length)] for r in range(rows)])


def cut(answers, ends):
    """Each row up to the first token that ends it."""
    rows = []
    for row in answers.tolist():
        end = [i + 1 for i, token in enumerate(row) if token in ends]
        rows.append(row[: end[0]] if end else row)
    return rows


class T5:
    name = "t5"
    ends = [1]
    pull = 0.0
    targets = ("q", "v", "wo")

    def __init__(self):
        self.model = AutoModelForSeq2SeqLM.from_pretrained(ROOT / "models/tiny-t5").double().eval()
        self.ids = ids(2, 9, 200)
        self.mask = torch.ones_like(self.ids)
        self.mask[1, 6:] = 0
        self.ids[1, 6:] = 0
        self.labels = ids(2, 4, 150)
        self.labels[1, 3:] = -100

    def prompts(self):
        return self.ids, self.mask

    def loss(self):
        return self.model(input_ids=self.ids, attention_mask=self.mask, labels=self.labels).loss

    def answers(self):
        found = self.model.generate(
            input_ids=self.ids, attention_mask=self.mask, max_new_tokens=ANSWER, do_sample=False
        )
        return cut(found[:, 1:], self.ends)


class Qwen2:
    name = "qwen2"
    ends = [2, 3]
    pull = 0.0
    targets = ("q_proj", "v_proj", "down_proj")

    def __init__(self):
        model = AutoModelForCausalLM.from_pretrained(QWEN, dtype=torch.float32, attn_implementation="sdpa")
        self.model = model.double().eval()
        self.ids = ids(2, 11, 40)
        self.mask = torch.ones_like(self.ids)
        self.mask[1, :3] = 0
        self.ids[1, :3] = 0
        self.labels = torch.full_like(self.ids, -100)
        self.labels[:, -3:] = self.ids[:, -3:]

    def prompts(self):
        return self.ids[:, :-3], self.mask[:, :-3]

    def loss(self):
        return self.model(input_ids=self.ids, attention_mask=self.mask, labels=self.labels).loss

    def answers(self):
        prompts, mask = self.prompts()
        found = self.model.generate(
            input_ids=prompts, attention_mask=mask, max_new_tokens=ANSWER, do_sample=False
        )
        return cut(found[:, prompts.shape[1] :], self.ends)


def fill(tensors):
    """Gives tensors by name their values, as leaves."""
    for n, name in enumerate(sorted(tensors)):
        count = tensors[name].numel()
        values = (0.1 * torch.sin(torch.arange(count).double() + n + 1)).float().double()
        tensors[name].data = values.reshape(tensors[name].shape)


def adapted(family):
    """Names and linear layers that get an adapter."""
    return [
        (name, module)
        for name, module in family.model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.split(".")[-1] in family.targets
    ]


def replace(model, name, module):
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


class MixtureLinear(torch.nn.Module):
    """y = x W^T + scale * sum of g_e(x) * (x A_e^T) B_e^T, g = softmax(x R^T)."""

    def __init__(self, base, experts, rank, scale):
        super().__init__()
        self.base, self.rank, self.scale = base, rank, scale
        self.a = torch.nn.Parameter(torch.zeros(experts * rank, base.in_features).double())
        self.b = torch.nn.Parameter(torch.zeros(base.out_features, experts * rank).double())
        self.router = torch.nn.Parameter(torch.zeros(experts, base.in_features).double())

    def __getattr__(self, name):
        # T5 asks a layer for the type of its weight.
        return self.base.weight if name == "weight" else super().__getattr__(name)

    def forward(self, x):
        gates = torch.softmax(x @ self.router.T, -1)
        y = self.base(x)
        for e, (a, b) in enumerate(zip(self.a.split(self.rank), self.b.split(self.rank, dim=1))):
            y = y + self.scale * gates[..., e : e + 1] * ((x @ a.T) @ b.T)
        return y


def mixture(family):
    tensors = {}
    for name, module in adapted(family):
        layer = MixtureLinear(module, experts=3, rank=2, scale=1.5)
        replace(family.model, name, layer)
        tensors[name + ".lora_A.weight"] = layer.a
        tensors[name + ".lora_B.weight"] = layer.b
        tensors[name + ".router.weight"] = layer.router
    return tensors


class Pool:
    """Soft prompts, of which those go before a text whose keys are most like its mean embedding."""

    def __init__(self, family, prompts, length, chosen, pull):
        self.length, self.chosen, self.pull = length, chosen, pull
        self.table = family.model.get_input_embeddings()
        width = self.table.weight.shape[1]
        self.vectors = torch.nn.Parameter(torch.zeros(prompts * length, width).double())
        self.keys = torch.nn.Parameter(torch.zeros(prompts, width).double())

    def before(self, ids, mask, queries):
        """Embeddings and mask of every row with its prompts before its text; the loss of the keys."""
        rows, masks, loss = [], [], 0.0
        for row, seen, query in zip(ids, mask, queries):
            mean = self.table(query).mean(0)
            cosines = torch.nn.functional.cosine_similarity(self.keys, mean[None], dim=1)
            chosen = torch.topk(cosines, self.chosen).indices
            loss = loss + self.pull * (1 - cosines[chosen]).sum() / len(ids)
            prompts = torch.cat([self.vectors[self.length * m : self.length * (m + 1)] for m in chosen.tolist()])
            first = int(seen.nonzero()[0])
            embedded = self.table(row)
            rows.append(torch.cat([embedded[:first], prompts, embedded[first:]]))
            masks.append(torch.cat([seen[:first], torch.ones(len(prompts), dtype=seen.dtype), seen[first:]]))
        return torch.stack(rows), torch.stack(masks), loss


def prompt_pool(family, prompts=4, length=2, chosen=2, pull=0.5):
    pool = Pool(family, prompts, length, chosen, pull)
    causal = isinstance(family, Qwen2)
    texts, asked = family.prompts()
    queries = [row[seen == 1] for row, seen in zip(texts, asked)]

    def loss():
        embedded, mask, pull = pool.before(family.ids, family.mask, queries)
        labels = family.labels
        if causal:
            labels = torch.cat([torch.full((2, chosen * length), -100), labels], 1)
        entropy = family.model(inputs_embeds=embedded, attention_mask=mask, labels=labels).loss
        family.pull = pull
        return entropy

    def answers():
        embedded, mask, _ = pool.before(texts, asked, queries)
        found = family.model.generate(
            inputs_embeds=embedded, attention_mask=mask, max_new_tokens=ANSWER, do_sample=False
        )
        return cut(found if causal else found[:, 1:], family.ends)

    def logits():
        """Of every labelled token."""
        embedded, mask, _ = pool.before(family.ids, family.mask, queries)
        if not causal:
            found = family.model(inputs_embeds=embedded, attention_mask=mask, labels=family.labels).logits
            return found[family.labels != -100]
        found = family.model(inputs_embeds=embedded, attention_mask=mask).logits[:, chosen * length :]
        return found[:, :-1][family.labels[:, 1:] != -100]

    def retention():
        """KL(before || now), mean over the labelled tokens; before, every vector is half of what it is now."""
        vectors = pool.vectors
        with torch.no_grad():
            pool.vectors = 0.5 * vectors
            before = torch.log_softmax(logits(), -1)
            pool.vectors = vectors
        vectors.grad = None
        (before.exp() * (before - torch.log_softmax(logits(), -1))).sum(-1).mean().backward()
        return {"prompts.weight": kept(vectors.grad)}

    family.loss, family.answers, family.retention = loss, answers, retention
    return {"prompts.weight": pool.vectors, "prompts.keys": pool.keys}


def one_prompt(family):
    return prompt_pool(family, prompts=1, length=3, chosen=1, pull=0.0)


class AttendedLinear(torch.nn.Module):
    """y = x W^T + scale * sum of a_t * (x A_t^T) B_t^T, a by text."""

    def __init__(self, base, attention, tasks, rank, scale):
        super().__init__()
        self.base, self.rank, self.scale, self.attention = base, rank, scale, [attention]
        self.a = torch.nn.Parameter(torch.zeros(tasks * rank, base.in_features).double())
        self.b = torch.nn.Parameter(torch.zeros(base.out_features, tasks * rank).double())

    def __getattr__(self, name):
        return self.base.weight if name == "weight" else super().__getattr__(name)

    def forward(self, x):
        y = self.base(x)
        for t, (a, b) in enumerate(zip(self.a.split(self.rank), self.b.split(self.rank, dim=1))):
            y = y + self.scale * self.attention[0].now[:, t, None, None] * ((x @ a.T) @ b.T)
        return y


class Attention:
    """Over tasks, of texts: softmax of k . norm(up silu(down max e)) / (temperature * sqrt(width))."""

    def __init__(self, family, tasks, hidden, temperature):
        texts, seen = family.prompts()
        self.table = family.model.get_input_embeddings()
        self.texts = [row[mask == 1] for row, mask in zip(texts, seen)]
        width = self.table.weight.shape[1]
        self.scale = 1 / (temperature * width**0.5)
        shapes = {"keys": (tasks, width), "down.weight": (hidden, width), "up.weight": (width, hidden)}
        shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
        self.parameters = {
            f"attention.{name}": torch.nn.Parameter(torch.zeros(shape).double()) for name, shape in shapes.items()
        }

    def of(self, parameters):
        keys, down, up, gain, bias = (
            parameters["attention." + name] for name in ("keys", "down.weight", "up.weight", "norm.weight", "norm.bias")
        )
        rows = []
        for text in self.texts:
            embedded = self.table(text).max(0).values
            raised = up @ torch.nn.functional.silu(down @ embedded)
            query = torch.nn.functional.layer_norm(raised, raised.shape, gain, bias)
            rows.append(torch.softmax(self.scale * (keys @ query), 0))
        return torch.stack(rows)


def task_attention(family, tasks=3, hidden=5, temperature=0.5):
    attention = Attention(family, tasks, hidden, temperature)
    tensors = dict(attention.parameters)
    for name, module in adapted(family):
        layer = AttendedLinear(module, attention, tasks, rank=2, scale=1.5)
        replace(family.model, name, layer)
        tensors[name + ".lora_A.weight"] = layer.a
        tensors[name + ".lora_B.weight"] = layer.b
    loss, answers = family.loss, family.answers

    def attended(run):
        def of():
            attention.now = attention.of(attention.parameters)
            return run()

        return of

    family.loss, family.answers = attended(loss), attended(answers)
    family.retention = lambda: attention_retention(attention)
    return tensors


def attention_retention(attention):
    """KL(before || now), mean over the texts: its gradient; before, every element is half of what it is now."""
    before = attention.of({name: 0.5 * value.detach() for name, value in attention.parameters.items()})
    now = attention.of(attention.parameters)
    loss = (before * (before.log() - now.log())).sum(1).mean()
    for value in attention.parameters.values():
        value.grad = None
    loss.backward()
    return {name: kept(value.grad) for name, value in sorted(attention.parameters.items())}


def kept(gradient):
    g = gradient.reshape(-1)
    along = torch.sin(torch.arange(g.numel()).double() ** 2)
    return [g.norm().item(), (g * along).sum().item()]


KINDS = {
    "mixture": mixture,
    "prompt-pool": prompt_pool,
    "one-prompt": one_prompt,
    "task-attention": task_attention,
}


def record(family, kind):
    for parameter in family.model.parameters():
        parameter.requires_grad_(False)
    tensors = KINDS[kind](family)
    fill(tensors)
    loss = family.loss()
    (loss + family.pull).backward()
    recorded = {
        "model": family.name,
        "kind": kind,
        "loss": loss.item(),
        "gradients": {name: kept(tensors[name].grad) for name in sorted(tensors)},
        "answers": family.answers(),
    }
    if kind != "mixture":
        recorded["retention"] = family.retention()
    return recorded


records = [record(family(), kind) for kind in KINDS for family in (T5, Qwen2)]
Path(sys.argv[1]).write_text("[\n" + ",\n".join(json.dumps(r) for r in records) + "\n]\n")
