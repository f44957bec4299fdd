"""Writes tasks to practise on, made of a benchmark's texts alone: no instruction and no answer of it is read.

    python models/recipes/make_practice.py DATA OUTPUT [WORDS]      # needs numpy

DATA/train/*.json are files of tasks as `kif train` takes them; OUTPUT becomes a folder of tasks of the same form,
with development files. Texts longer than WORDS (24) are cut. The questions are

    topic-K     which of K groups a text belongs to: k-means over texts in the space of latent semantic analysis
                (Deerwester et al., 1990), of all texts or of one file's; a group's name is the word that tells it
                from the others best
    source      which file it comes from
    sentiment   whether a word of praise or of blame was taken out of it (the seeds of Turney and Littman, 2003, and
                some more)

Development texts are in no training file.
"""

import json
import pathlib
import re
import sys

import numpy as np
from make_text import texts

DIMENSIONS = 48
EACH = 3000
HELD_OUT = 128
WORD = re.compile(r"[a-z]{3,}")
PRAISE = "good nice excellent positive fortunate correct superior great best love loved wonderful perfect amazing"
BLAME = "bad nasty poor negative unfortunate wrong inferior worst waste boring terrible awful disappointing disappointed"


def read(data, longest):
    pairs = list(texts(data, longest).items())
    return [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))]


def document_frequencies(texts):
    counts = {}
    for text in texts:
        for word in set(WORD.findall(text.lower())):
            counts[word] = counts.get(word, 0) + 1
    return counts


def common_words(pairs):
    """What is said about everything: in at least one text of 300 in every file but two."""
    sources = {source for _, source in pairs}
    files = {}
    for source in sources:
        texts = [text for text, other in pairs if other == source]
        for word, count in document_frequencies(texts).items():
            files[word] = files.get(word, 0) + (300 * count >= len(texts))
    return {word for word, count in files.items() if count >= len(sources) - 2}


def latent(texts, common):
    """Rows of a truncated singular value decomposition of tf-idf, of length one; the tf-idf and its words too."""
    words = [set(WORD.findall(text.lower())) for text in texts]
    counts = document_frequencies(texts)
    vocabulary = sorted(word for word, count in counts.items() if count >= 5 and word not in common)
    index = {word: i for i, word in enumerate(vocabulary)}
    tfidf = np.zeros((len(texts), len(vocabulary)), np.float32)
    for row, line in enumerate(words):
        for word in line & index.keys():
            tfidf[row, index[word]] = np.log(len(texts) / counts[word])
    tfidf /= np.maximum(np.linalg.norm(tfidf, axis=1, keepdims=True), 1e-6)
    basis = np.random.default_rng(1).standard_normal((len(vocabulary), 2 * DIMENSIONS)).astype(np.float32)
    for _ in range(6):
        basis, _ = np.linalg.qr(tfidf.T @ (tfidf @ basis))
    rows = tfidf @ basis
    _, _, axes = np.linalg.svd(rows, full_matrices=False)
    rows = rows @ axes[:DIMENSIONS].T
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), tfidf, vocabulary


def groups(rows, k, rng):
    """k-means by cosines; groups of unlike sizes are accepted, empty ones begin anew."""
    centres = rows[rng.choice(len(rows), k, replace=False)]
    for _ in range(30):
        group = np.argmax(rows @ centres.T, axis=1)
        for i in range(k):
            members = rows[group == i] if np.any(group == i) else rows[rng.choice(len(rows), 1)]
            centres[i] = members.mean(axis=0)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-6)
    return np.argmax(rows @ centres.T, axis=1)


def names(group, k, tfidf, vocabulary):
    means = np.stack([tfidf[group == i].mean(axis=0) for i in range(k)])
    chosen = []
    for i in range(k):
        contrast = means[i] - np.delete(means, i, axis=0).max(axis=0)
        chosen.append(vocabulary[next(j for j in np.argsort(-contrast) if vocabulary[j] not in chosen)])
    return chosen


def write(output, name, question, labels, samples, held_out, rng):
    """samples: (text, label) by label as even as may be; held_out: the same, of other texts."""
    labels = [labels[i] for i in rng.permutation(len(labels))]
    # In short: of a long instruction a small model learns late what is beside the point.
    instruction = f"{question} Option: {', '.join(labels)}.\n"
    for split, pairs, most in (("train", samples, EACH), ("dev", held_out, HELD_OUT)):
        of = {label: [text for text, other in pairs if other == label] for label in labels}
        records = []
        for i in range(most):
            label = labels[i % len(labels)]
            if split == "train" or i // len(labels) < len(of[label]):
                text = of[label][(i // len(labels)) % len(of[label])]
                records.append({"instruction": instruction, "input": f"{text}\n\nAnswer:", "output": label})
        for i, record in enumerate(records):
            record["id"] = f"{name}_{i}"
        file = pathlib.Path(output, split, f"{name}.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(records, indent=1, ensure_ascii=False), encoding="utf-8")
    print(f"{name}: {', '.join(labels)}")


def topics(output, prefix, lines, common, numbers, rng):
    rows, tfidf, vocabulary = latent(lines, common)
    held = len(lines) // 20
    for k in numbers:
        group = groups(rows, k, rng)
        if np.bincount(group[held:], minlength=k).min() < 20:
            continue
        labels = names(group, k, tfidf, vocabulary)
        pairs = [(text, labels[i]) for text, i in zip(lines, group)]
        write(output, f"topic-{prefix}-{k}", "Topic?", labels, pairs[held:], pairs[:held], rng)


def sentiment(output, lines, rng):
    seeds = {word: "positive" for word in PRAISE.split()} | {word: "negative" for word in BLAME.split()}
    pairs = []
    for text in lines:
        found = {seeds[word] for word in WORD.findall(text.lower()) if word in seeds}
        if len(found) == 1:
            rest = " ".join(w for w in text.split() if not seeds.keys() & set(WORD.findall(w.lower())))
            pairs.append((rest, found.pop()))
    held = len(pairs) // 20
    write(output, "sentiment", "Sentiment?", ["positive", "negative"], pairs[held:], pairs[:held], rng)


def main(data, output, longest=24):
    rng = np.random.default_rng(2)
    pairs = read(data, int(longest))
    lines = [text for text, _ in pairs]
    common = common_words(pairs)
    print(len(common), "common words:", ", ".join(sorted(common)[:40]), "...")
    sources = sorted({source for _, source in pairs})
    topics(output, "all", lines, common, (4, 6, 8), rng)
    for source in sources:
        of = [text for text, other in pairs if other == source]
        if np.mean([len(text.split()) for text in of]) >= 12:
            topics(output, source, of, common, (3, 5), rng)
    held = len(pairs) // 20
    write(output, "source", "Source?", sources, pairs[held:], pairs[:held], rng)
    sentiment(output, lines, rng)


if __name__ == "__main__":
    main(*sys.argv[1:])
