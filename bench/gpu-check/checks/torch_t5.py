"""A T5 with LoRA in PyTorch alone, for hosts without Transformers: eager, compiled, or under bfloat16 autocast.

Reads and writes safetensors itself. Relu, tied head, as T5 v1.0; LoRA on q and v.
"""

import json
import math
import struct
from pathlib import Path

import torch
from torch.nn import functional

RANK, ALPHA = 8, 32
PREFIX = "base_model.model."


def read(file):
    data = Path(file).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            raw = bytearray(data[8 + length + first : 8 + length + last])
            tensors[name] = torch.frombuffer(raw, dtype=torch.float32).reshape(entry["shape"])
    return tensors


def write(file, tensors):
    header, at, blocks = {}, 0, []
    for name, tensor in tensors.items():
        raw = tensor.detach().float().contiguous().cpu().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        blocks.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(file, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blocks))


def shapes(config):
    """Of every weight, by its name in Hugging Face's files."""
    width, inner, ff = config["d_model"], config["num_heads"] * config["d_kv"], config["d_ff"]
    result = {"shared.weight": (config["vocab_size"], width)}
    for stack, layers in (("encoder", config["num_layers"]), ("decoder", config["num_decoder_layers"])):
        for block in range(layers):
            attentions = ["SelfAttention"] + (["EncDecAttention"] if stack == "decoder" else [])
            for layer, attention in enumerate(attentions):
                place = f"{stack}.block.{block}.layer.{layer}"
                for projection in "qkv":
                    result[f"{place}.{attention}.{projection}.weight"] = (inner, width)
                result[f"{place}.{attention}.o.weight"] = (width, inner)
                result[f"{place}.layer_norm.weight"] = (width,)
                if block == 0 and layer == 0:
                    buckets = (config["relative_attention_num_buckets"], config["num_heads"])
                    result[f"{place}.{attention}.relative_attention_bias.weight"] = buckets
            place = f"{stack}.block.{block}.layer.{len(attentions)}"
            result[f"{place}.DenseReluDense.wi.weight"] = (ff, width)
            result[f"{place}.DenseReluDense.wo.weight"] = (width, ff)
            result[f"{place}.layer_norm.weight"] = (width,)
        result[f"{stack}.final_layer_norm.weight"] = (width,)
    return result


def make(folder, config, tokenizer, seed=1):
    """A model of random weights and an adapter whose B is not zero, as Hugging Face and PEFT write them."""
    folder = Path(folder)
    adapter = folder / "adapter"
    adapter.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    tensors, factors = {}, {}
    for name, shape in shapes(config).items():
        if len(shape) == 1:
            tensors[name] = torch.ones(shape)
            continue
        spread = 1.0 if name == "shared.weight" else 0.5 / math.sqrt(shape[1])
        if name.endswith(".q.weight"):
            spread /= math.sqrt(config["d_kv"])
        tensors[name] = spread * torch.randn(shape, generator=generator)
        if name.endswith((".q.weight", ".v.weight")):
            module = PREFIX + name.removesuffix(".weight")
            factors[module + ".lora_A.weight"] = torch.randn((RANK, shape[1]), generator=generator) / math.sqrt(shape[1])
            factors[module + ".lora_B.weight"] = 0.02 * torch.randn((shape[0], RANK), generator=generator)
    write(folder / "model.safetensors", tensors)
    write(adapter / "adapter_model.safetensors", factors)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_bytes(Path(tokenizer).read_bytes())
    (adapter / "adapter_config.json").write_text(
        json.dumps(
            {"peft_type": "LORA", "task_type": "SEQ_2_SEQ_LM", "r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0,
             "target_modules": ["q", "v"], "bias": "none", "base_model_name_or_path": str(folder)}
        )
    )  # fmt: skip


def buckets(distance, bidirectional, count, reach):
    """The bucket of a key's position minus the query's, as T5 has it."""
    result = torch.zeros_like(distance)
    if bidirectional:
        count //= 2
        result += (distance > 0).long() * count
        distance = distance.abs()
    else:
        distance = -distance.clamp(max=0)
    exact = count // 2
    far = exact + (torch.log(distance.clamp(min=1).float() / exact) / math.log(reach / exact) * (count - exact)).long()
    return result + torch.where(distance < exact, distance, far.clamp(max=count - 1))


