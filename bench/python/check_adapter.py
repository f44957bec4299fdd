"""Checks that PEFT loads an adapter that kif wrote and generates the answers that kif generates.

    python bench/python/check_adapter.py MODEL ADAPTER TASK.json [--samples 40]

MODEL is a Hugging Face folder, ADAPTER a folder under adapters/ of a run, TASK.json a task file.
Exits with 1 if a tensor of the adapter finds no place, or if an answer differs. An answer whose best
two tokens are nearly equal somewhere may fall either way, and is only counted.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

NEARLY_EQUAL = 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("task", type=Path)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--new-tokens", type=int, default=16)
    o = parser.parse_args()
    prompts = [r.get("instruction", "") + r["input"] for r in json.loads(o.task.read_text())[: o.samples]]

    kif = Path(__file__).resolve().parents[2] / "kif"
    command = [kif, "generate", "--model", o.model, "--adapter", o.adapter]
    command += ["--maximum-new-tokens", str(o.new_tokens), "--", *prompts]
    ours = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[:-1]

    decoder_only = not AutoConfig.from_pretrained(o.model).is_encoder_decoder
    family = AutoModelForCausalLM if decoder_only else AutoModelForSeq2SeqLM
    base = family.from_pretrained(o.model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, o.adapter).eval()
    written = load_file(o.adapter / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(model)
    if written.keys() != loaded.keys() or any(not torch.equal(written[n], loaded[n]) for n in written):
        sys.exit(f"PEFT holds other tensors than {o.adapter}: {sorted(written.keys() ^ loaded.keys())}")
    if not any(tensor.abs().max() > 0 for name, tensor in written.items() if "lora_B" in name):
        sys.exit(f"{o.adapter} changes nothing: every lora_B is zero")

    tokenizer = AutoTokenizer.from_pretrained(o.model)
    differing = undecided = changed = 0
    for prompt, answer in zip(prompts, ours, strict=True):
        ids = tokenizer(prompt, return_tensors="pt", truncation=False)
        settings = {"max_new_tokens": o.new_tokens, "do_sample": False, "num_beams": 1}
        out = model.generate(**ids, **settings, return_dict_in_generate=True, output_logits=True)
        answered = out.sequences[0][ids["input_ids"].shape[1] if decoder_only else 0 :]
        text = tokenizer.decode(answered, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        with model.disable_adapter():
            changed += not torch.equal(model.generate(**ids, **settings), out.sequences)
        if text.strip() != answer.strip():
            best = torch.stack(out.logits).topk(2).values
            if (best[..., 0] - best[..., 1]).min() < NEARLY_EQUAL:
                undecided += 1
            else:
                differing += 1
                differing > 3 or print(f"PEFT: {text!r}\nkif:  {answer!r}\n")
    print(
        f"{len(written)} tensors, {len(prompts)} answers: {differing} differ, {undecided} undecided;"
        f" the adapter changes {changed} of the model's own"
    )
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
