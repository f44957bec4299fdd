"""What record_model.py and record_causal_model.py share: the files of a random model, and what PyTorch computes for it."""

import json

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def save_weights(o, weights):
    """In one file, or in shards with an index."""
    if o.shards == 1:
        save_file(weights, o.output / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(weights)
    index = {}
    for shard in range(o.shards):
        file = f"model-{shard + 1:05d}-of-{o.shards:05d}.safetensors"
        part = {name: weights[name] for name in names[shard :: o.shards]}
        save_file(part, o.output / file, metadata={"format": "pt"})
        index.update(dict.fromkeys(part, file))
    total = sum(w.numel() * w.element_size() for w in weights.values())
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    (o.output / "model.safetensors.index.json").write_text(text)


def computed(model, data, kept):
    """The loss and what else is kept, and logits and gradients by name."""
    tensors = {key: torch.tensor(value) for key, value in data.items()}
    model.zero_grad()
    out = model(**tensors)
    out.loss.backward()
    logits, more = kept(out.logits.detach(), tensors)
    found = {"logits": logits}
    found.update({n: p.grad.detach() for n, p in model.named_parameters() if p.grad is not None})
    return out.loss.item(), more, found


def compared(truth, other, data, kept, file):
    loss, more, exact = computed(truth, data, kept)
    torch_loss, _, rounded = computed(other, data, kept)
    save_file({n: t.float().contiguous() for n, t in exact.items()}, file)
    return {
        "loss": loss,
        "torch_float32_loss": torch_loss,
        **more,
        "tensors": {
            name: {
                "largest": tensor.abs().max().item(),
                "torch_float32_deviation": (tensor - rounded[name].double()).abs().max().item(),
            }
            for name, tensor in exact.items()
        },
    }


def record(o, data, opened, kept, greedy, task):
    """Writes an adapter, logits and gradients without and with it, and fixture.json.

    opened(dtype) is the model as Transformers reads the folder; kept(logits, batch) are the logits
    to compare, and what else the fixture keeps beside the loss; greedy(model) is what it keeps of
    decoding; task is the task type of PEFT.
    """
    fixture = {"batch": data}
    full = o.output / "full_gradients.safetensors"
    fixture["full"] = compared(opened(torch.float64), opened(torch.float32), data, kept, full)
    lora = LoraConfig(
        task_type=task, r=o.rank, lora_alpha=o.alpha, lora_dropout=0.0, target_modules=o.targets.split(",")
    )
    adapted = get_peft_model(opened(torch.float32), lora)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    adapted.save_pretrained(o.output / "adapter")
    (o.output / "adapter" / "README.md").unlink(missing_ok=True)
    exact = get_peft_model(opened(torch.float64), lora).double()
    exact.load_state_dict({k: v.double() for k, v in adapted.state_dict().items()})
    tuned = o.output / "lora_gradients.safetensors"
    fixture["lora"] = compared(exact.eval(), adapted.eval(), data, kept, tuned)
    fixture.update(greedy(exact))
    (o.output / "fixture.json").write_text(json.dumps(fixture))
    print(f"{o.output.name}: loss {fixture['lora']['loss']:.4f}, margin {fixture['greedy_smallest_margin']:.4f}")
