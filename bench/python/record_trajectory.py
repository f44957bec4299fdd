"""Records Recurrent-KIF training on a small T5, step by step, for `kif verify trajectory`.

    python bench/python/record_trajectory.py SOURCE OUTPUT [--setting value ...]

SOURCE is an earlier recording: its model and samples are taken, nothing else. The method is
written out in plain PyTorch, float32, without a trainer and without PEFT; only the T5 itself comes
from the Transformers library. OUTPUT gets the files of the format the recordings have: samples,
events with batches and losses, the vectors of every fusion, the adapter after each task and greedy
answers.

Attention is computed by the plain softmax formula. A fused attention leaves noise in gradients of
about 1e-9, which Adam turns into visible steps.
"""

import argparse
import hashlib
import json
import math
import random
import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import T5ForConditionalGeneration

IGNORED = -100
ANSWER_TOKENS = 128


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", type=Path, help="another model than the source's; same tokenizer")
    parser.add_argument("--rows", default="30,29,31", help="training samples of each task")
    parser.add_argument("--test-rows", type=int, default=8)
    parser.add_argument("--memory", default="9,8", help="samples kept of each past task")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=32)
    parser.add_argument("--targets", default="q,v")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--micro-batch", type=int, default=2)
    parser.add_argument("--accumulation", type=int, default=4)
    parser.add_argument("--updates", type=int, help="stop each task here instead of after all epochs")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--adam", default="0.9,0.999,1e-8,0.0")
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--cycle", type=int, default=8)
    parser.add_argument("--outer-steps", type=int, default=4)
    parser.add_argument("--outer-batch", type=int, default=8)
    parser.add_argument("--quantile", type=float, default=0.8)
    parser.add_argument("--betas", default="0.85,0.85")
    parser.add_argument("--reset-inner", type=int, default=1)
    parser.add_argument("--reset-outer", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Lora(torch.nn.Module):
    """A frozen linear layer W with a trainable product beside it: W x + alpha/r B A x."""

    def __init__(self, frozen, rank, alpha, generator):
        super().__init__()
        self.frozen = frozen
        self.scale = alpha / rank
        outputs, inputs = frozen.weight.shape
        bound = 1 / math.sqrt(inputs)
        self.lora_A = torch.nn.Parameter((torch.rand(rank, inputs, generator=generator) * 2 - 1) * bound)
        self.lora_B = torch.nn.Parameter(torch.zeros(outputs, rank))

    @property
    def weight(self):  # T5 asks for its type
        return self.frozen.weight

    def forward(self, x):
        return self.frozen(x) + self.scale * ((x @ self.lora_A.T) @ self.lora_B.T)


def adapted(model, targets, rank, alpha, generator):
    """Puts adapters into the model; returns their tensors by name, in the order of its modules."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name, module in list(model.named_modules()):
        parent, _, last = name.rpartition(".")
        if last in targets and isinstance(module, torch.nn.Linear):
            setattr(model.get_submodule(parent), last, Lora(module, rank, alpha, generator))
    return {n: p for n, p in model.named_parameters() if p.requires_grad}


class Recording:
    def __init__(self, o):
        self.o = o
        self.random = random.Random(o.seed)
        self.model_folder = o.model or o.source / "model"
        self.model = T5ForConditionalGeneration.from_pretrained(
            self.model_folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        generator = torch.Generator().manual_seed(o.seed)
        self.weights = adapted(self.model, o.targets.split(","), o.rank, o.alpha, generator)
        self.learning_rate, self.betas = o.learning_rate, [float(b) for b in o.betas.split(",")]
        self.adam = [float(a) for a in o.adam.split(",")]
        self.tasks = []
        self.memory = []
        self.answers_to = []

    # ---- vectors over all adapter tensors

    def flat(self):
        return torch.cat([p.detach().flatten() for p in self.weights.values()]).clone()

    def assign(self, vector):
        offset = 0
        with torch.no_grad():
            for p in self.weights.values():
                p.copy_(vector[offset : offset + p.numel()].view_as(p))
                offset += p.numel()

    def gradient(self):
        return torch.cat([p.grad.flatten() for p in self.weights.values()]).clone()

    def layout(self):
        layout, offset = [], 0
        for name, p in self.weights.items():
            layout.append({"name": name, "shape": list(p.shape), "offset": offset, "size": p.numel()})
            offset += p.numel()
        return layout

    def save_weights(self, name):
        tensors = {n: p.detach().clone().contiguous() for n, p in self.weights.items()}
        save_file(tensors, self.o.output / name)

    def write(self, name, value):
        (self.o.output / name).write_text(json.dumps(value))

    # ---- batches

    def batch(self, keys):
        """The tensors of some rows, each [task, row], and how they are written down."""
        rows = [self.tasks[t]["train"][r] for t, r in keys]
        up = lambda n: -(-n // 8) * 8
        source = up(max(len(r["input_ids"]) for r in rows))
        target = up(max(len(r["labels"]) for r in rows))
        pad = lambda values, length, fill: values + [fill] * (length - len(values))
        ids = torch.tensor([pad(r["input_ids"], source, 0) for r in rows])
        mask = torch.tensor([pad([1] * len(r["input_ids"]), source, 0) for r in rows])
        labels = torch.tensor([pad(r["labels"], target, IGNORED) for r in rows])
        digest = hashlib.sha256()
        for tensor in (ids, mask, labels):
            digest.update(tensor.numpy().astype("<i8").tobytes())
        micro = {"src_len": source, "tgt_len": target, "sha": digest.hexdigest()[:16]}
        return ids, mask, labels, micro

    def backward(self, keys, scale):
        ids, mask, labels, micro = self.batch(keys)
        started = torch.cat([torch.zeros_like(labels[:, :1]), labels[:, :-1].clamp(min=0)], 1)
        logits = self.model(input_ids=ids, attention_mask=mask, decoder_input_ids=started).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        (loss * scale).backward()
        micro["loss"] = loss.item()
        return micro

    # ---- one update, written out

    def step(self, state, rate):
        """Clips, takes one AdamW step; returns norm and clipped gradient."""
        gradient = self.gradient()
        norm = gradient.norm()
        gradient = gradient * torch.clamp(self.o.clip / (norm + 1e-6), max=1.0)
        beta1, beta2, epsilon, decay = self.adam
        state["t"] += 1
        state["m"] = beta1 * state["m"] + (1 - beta1) * gradient
        state["v"] = beta2 * state["v"] + (1 - beta2) * gradient * gradient
        weights = self.flat() * (1 - rate * decay)
        root = state["v"].sqrt() / math.sqrt(1 - beta2 ** state["t"]) + epsilon
        self.assign(weights - rate / (1 - beta1 ** state["t"]) * state["m"] / root)
        for p in self.weights.values():
            p.grad = None
        return norm.item(), gradient

    def importance(self, state, gradient):
        """Smoothed sensitivity of the weights after the step, and its smoothed uncertainty."""
        beta1, beta2 = self.betas
        sensitivity = (self.flat() * gradient).abs()
        state["I"] = beta1 * state["I"] + (1 - beta1) * sensitivity
        state["U"] = beta2 * state["U"] + (1 - beta2) * (sensitivity - state["I"]).abs()

    def rate(self, completed, total):
        if completed < self.o.warmup:
            return self.learning_rate * (completed / self.o.warmup)
        return self.learning_rate * max(0.0, (total - completed) / max(1, total - self.o.warmup))

    def checksums(self):
        weights = self.flat().double()
        return {"sum": weights.sum().item(), "l2": weights.norm().item()}

    # ---- one task

    def learn(self, index):
        o = self.o
        rows = len(self.tasks[index]["train"])
        micro_batches = -(-rows // o.micro_batch)
        total = o.epochs * max(micro_batches // o.accumulation, 1)
        total = min(total, o.updates or total)
        zero = lambda: torch.zeros_like(self.flat())
        fresh = lambda: {"I": zero(), "U": zero()}
        adam = {"t": 0, "m": zero(), "v": zero()}
        inner, outer = fresh(), fresh()
        base = self.flat()
        events, vectors, window, completed, used = [], {}, [], 0, 0
        fusions = 0
        while completed < total:
            order = list(range(rows))
            self.random.shuffle(order)
            for start in range(0, rows, o.micro_batch):
                numbers = order[start : start + o.micro_batch]
                micro = self.backward([[index, r] for r in numbers], 1 / o.accumulation)
                window.append({"rows": numbers, **micro})
                used += 1
                if used % o.accumulation != 0:
                    continue
                rate = self.rate(completed, total)
                norm, gradient = self.step(adam, rate)
                if self.memory:
                    self.importance(inner, gradient)
                event = {"kind": "inner", "update": completed, "micro": window, "grad_norm": norm, "lr": rate}
                events.append({**event, **self.checksums()})
                window = []
                completed += 1
                if self.memory and completed % o.cycle == 0:
                    base, vectors_of = self.fuse(completed, total, fusions, base, adam, inner, outer, events)
                    vectors.update(vectors_of)
                    fusions += 1
                    if o.reset_inner:
                        inner = fresh()
                    if o.reset_outer:
                        outer = fresh()
                if completed == total:
                    break
        for p in self.weights.values():
            p.grad = None
        if vectors:
            save_file(vectors, o.output / f"fusions-task{index}.safetensors")
        self.write(
            f"trace-task{index}.json",
            {
                "task": self.tasks[index]["task"],
                "task_index": index,
                "n_train": rows,
                "n_memory": len(self.memory),
                "memory": self.memory,
                "max_steps": total,
                "epochs": o.epochs,
                "micro_batch": o.micro_batch,
                "accumulation": o.accumulation,
                "outer_batch": o.outer_batch,
                "warmup": o.warmup,
                "learning_rate": o.learning_rate,
                "adam": self.adam,
                "clip": o.clip,
                "inner_iterations": o.cycle,
                "outer_iterations": o.outer_steps,
                "quantile": o.quantile,
                "beta1": self.betas[0],
                "beta2": self.betas[1],
                "reset_inner": o.reset_inner,
                "reset_outer": o.reset_outer,
                "lora_r": o.rank,
                "lora_alpha": o.alpha,
                "seed": o.seed,
                "updates": completed,
                "fusions": fusions,
                "events": events,
            },
        )
        self.save_weights(f"lora-after-task{index}.safetensors")

    def fuse(self, completed, total, number, base, adam, inner, outer, events):
        o = self.o
        inner_end = self.flat()
        rate = self.rate(completed, total)
        for repeat in range(o.outer_steps):
            keys = self.random.sample(self.memory, min(o.outer_batch, len(self.memory)))
            micro = self.backward(keys, 1 / o.accumulation)
            norm, gradient = self.step(adam, rate)
            self.importance(outer, gradient)
            event = {"kind": "outer", "update": completed, "outer": repeat, "micro": [{"rows": keys, **micro}]}
            events.append({**event, "grad_norm": norm, "lr": rate, "adam_t": adam["t"], **self.checksums()})
        outer_end = self.flat()
        d_in, d_out = inner_end - base, outer_end - inner_end
        scores = [inner["I"] * inner["U"], outer["I"] * outer["U"]]
        thresholds = [torch.quantile(s, o.quantile) for s in scores]
        new, old = (s > t for s, t in zip(scores, thresholds))
        c_in = torch.full_like(base, 0.5)
        c_out = torch.full_like(base, 0.5)
        c_in[new & old], c_out[new & old] = 0.4, 0.6
        c_in[new & ~old], c_out[new & ~old] = 1.0, 0.0
        c_in[~new & old], c_out[~new & old] = 0.0, 1.0
        self.assign(base + (c_in * d_in + c_out * d_out))
        fused = self.flat()
        events.append(
            {
                "kind": "fusion",
                "update": completed,
                "fusion": number,
                "thr_in": thresholds[0].item(),
                "thr_out": thresholds[1].item(),
                "n_in": int(new.sum()),
                "n_out": int(old.sum()),
                "n_both": int((new & old).sum()),
                **self.checksums(),
            }
        )
        prefix = "f%02d." % number
        vectors = {
            "inner_end": inner_end,
            "outer_end": outer_end,
            "fused": fused,
            "I_in": inner["I"],
            "U_in": inner["U"],
            "I_out": outer["I"],
            "U_out": outer["U"],
            "mask": (new.to(torch.uint8) + 2 * old.to(torch.uint8)),
        }
        if number == 0:
            vectors["base"] = base
        return fused, {prefix + name: vector.clone() for name, vector in vectors.items()}

    # ---- answers

    @torch.no_grad()
    def answer(self, row):
        ids = torch.tensor([row["input_ids"]])
        encoded = self.model.encoder(input_ids=ids)
        out, margin = [0], math.inf
        while len(out) < ANSWER_TOKENS:
            logits = self.model(encoder_outputs=encoded, decoder_input_ids=torch.tensor([out])).logits[0, -1]
            best = logits.topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            out.append(best.indices[0].item())
            if out[-1] == 1:
                break
        return out, margin

    def examine(self, index):
        answers = []
        for task in range(index + 1):
            for number, row in enumerate(self.tasks[task]["test"]):
                out, margin = self.answer(row)
                answers.append({"task": task, "row": number, "out_ids": out, "min_margin": margin})
        self.write(f"generations-after-task{index}.json", answers)
        return min(a["min_margin"] for a in answers)

    def run(self):
        o = self.o
        o.output.mkdir(parents=True)
        (o.output / "model").mkdir()
        for file in self.model_folder.iterdir():
            if re.search(r"\.json$|\.safetensors$", file.name):
                shutil.copyfile(file, o.output / "model" / file.name)
        for index, count in enumerate(int(n) for n in o.rows.split(",")):
            samples = json.loads((o.source / f"samples-task{index}.json").read_text())
            samples["train"] = samples["train"][:count]
            samples["test"] = samples["test"][: o.test_rows]
            self.tasks.append(samples)
            self.write(f"samples-task{index}.json", samples)
        self.save_weights("lora-init.safetensors")
        kept = [int(n) for n in o.memory.split(",")]
        for index, task in enumerate(self.tasks):
            self.learn(index)
            margin = self.examine(index)
            print(f"{task['task']}: smallest margin of an answer {margin:.4f}")
            if index < len(kept):
                rows = self.random.sample(range(len(task["train"])), kept[index])
                self.memory.extend([index, row] for row in rows)
        self.write(
            "manifest.json",
            {
                "format": 1,
                "seed": o.seed,
                "tasks": [task["task"] for task in self.tasks],
                "lora_r": o.rank,
                "lora_alpha": o.alpha,
                "lora_parameters": sum(p.numel() for p in self.weights.values()),
                "layout": self.layout(),
            },
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    Recording(options()).run()
