"""Records what the Transformers library computes for a random decoder-only model, for `kif verify model`.

    python bench/python/record_causal_model.py OUTPUT --family llama|qwen2|qwen3 [--setting value ...]

OUTPUT becomes a Hugging Face folder with random weights (as stored: --type, --shards), an adapter
that PEFT wrote, loss, logits and gradients with and without it in float64 (the truth, of the weights
as they are stored), how far PyTorch's own float32 is from that, and greedy tokens. There is no
tokenizer in it: prompts are random ids.

Batches are padded on the left. Position ids are left to Transformers: 0 to L-1, padding included,
when training; derived from the mask when generating. Logits of padding are stored as 0.
"""

import argparse
import json
from pathlib import Path

import torch
from model_recording import TYPES, record, save_weights
from transformers import AutoConfig, AutoModelForCausalLM

END = 2


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--family", choices=["llama", "qwen2", "qwen3"], required=True)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--head-width", type=int, default=6)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--key-heads", type=int, default=2)
    parser.add_argument("--feed-forward", type=int, default=20)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=40)
    parser.add_argument("--epsilon", type=float, default=1e-6)
    parser.add_argument("--theta", type=float, default=10000.0)
    parser.add_argument("--scaling", choices=["default", "linear", "llama3"], default="default")
    parser.add_argument("--original-context", type=int, default=16, help="of llama3 scaling")
    parser.add_argument("--older-names", action="store_true", help="rope_theta and rope_scaling in config.json")
    parser.add_argument("--biases", action="store_true", help="attention_bias and, for llama, mlp_bias")
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--type", choices=sorted(TYPES), default="f32")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--targets", default="q_proj,v_proj")
    parser.add_argument("--rank", type=int, default=2)
    parser.add_argument("--alpha", type=float, default=8)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--greedy-tokens", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def write_folder(o):
    rope = {"rope_type": o.scaling}
    if o.scaling != "default":
        rope["factor"] = 4.0
    if o.scaling == "llama3":
        rope.update(low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=o.original_context)
    config = {
        "model_type": o.family,
        "hidden_size": o.width,
        "head_dim": o.head_width,
        "num_attention_heads": o.heads,
        "num_key_value_heads": o.key_heads,
        "intermediate_size": o.feed_forward,
        "num_hidden_layers": o.layers,
        "vocab_size": o.vocabulary,
        "rms_norm_eps": o.epsilon,
        "max_position_embeddings": 512,
        "tie_word_embeddings": o.tied,
        "bos_token_id": 1,
        "eos_token_id": [END, END + 1],
        "pad_token_id": 0,
    }
    if o.older_names:
        config["rope_theta"] = o.theta
        if o.scaling != "default":
            config["rope_scaling"] = rope
    else:
        config["rope_parameters"] = {"rope_theta": o.theta, **rope}
    if o.biases:
        config["attention_bias"] = True
        if o.family == "llama":
            config["mlp_bias"] = True
    (o.output / "config.json").write_text(json.dumps(config, indent=1))

    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(o.output))
    weights = {}
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            value = 1 + 0.2 * torch.randn_like(parameter)
        elif name.endswith(".bias"):
            value = 0.3 * torch.randn_like(parameter)
        elif name == "model.embed_tokens.weight":
            value = torch.randn_like(parameter)
        else:
            value = torch.randn_like(parameter) * 1.2 * parameter.shape[-1] ** -0.5
        weights[name] = value.to(TYPES[o.type])
    save_weights(o, weights)


def opened(o, dtype):
    """Eager attention would round to float32 inside, where the mask of float64 is infinite."""
    model = AutoModelForCausalLM.from_pretrained(o.output, dtype=torch.float32, attn_implementation="sdpa")
    return model.to(dtype).eval()


def batch(o):
    """Three rows of different length, the last tokens of each being its answer."""
    lengths = [(o.tokens, 4), (o.tokens - 7, 2), (o.tokens // 3, 5)]
    ids, mask, labels = [], [], []
    for length, answer in lengths:
        row = torch.randint(4, o.vocabulary, (length,)).tolist()
        row[0], row[-1] = 1, END
        padding = o.tokens - length
        ids.append([0] * padding + row)
        mask.append([0] * padding + [1] * length)
        labels.append([-100] * (o.tokens - answer) + row[-answer:])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def kept(logits, tensors):
    """Logits of padding as 0."""
    return logits * tensors["attention_mask"][:, :, None], {}


@torch.no_grad()
def greedy(o, model, data):
    """Prompts without the last tokens, by the library's own generate."""
    ids = torch.tensor(data["input_ids"])[:, :-2]
    mask = torch.tensor(data["attention_mask"])[:, :-2]
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=False,
        num_beams=1,
        max_new_tokens=o.greedy_tokens,
        output_logits=True,
        return_dict_in_generate=True,
    )
    new = out.sequences[:, ids.shape[1] :]
    margin = float("inf")
    ended = torch.zeros(len(ids), dtype=torch.bool)
    for step, logits in enumerate(out.logits):
        best = logits.topk(2).values
        gaps = (best[:, 0] - best[:, 1])[~ended]
        margin = min(margin, gaps.min().item()) if len(gaps) else margin
        ended |= (new[:, step] == END) | (new[:, step] == END + 1)
    return {"greedy_prompt_ids": ids.tolist(), "greedy": new.tolist(), "greedy_smallest_margin": margin}


def main():
    o = options()
    torch.manual_seed(o.seed)
    o.output.mkdir(parents=True)
    write_folder(o)
    data = batch(o)
    record(o, data, lambda dtype: opened(o, dtype), kept, lambda model: greedy(o, model, data), "CAUSAL_LM")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
