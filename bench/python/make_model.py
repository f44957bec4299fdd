"""Writes a Hugging Face folder of a given shape with random weights, for measurements.

    python bench/python/make_model.py SHAPE DATA OUTPUT [--type bf16] [--seed 0] [--shard 200MB]

SHAPE is one of t5-small (60 M), t5-8m, llama-134m, t5-tiny, llama-tiny. The tokenizer is a byte-level BPE
trained on the texts in DATA/train (the same data give the same tokenizer); weights are those with
which Transformers initialises the architecture, from the seed. Weights of such a model mean nothing,
but cost what others cost. Keep OUTPUT outside the repository.
"""

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

T5_SHAPES = {
    "t5-small": dict(d_model=512, d_kv=64, num_heads=8, d_ff=2048, num_layers=6, vocab_size=32128),
    "t5-8m": dict(d_model=256, d_kv=32, num_heads=8, d_ff=1024, num_layers=3, vocab_size=8192),
    "t5-tiny": dict(d_model=64, d_kv=16, num_heads=4, d_ff=128, num_layers=2, vocab_size=4096),
}
LLAMA_SHAPES = {
    "llama-134m": dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
                       num_key_value_heads=12, vocab_size=32000),
    "llama-tiny": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                       num_key_value_heads=2, vocab_size=4096),
}
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def tokenizer(data, vocabulary, causal):
    """<pad> 0; then, as the family has them, </s> 1 and <unk> 2, or <s> 1 and </s> 2."""
    special = ["<pad>", "<s>", "</s>"] if causal else ["<pad>", "</s>", "<unk>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=min(vocabulary, 8000), special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    texts = []
    for file in sorted(Path(data, "train").glob("*.json")):
        for sample in json.loads(file.read_text(encoding="utf-8")):
            texts.append(" ".join(str(sample.get(key, "")) for key in ("instruction", "input", "output")))
    bpe.train_from_iterator(texts, trainer)
    if causal:
        bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        return PreTrainedTokenizerFast(
            tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>", padding_side="left")
    bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=[*T5_SHAPES, *LLAMA_SHAPES])
    parser.add_argument("data")
    parser.add_argument("output", type=Path)
    parser.add_argument("--type", choices=TYPES, default="f32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard", default="5GB", help="largest file; smaller ones make an index")
    chosen = parser.parse_args()
    torch.manual_seed(chosen.seed)
    causal = chosen.shape in LLAMA_SHAPES
    if causal:
        config = LlamaConfig(**LLAMA_SHAPES[chosen.shape], max_position_embeddings=2048, pad_token_id=0, bos_token_id=1,
                             eos_token_id=2, tie_word_embeddings=False)
        model = LlamaForCausalLM(config)
    else:
        config = T5Config(**T5_SHAPES[chosen.shape], num_decoder_layers=T5_SHAPES[chosen.shape]["num_layers"],
                          dropout_rate=0.1, decoder_start_token_id=0)
        model = T5ForConditionalGeneration(config)
    model.to(TYPES[chosen.type]).save_pretrained(chosen.output, max_shard_size=chosen.shard)
    tokenizer(chosen.data, config.vocab_size, causal).save_pretrained(chosen.output)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{chosen.output}: {chosen.shape}, {count / 1e6:.1f} million weights")


if __name__ == "__main__":
    main()
