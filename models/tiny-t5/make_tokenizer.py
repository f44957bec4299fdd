"""Makes tokenizer.json and what belongs to it from a text file: python make_tokenizer.py TEXT FOLDER [TOKENS]

A unigram tokenizer with the conventions of T5: <pad> 0, </s> 1, <unk> 2, sentinels at the end, the first one last.
Its pieces are the most frequent words, scored by their frequency, and single characters for all other words.
"""

import collections
import json
import math
import string
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SENTINELS = 32
SPECIAL = ["<pad>", "</s>", "<unk>"]


def main(text, folder, vocabulary):
    normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    counts = collections.Counter()
    with open(text, encoding="utf-8") as lines:
        for line in lines:
            counts.update(word for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(line)))
    characters = ["\u2581"] + list(string.ascii_letters + string.digits + string.punctuation)
    total = sum(counts.values())
    room = vocabulary - SENTINELS - len(SPECIAL) - len(characters)
    words = sorted((w for w in counts if w not in characters), key=lambda w: (-counts[w], w))[:room]
    rarest = math.log(1 / total)
    pieces = [(token, 0.0) for token in SPECIAL]
    pieces += [(word, round(math.log(counts[word] / total), 6)) for word in words]
    # Two characters are never likelier than the word they spell.
    pieces += [(character, round(rarest - 2, 6)) for character in characters]
    pieces += [(f"\u2581unused{i}", -100.0) for i in range(room - len(words))]
    sentinels = [f"<extra_id_{i}>" for i in range(SENTINELS)]
    pieces += [(sentinel, 0.0) for sentinel in reversed(sentinels)]

    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL + sentinels]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    common = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    write(folder / "tokenizer_config.json", common | settings)
    write(folder / "special_tokens_map.json", common | {"additional_special_tokens": sentinels})
    print(f"{len(pieces)} tokens, {len(words)} of them words")


def write(file, value):
    file.write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 512)
