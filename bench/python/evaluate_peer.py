"""What a script of Transformers does for `kif evaluate`: greedy answers of a task's test file, exact match.

    python bench/python/evaluate_peer.py --model DIR --adapter DIR --data DIR --task agnews --samples 500
"""

import argparse
import json
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

ALPACA = ("Below is an instruction that describes a task, paired with an input that provides further context. Write a "
          "response that appropriately completes the request.\n\n### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:\n")


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    causal = not AutoConfig.from_pretrained(options.model).is_encoder_decoder
    loader = AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM
    model = PeftModel.from_pretrained(loader.from_pretrained(options.model, dtype=torch.float32), options.adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    samples = json.loads(Path(options.data, "test", options.task + ".json").read_text(encoding="utf-8"))[: options.samples]
    right = 0
    for start in range(0, len(samples), options.batch_size):
        batch = samples[start : start + options.batch_size]
        prompts = [ALPACA.format(s["instruction"], s["input"]) if causal else s["instruction"] + s["input"] for s in batch]
        encoded = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
        out = model.generate(**encoded, do_sample=False, num_beams=1, max_new_tokens=options.tokens)
        answers = tokenizer.decode(out[:, encoded["input_ids"].shape[1] :] if causal else out, skip_special_tokens=True)
        right += sum(a.strip().lower() == s["output"].strip().lower() for a, s in zip(answers, batch))
    print(f"{options.task} {len(samples)} samples, accuracy {100 * right / len(samples):.2f}")


if __name__ == "__main__":
    main()