class T5:
    def __init__(self, folder, device, compiled=False, bf16=False):
        folder = Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.device = torch.device(device)
        self.bf16 = bf16
        self.weights = {name: tensor.to(self.device) for name, tensor in read(folder / "model.safetensors").items()}
        if bf16:
            # Else autocast would round them anew for every product.
            for name, tensor in self.weights.items():
                if tensor.dim() == 2 and "relative_attention_bias" not in name:
                    self.weights[name] = tensor.bfloat16()
        adapter = read(folder / "adapter" / "adapter_model.safetensors")
        self.trained = {name: tensor.to(self.device).requires_grad_() for name, tensor in adapter.items()}
        self.optimizer = torch.optim.AdamW(self.trained.values(), lr=3e-4, weight_decay=0.0)
        self.loss_of = torch.compile(self.loss, dynamic=False) if compiled else self.loss

    def linear(self, x, name):
        out = functional.linear(x, self.weights[name + ".weight"])
        a = self.trained.get(f"{PREFIX}{name}.lora_A.weight")
        if a is not None:
            b = self.trained[f"{PREFIX}{name}.lora_B.weight"]
            out = out + functional.linear(functional.linear(x, a), b) * (ALPHA / RANK)
        return out

    def norm(self, x, name):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["layer_norm_epsilon"]) * self.weights[name + ".weight"]

    def attention(self, x, keys, bias, name):
        heads, width = self.config["num_heads"], self.config["d_kv"]
        q, k, v = (
            self.linear(source, f"{name}.{part}").unflatten(-1, (heads, width)).transpose(1, 2)
            for part, source in (("q", x), ("k", keys), ("v", keys))
        )
        scores = q @ k.transpose(-1, -2) + bias
        out = scores.float().softmax(-1).to(v.dtype) @ v
        return self.linear(out.transpose(1, 2).flatten(-2), f"{name}.o")

    def positions(self, length, stack):
        at = torch.arange(length, device=self.device)
        bucket = buckets(
            at[None, :] - at[:, None],
            stack == "encoder",
            self.config["relative_attention_num_buckets"],
            self.config["relative_attention_max_distance"],
        )
        table = self.weights[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        return table[bucket].permute(2, 0, 1)[None]

    def stack(self, x, stack, layers, bias, memory=None, memory_bias=None):
        for block in range(layers):
            place = f"{stack}.block.{block}.layer."
            normed = self.norm(x, place + "0.layer_norm")
            x = x + self.attention(normed, normed, bias, place + "0.SelfAttention")
            last = 1
            if memory is not None:
                x = x + self.attention(self.norm(x, place + "1.layer_norm"), memory, memory_bias, place + "1.EncDecAttention")
                last = 2
            hidden = self.linear(self.norm(x, f"{place}{last}.layer_norm"), f"{place}{last}.DenseReluDense.wi").relu()
            x = x + self.linear(hidden, f"{place}{last}.DenseReluDense.wo")
        return self.norm(x, f"{stack}.final_layer_norm")

    def loss(self, ids, mask, labels):
        hidden = (1 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        embed = self.weights["shared.weight"]
        memory = self.stack(
            embed[ids].float(), "encoder", self.config["num_layers"], (self.positions(ids.shape[1], "encoder") + hidden)
        )
        decoder = functional.pad(labels[:, :-1], (1, 0), value=0).clamp(min=0)
        length = decoder.shape[1]
        ahead = torch.full((length, length), torch.finfo(torch.float32).min, device=self.device).triu(1)
        out = self.stack(
            embed[decoder].float(), "decoder", self.config["num_decoder_layers"], self.positions(length, "decoder") + ahead, memory, hidden
        )
        logits = functional.linear(out * self.config["d_model"] ** -0.5, embed)
        return functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=-100)

    def backward(self, update):
        losses = []
        for batch in update:
            inputs = [torch.tensor(batch[key], device=self.device) for key in ("input_ids", "attention_mask", "labels")]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                loss = self.loss_of(*inputs)
            (loss / len(update)).backward()
            losses.append(loss.detach())
        return losses

    def gradient(self, update):
        losses = self.backward(update)
        gradient = {name: tensor.grad.clone().cpu() for name, tensor in self.trained.items()}
        self.optimizer.zero_grad()
        return [loss.item() for loss in losses], gradient

    def step(self, update):
        losses = self.backward(update)
        torch.nn.utils.clip_grad_norm_(self.trained.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        # As a training script does that prints its loss.
        return sum(loss.item() for loss in losses) / len(losses)
