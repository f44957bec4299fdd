"""Writes an embedding to begin with, in which tokens that stand in the same texts lie together.

    python models/recipes/make_embedding.py text.txt TOKENIZER WIDTH OUTPUT.safetensors    # needs numpy, tokenizers, safetensors

Latent semantic analysis (Deerwester et al., 1990) of tokens by lines: the entries are their positive pointwise mutual
information, of which a truncated singular value decomposition keeps DIMENSIONS. Each token's part of it, and noise in
all WIDTH dimensions, have about half of the variance of one that T5 begins with. A small model on little text meets a
rare word too seldom to find out by itself what it has to do with.
"""

import sys

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

DIMENSIONS = 64


def main(text, tokenizer, width, output):
    tokenizer = Tokenizer.from_file(f"{tokenizer}/tokenizer.json")
    with open(text, encoding="utf-8") as file:
        lines = [set(encoding.ids) for encoding in tokenizer.encode_batch(file.read().splitlines())]
    size, width = tokenizer.get_vocab_size(), int(width)
    present = np.zeros((size, len(lines)), np.float32)
    for column, line in enumerate(lines):
        present[list(line), column] = 1
    counts = present.sum(axis=1)
    expected = np.maximum(counts, 1)[:, None] * present.sum(axis=0)[None, :] / present.sum()
    information = np.log(1 / expected, where=present > 0, out=np.zeros_like(present)).clip(0)
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((len(lines), 2 * DIMENSIONS)).astype(np.float32)
    for _ in range(6):
        basis, _ = np.linalg.qr(information.T @ (information @ basis))
    left, values, _ = np.linalg.svd(information @ basis, full_matrices=False)
    latent = left[:, :DIMENSIONS] * np.sqrt(values[:DIMENSIONS])
    latent /= np.maximum(np.linalg.norm(latent, axis=1, keepdims=True), 1e-9)
    latent[counts < 3] = 0
    directions, _ = np.linalg.qr(rng.standard_normal((width, DIMENSIONS)))
    embedding = np.sqrt(width / 2) * latent @ directions.T + np.sqrt(0.5) * rng.standard_normal((size, width))
    save_file({"shared.weight": embedding.astype(np.float32)}, output)
    for word in ("▁album", "▁president", "▁game", "▁bad"):
        row = latent[tokenizer.token_to_id(word)] if tokenizer.token_to_id(word) is not None else latent[0]
        print(word, [tokenizer.id_to_token(int(i)) for i in np.argsort(-latent @ row)[1:8]])


if __name__ == "__main__":
    main(*sys.argv[1:])
