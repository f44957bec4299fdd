"""Records what the Transformers library computes for a random T5, for `kif verify model`.

    python bench/python/record_model.py SAMPLES OUTPUT [--setting value ...]

SAMPLES is a folder with a tokenizer in model/ and samples-task0.json, as recorded trajectories have
it. OUTPUT becomes a Hugging Face folder with random weights, an adapter that PEFT wrote, loss,
logits and gradients with and without it in float64 (the truth, of the weights as they are stored),
how far PyTorch's own float32 is from that, and greedy tokens.

The folder is written first and then opened by Transformers: what is recorded is how Transformers
reads it. Dropout is off.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
GREEDY_TOKENS = 12


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--head-width", type=int, default=10)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--feed-forward", type=int, default=56)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--decoder-layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=1100)
    parser.add_argument("--activation", default="relu", help="feed_forward_proj")
    parser.add_argument("--buckets", type=int, default=32)
    parser.add_argument("--distance", type=int, default=128)
    parser.add_argument("--epsilon", type=float, default=1e-6)
    parser.add_argument("--own-head", action="store_true", help="lm_head.weight stands in the file")
    parser.add_argument("--tie", choices=["true", "false", "absent"], default="absent", help="tie_word_embeddings")
    parser.add_argument("--scale", choices=["true", "false", "absent"], default="absent", help="scale_decoder_outputs")
    parser.add_argument("--copies", action="store_true", help="store the embedding under all its names")
    parser.add_argument("--type", choices=sorted(TYPES), default="f32")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--targets", default="q,v")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=32)
    parser.add_argument("--source-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def write_folder(o):
    """config.json and weights as some publisher would write them."""
    config = {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        "d_model": o.width,
        "d_kv": o.head_width,
        "d_ff": o.feed_forward,
        "num_heads": o.heads,
        "num_layers": o.layers,
        "num_decoder_layers": o.decoder_layers,
        "vocab_size": o.vocabulary,
        "feed_forward_proj": o.activation,
        "relative_attention_num_buckets": o.buckets,
        "relative_attention_max_distance": o.distance,
        "layer_norm_epsilon": o.epsilon,
        "dropout_rate": 0.0,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }
    for key, value in (("tie_word_embeddings", o.tie), ("scale_decoder_outputs", o.scale)):
        if value != "absent":
            config[key] = value == "true"
    (o.output / "config.json").write_text(json.dumps(config, indent=1))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(o.samples / "model" / file, o.output / file)

    model = T5ForConditionalGeneration(T5Config(**config))
    weights = {}
    for name, parameter in model.named_parameters():
        if name.endswith("layer_norm.weight"):
            value = 1 + 0.2 * torch.randn_like(parameter)
        elif name == "shared.weight":
            value = torch.randn_like(parameter)
        else:
            value = torch.randn_like(parameter) * 1.2 * parameter.shape[-1] ** -0.5
            if ".q." in name:  # T5 does not scale its attention scores
                value *= o.head_width**-0.5
        weights[name] = value.to(TYPES[o.type])
    if o.own_head:
        head = torch.randn(o.vocabulary, o.width) * o.width**-0.5
        weights["lm_head.weight"] = head.to(TYPES[o.type])
    if o.copies:
        for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
            weights.setdefault(name, weights["shared.weight"].clone())
    names = sorted(weights)
    if o.shards == 1:
        save_file(weights, o.output / "model.safetensors", metadata={"format": "pt"})
        return
    index = {}
    for shard in range(o.shards):
        file = f"model-{shard + 1:05d}-of-{o.shards:05d}.safetensors"
        part = {name: weights[name] for name in names[shard :: o.shards]}
        save_file(part, o.output / file, metadata={"format": "pt"})
        index.update(dict.fromkeys(part, file))
    total = sum(w.numel() * w.element_size() for w in weights.values())
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    (o.output / "model.safetensors.index.json").write_text(text)


def opened(o, dtype):
    """The model as Transformers reads the folder, its weights being those of the file."""
    model = T5ForConditionalGeneration.from_pretrained(o.output, dtype=torch.float32, attn_implementation="eager")
    return model.to(dtype).eval()


def batch(o):
    rows = json.loads((o.samples / "samples-task0.json").read_text())["train"][:4]
    pad = lambda values, length, fill: values + [fill] * (length - len(values))
    sources = [r["input_ids"][: o.source_tokens - 9 * i] for i, r in enumerate(rows)]
    targets = [(r["labels"][:-1] * (1 + i) + [1])[:7] for i, r in enumerate(rows)]
    return {
        "input_ids": [pad(s, max(map(len, sources)), 0) for s in sources],
        "attention_mask": [pad([1] * len(s), max(map(len, sources)), 0) for s in sources],
        "labels": [pad(t, max(map(len, targets)), -100) for t in targets],
    }


def computed(model, data):
    """Loss, token losses, and logits and gradients by name."""
    tensors = {key: torch.tensor(value) for key, value in data.items()}
    model.zero_grad()
    out = model(**tensors)
    labels = tensors["labels"]
    token_loss = torch.nn.functional.cross_entropy(out.logits.transpose(1, 2), labels, reduction="none")
    out.loss.backward()
    found = {"logits": out.logits.detach()}
    found.update({n: p.grad.detach() for n, p in model.named_parameters() if p.grad is not None})
    return out.loss.item(), token_loss.detach().flatten().tolist(), found


def compared(o, truth, other, data, file):
    loss, token_loss, exact = computed(truth, data)
    torch_loss, _, rounded = computed(other, data)
    save_file({n: t.float().contiguous() for n, t in exact.items()}, o.output / file)
    return {
        "loss": loss,
        "torch_float32_loss": torch_loss,
        "token_loss": token_loss,
        "tensors": {
            name: {
                "largest": tensor.abs().max().item(),
                "torch_float32_deviation": (tensor - rounded[name].double()).abs().max().item(),
            }
            for name, tensor in exact.items()
        },
    }


@torch.no_grad()
def greedy(model, data):
    ids, mask = torch.tensor(data["input_ids"]), torch.tensor(data["attention_mask"])
    out = torch.zeros(len(ids), 1, dtype=torch.long)
    ended = torch.zeros(len(ids), dtype=torch.bool)
    margin = float("inf")
    for _ in range(GREEDY_TOKENS):
        logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=out).logits[:, -1]
        best = logits.topk(2)
        gaps = (best.values[:, 0] - best.values[:, 1])[~ended]
        margin = min(margin, gaps.min().item()) if len(gaps) else margin
        token = torch.where(ended, 0, best.indices[:, 0])
        ended |= token == 1
        out = torch.cat([out, token[:, None]], 1)
    return out[:, 1:].tolist(), margin


def main():
    o = options()
    torch.manual_seed(o.seed)
    o.output.mkdir(parents=True)
    write_folder(o)
    data = batch(o)
    fixture = {"batch": data}
    fixture["full"] = compared(
        o, opened(o, torch.float64), opened(o, torch.float32), data, "full_gradients.safetensors"
    )
    lora = LoraConfig(
        task_type="SEQ_2_SEQ_LM", r=o.rank, lora_alpha=o.alpha, lora_dropout=0.0, target_modules=o.targets.split(",")
    )
    adapted = get_peft_model(opened(o, torch.float32), lora)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    adapted.save_pretrained(o.output / "adapter")
    exact = get_peft_model(opened(o, torch.float64), lora).double()
    exact.load_state_dict({k: v.double() for k, v in adapted.state_dict().items()})
    fixture["lora"] = compared(o, exact.eval(), adapted.eval(), data, "lora_gradients.safetensors")
    fixture["greedy"], fixture["greedy_smallest_margin"] = greedy(exact, data)
    (o.output / "fixture.json").write_text(json.dumps(fixture))
    print(f"{o.output.name}: loss {fixture['lora']['loss']:.4f}, margin {fixture['greedy_smallest_margin']:.4f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
