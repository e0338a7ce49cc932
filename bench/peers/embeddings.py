#!/usr/bin/env python3
"""Embeddings a second of `freehold embed` and of PyTorch (transformers), in turns on the same texts.

  python3 bench/peers/embeddings.py FOLDER [--freehold build/release/apps/freehold/freehold] [-n 256] [-t 50] [-r 5]

Every text has exactly T tokens, so that the peer pads nothing; the peer gets batches of 32, float32, with as many threads.
Loading is not counted on either side, nor is the peer's tokenizer (ours is). Medians of R rounds.
Needs torch, transformers, tokenizers.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import time

import torch
from tokenizers import Tokenizer
from transformers import AutoModel

WORDS = "time year people way day man thing woman life child world school state family student group country problem hand part".split()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--freehold", default="build/release/apps/freehold/freehold")
    p.add_argument("-n", type=int, default=256)
    p.add_argument("-t", type=int, default=50)
    p.add_argument("-r", type=int, default=5)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    rng = random.Random(1)
    texts = [" ".join(rng.choice(WORDS) for _ in range(a.t - 2)) for _ in range(a.n)]
    tokenizer = Tokenizer.from_file(str(a.folder / "tokenizer.json"))
    tokenizer.no_padding()
    ids = torch.tensor([tokenizer.encode(t).ids for t in texts])
    assert ids.shape[1] == a.t
    model = AutoModel.from_pretrained(a.folder, dtype=torch.float32).eval()
    lines = "\n".join(texts).encode()

    def ours():
        out = subprocess.run([a.freehold, "embed", str(a.folder), "-f", "-", "--json", "--threads", str(a.threads)],
                             input=lines, stdout=subprocess.PIPE, check=True).stdout
        return a.n / json.loads(out)["seconds"]

    def torch_rate():
        with torch.inference_mode():
            begin = time.perf_counter()
            for at in range(0, a.n, 32):
                h = model(ids[at:at + 32]).last_hidden_state.mean(1)
                torch.nn.functional.normalize(h, dim=1)
            return a.n / (time.perf_counter() - begin)

    rates = {"freehold": [], "torch": []}
    torch_rate()
    for _ in range(a.r):
        rates["freehold"].append(ours())
        rates["torch"].append(torch_rate())
    for name, r in rates.items():
        print(f"{name}: {statistics.median(r):.1f} texts/s of {a.t} tokens (from {min(r):.1f} to {max(r):.1f}), {a.threads} threads")


main()
