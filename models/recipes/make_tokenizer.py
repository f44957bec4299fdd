"""Makes a tokenizer of T5's kind from a text file: python make_tokenizer.py TEXT FOLDER [TOKENS]

A unigram tokenizer with pieces of words, learned by the package `tokenizers`, in lower case (answers are compared in
lower case): <pad> 0, </s> 1, <unk> 2, sentinels at the end, the first one last.
"""

import json
import string
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTINELS = 32
SPECIAL = ["<pad>", "</s>", "<unk>"]


def main(text, folder, vocabulary):
    normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    learner = Tokenizer(models.Unigram())
    learner.normalizer = normalizer
    learner.pre_tokenizer = pre_tokenizer
    learner.train(
        [str(text)],
        trainers.UnigramTrainer(
            vocab_size=vocabulary - SENTINELS,
            special_tokens=SPECIAL,
            unk_token="<unk>",
            initial_alphabet=["\u2581"] + list(string.ascii_lowercase + string.digits + string.punctuation),
            show_progress=False,
        ),
    )
    pieces = json.loads(learner.to_str())["model"]["vocab"]
    pieces += [(f"\u2581unused{i}", -100.0) for i in range(vocabulary - SENTINELS - len(pieces))]
    sentinels = [f"<extra_id_{i}>" for i in reversed(range(SENTINELS))]
    pieces += [(sentinel, 0.0) for sentinel in sentinels]

    tokenizer = Tokenizer(models.Unigram([tuple(piece) for piece in pieces], unk_id=SPECIAL.index("<unk>")))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL + sentinels[::-1]]
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "special_tokens_map.json").write_text(
        json.dumps(special | {"additional_special_tokens": sentinels[::-1]}, indent=2) + "\n"
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps(special | {"tokenizer_class": "PreTrainedTokenizerFast", "extra_ids": SENTINELS}, indent=2) + "\n"
    )
    print(tokenizer.get_vocab_size(), "tokens")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 4096)
