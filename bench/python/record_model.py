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
from model_recording import TYPES, record, save_weights
from transformers import T5Config, T5ForConditionalGeneration

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
    save_weights(o, weights)


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


def kept(logits, tensors):
    """The logits as they are, and the loss of every token."""
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tensors["labels"], reduction="none")
    return logits, {"token_loss": loss.flatten().tolist()}


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
    return {"greedy": out[:, 1:].tolist(), "greedy_smallest_margin": margin}


def main():
    o = options()
    torch.manual_seed(o.seed)
    o.output.mkdir(parents=True)
    write_folder(o)
    data = batch(o)
    record(o, data, lambda dtype: opened(o, dtype), kept, lambda model: greedy(model, data), "SEQ_2_SEQ_LM")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
