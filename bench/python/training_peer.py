"""The peer of `kif bench training`: the same requests, done by PyTorch, Transformers and PEFT as they come.

    python bench/python/training_peer.py --model DIR --adapter DIR [--dropout] [--threads T] [--precision bf16]

One JSON object a line, in and out; the requests are those that kif's TrainingRequests lists, and
two that prepare a comparison:

    {"do": "new-adapter", "file": FOLDER}         LoRA of rank 8 on q and v, B drawn at random too
    {"do": "encode", "samples": [[PROMPT, ANSWER], ...], "cut": N}

Eager mode; `--precision bf16` runs the forward pass under bfloat16 autocast. The cycle is the method as its
release writes it: dictionaries of tensors, torch.quantile, merges by masks (kernels_vs_torch.py).
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

LEARNING_RATE = 3e-4
BETA1 = BETA2 = 0.85
QUANTILE = 0.8


def importance(w, g, i, u):
    s = (w * g).abs()
    i = BETA1 * i + (1 - BETA1) * s
    return i, BETA2 * u + (1 - BETA2) * (s - i).abs()


def merge(w, base, snapshot, new, old):
    a, b = new.float(), old.float()
    both, neither = new & old, ~new & ~old
    a[both], b[both] = 0.4, 0.6
    a[neither], b[neither] = 0.5, 0.5
    return base + (a * (snapshot - base) + b * (w - snapshot))


class Peer:
    def __init__(self, options):
        self.options = options
        config = AutoConfig.from_pretrained(options.model)
        self.causal = not config.is_encoder_decoder
        loader = AutoModelForCausalLM if self.causal else AutoModelForSeq2SeqLM
        model = loader.from_pretrained(options.model, dtype=torch.float32)
        if options.adapter:
            model = PeftModel.from_pretrained(model, options.adapter, is_trainable=True)
        self.model = model.train(options.dropout)
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if options.adapter:
            self.optimizer = torch.optim.AdamW(self.trained.values(), lr=LEARNING_RATE, weight_decay=0.0)

    # Requests that prepare

    def new_adapter(self, request):
        torch.manual_seed(1)
        targets = ["q_proj", "v_proj"] if self.causal else ["q", "v"]
        kind = "CAUSAL_LM" if self.causal else "SEQ_2_SEQ_LM"
        lora = LoraConfig(r=8, lora_alpha=32, lora_dropout=0.05, target_modules=targets, task_type=kind)
        model = get_peft_model(self.model, lora)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        model.save_pretrained(request["file"])
        return {}

    def encode(self, request):
        tokenizer = AutoTokenizer.from_pretrained(self.options.model)
        end = tokenizer.eos_token_id
        encoded = []
        for prompt, answer in request["samples"]:
            source = tokenizer(prompt)["input_ids"]
            if self.causal:
                source = source[: request["cut"]]
                target = [*tokenizer(answer, add_special_tokens=False)["input_ids"], end]
            else:
                source = source[:-1][: request["cut"] - 1] + [end]
                target = tokenizer(answer)["input_ids"]
            encoded.append([source, target])
        return {"encoded": encoded, "causal": self.causal}

    # Requests of a comparison

    def loss(self, batch):
        tensors = {name: torch.tensor(rows) for name, rows in batch.items()}
        if self.options.precision == "bf16":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.model(**tensors).loss
        return self.model(**tensors).loss

    def backward(self, micro_batches, accumulation):
        losses = []
        for batch in micro_batches:
            loss = self.loss(batch)
            (loss / accumulation).backward()
            losses.append(loss.item())
        return losses

    def step(self, micro_batches, accumulation=None):
        losses = self.backward(micro_batches, accumulation or len(micro_batches))
        torch.nn.utils.clip_grad_norm_(self.trained.values(), 1.0)
        self.optimizer.step()
        return sum(losses) / len(losses)

    def gradient(self, request):
        losses = self.backward(request["update"], len(request["update"]))
        self.write({n: p.grad for n, p in self.trained.items()}, request["file"])
        self.optimizer.zero_grad()
        return {"losses": losses}

    def save(self, request):
        self.write({n: p.detach() for n, p in self.trained.items()}, request["file"])
        return {}

    def write(self, tensors, folder):
        from safetensors.torch import save_file

        Path(folder).mkdir(parents=True, exist_ok=True)
        named = {n.replace(".default.weight", ".weight"): t.float().contiguous() for n, t in tensors.items()}
        save_file(named, Path(folder, "adapter_model.safetensors"))

    def updates(self, request):
        seconds, losses = [], []
        for update in request["updates"]:
            start = time.perf_counter()
            losses.append(self.step(update))
            self.optimizer.zero_grad()
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds, "losses": losses}

    def cycle(self, request):
        self.optimizer = torch.optim.AdamW(self.trained.values(), lr=LEARNING_RATE, weight_decay=0.0)

        def copies():
            return {n: p.detach().clone() for n, p in self.trained.items()}

        def zeros():
            return {n: [torch.zeros_like(p), torch.zeros_like(p)] for n, p in self.trained.items()}

        def estimate(importances):
            with torch.no_grad():
                for n, p in self.trained.items():
                    importances[n] = importance(p, p.grad, *importances[n])

        def important(importances):
            scores = {n: i * u for n, (i, u) in importances.items()}
            threshold = torch.quantile(torch.cat([s.flatten() for s in scores.values()]), QUANTILE)
            return {n: s > threshold for n, s in scores.items()}

        start = time.perf_counter()
        base, inner, outer = copies(), zeros(), zeros()
        for update in request["inner"]:
            self.step(update)
            estimate(inner)
            self.optimizer.zero_grad()
        snapshot = copies()
        for batch in request["outer"]:
            self.step([batch], len(request["inner"][0]))
            estimate(outer)
            self.optimizer.zero_grad()
        new, old = important(inner), important(outer)
        with torch.no_grad():
            for n, p in self.trained.items():
                p.copy_(merge(p, base[n], snapshot[n], new[n], old[n]))
        return {"seconds": time.perf_counter() - start, "updates": len(request["inner"])}

    @torch.inference_mode()
    def decode(self, request):
        pad = self.model.config.pad_token_id
        length = max(map(len, request["prompts"]))
        ids, mask = [], []
        for prompt in request["prompts"]:
            rest = length - len(prompt)
            left, right = ([pad] * rest, []) if self.causal else ([], [pad] * rest)
            ids.append([*left, *prompt, *right])
            mask.append([0] * len(left) + [1] * len(prompt) + [0] * len(right))
        self.model.eval()
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.options.precision == "bf16"):
            out = self.model.generate(
                input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask), do_sample=False, num_beams=1,
                max_new_tokens=request["tokens"])
        seconds = time.perf_counter() - start
        self.model.train(self.options.dropout)
        answers = [row[length if self.causal else 1 :] for row in out.tolist()]
        end = self.model.generation_config.eos_token_id
        ends = end if isinstance(end, list) else [end]
        cut = []
        for row in answers:
            stop = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
            cut.append(row[:stop])
        return {"seconds": seconds, "answers": cut}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--dropout", action="store_true")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    peer = Peer(options)
    requests = {name.replace("_", "-"): getattr(peer, name) for name in
                ("new_adapter", "encode", "gradient", "updates", "cycle", "decode", "save")}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(requests[request["do"]](request)), flush=True)


if __name__ == "__main__":
    main()
