"""Writes the texts of a benchmark's training samples, without instructions and answers, as lines.

    python models/recipes/make_text.py DATA text.txt [WORDS]

DATA/train/*.json are files of tasks as `kif train` takes them. Names of fields ("Title:", "Answer:")
are left out; what is longer than WORDS (48) words is cut into lines of about equal length. The same
text stands once. The order is shuffled, always in the same way, so that the last lines, which a
pretraining holds out, come from all tasks.
"""

import json
import pathlib
import random
import re
import sys

FIELD = re.compile(r"^(title|text|question|answer|sentence 1|sentence 2|first sentence|second sentence|paragraph)\s*:\s*", re.I)


def pieces(sample, longest):
    words = [word for line in sample["input"].split("\n") for word in FIELD.sub("", line.strip()).split()]
    parts = -(-len(words) // longest)
    for part in range(parts):
        piece = words[len(words) * part // parts : len(words) * (part + 1) // parts]
        if len(piece) >= 4:
            yield " ".join(piece)


def texts(data, longest):
    """Every text once, in order, and the file it comes from."""
    found = {}
    for file in sorted(pathlib.Path(data, "train").glob("*.json")):
        if file.stem.endswith("_T5"):
            continue
        for sample in json.loads(file.read_text(encoding="utf-8")):
            found.update(dict.fromkeys(pieces(sample, longest), file.stem))
    return found


def main(data, output, longest=48):
    lines = list(texts(data, int(longest)))
    random.Random(0).shuffle(lines)
    pathlib.Path(output).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} lines, {sum(len(line.split()) for line in lines)} words")


if __name__ == "__main__":
    main(*sys.argv[1:])
