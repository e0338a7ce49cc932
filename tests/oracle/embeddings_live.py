#!/usr/bin/env python3
"""A real embedding model through `freehold embed` and through transformers: tokens and vectors of many texts.

  freehold pull minilm
  python3 tests/oracle/embeddings_live.py FOLDER [--freehold build/release/apps/freehold/freehold] [--texts 400] [--write]

FOLDER is a Hugging Face folder of the BERT family with sentence-transformers' files (for a stored model, the folder that
`freehold show MODEL --json` names). The reference is transformers' model in float32, its rows pooled as
1_Pooling/config.json says over the tokenizer's own ids, cut at max_seq_length, and brought to length 1 where modules.json
has Normalize. --write keeps ids and the first numbers of some vectors in tests/golden/encoders/minilm.json.
Needs torch, transformers, tokenizers, numpy (made with torch 2.13, transformers 5.23, tokenizers 0.23).
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModel

SEEDS = [
    "The quick brown fox jumps over the lazy dog.", "How do I reset my password?", "It wasn't—couldn't be—true!", "E = mc²; ∑ x_i ≤ 10⁶",
    "Der Fuß der Brücke über die Spree ist älter als das Rathaus.", "L'élève naïf a mangé une crème brûlée à Noël.",
    "Привет, мир! Сегодня хорошая погода.", "東京は日本の首都です。人口は約1400万人。", "오늘은 날씨가 정말 좋네요.", "مرحبا بالعالم، كيف حالك؟",
    "שלום עולם", "हिन्दी में एक वाक्य", "ภาษาไทยไม่มีช่องว่าง", "Ελληνικά γράμματα", "Việt Nam có tiếng nói có dấu", "中文分词不需要空格",
    "😀 🎉 emoji 👩‍👩‍👧 family", "http://example.org/a?b=c&d=%20#frag", "def f(x):\n    return x ** 2  # square\n", "a\u0301\u0323 combining, ﬁ ligature, Ⅷ, ½",
    "\t tabs \u00a0 and \u2003 spaces \u200b zero width", "[CLS] written [SEP] as text [MASK]", "supercalifragilisticexpialidocious" * 4, "x", "", " ", "1,234.56 $ 7%",
    "İstanbul'da IĞDIR ve ışık", "ǅungla NJ ß ẞ", "the " * 30, "control \u0007 and \ufffd and \u00ad soft", "zażółć gęślą jaźń",
]


def texts_of(n, seed):
    rng = random.Random(seed)
    out = list(SEEDS)
    words = " ".join(SEEDS).split()
    while len(out) < n:
        kind = rng.random()
        if kind < 0.5:
            out.append(" ".join(rng.choice(words) for _ in range(int(2 ** rng.uniform(0, 8)))))
        elif kind < 0.8:
            out.append("".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(160, 0x600), rng.randrange(0x900, 0x1000),
                                               rng.randrange(0x3040, 0x3100), rng.randrange(0x4E00, 0x4F00)])) for _ in range(rng.randrange(1, 120))))
        else:
            out.append(rng.choice([" ", "\n", ", "]).join(rng.sample(SEEDS, rng.randrange(2, 6))))
    return out[:n]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--freehold", default="build/release/apps/freehold/freehold")
    p.add_argument("--profile", default="f32")
    p.add_argument("--texts", type=int, default=400)
    p.add_argument("--seed", type=int, default=20261123)
    p.add_argument("--write", action="store_true")
    a = p.parse_args()
    texts = texts_of(a.texts, a.seed)
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    run = lambda *x: subprocess.run([a.freehold, *x], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    ours = json.loads(run("embed", str(a.folder), "-f", "-", "--jsonl", "--truncate", "--json", "--profile", a.profile))
    our_ids = [json.loads(x) for x in run("tokenize", str(a.folder), "--jsonl").splitlines()]

    tokenizer = Tokenizer.from_file(str(a.folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # what a user writes is text, also "[SEP]"
    side = a.folder / "sentence_bert_config.json"
    longest = json.loads(side.read_text())["max_seq_length"] if side.exists() else 512
    wrong = sum(tokenizer.encode(t).ids != ids for t, ids in zip(texts, our_ids))
    tokenizer.enable_truncation(longest)
    model = AutoModel.from_pretrained(a.folder, dtype=torch.float32).eval()
    pooling = json.loads((a.folder / "1_Pooling" / "config.json").read_text())
    unit = any(m["type"].endswith("Normalize") for m in json.loads((a.folder / "modules.json").read_text()))
    worst, kept, cut = 0.0, [], 0
    with torch.no_grad():
        for text, item in zip(texts, ours["data"]):
            ids = tokenizer.encode(text).ids
            assert len(ids) == item["tokens"], text
            cut += item["left_out"] > 0
            rows = model(torch.tensor([ids])).last_hidden_state[0]
            v = rows[0] if pooling["pooling_mode_cls_token"] else rows.mean(0)
            if unit:
                v = torch.nn.functional.normalize(v, dim=0)
            worst = max(worst, float(np.abs(v.numpy() - np.array(item["embedding"], np.float32)).max()))
            kept.append({"text": text, "ids": ids, "first": [round(float(x), 8) for x in v[:8]]})
    print(f"{len(texts)} texts, {sum(i['tokens'] for i in ours['data'])} tokens, {cut} of them cut at {longest}: "
          f"{wrong} tokenized differently, largest difference of a number {worst:.3g} (profile {a.profile})")
    if a.write:
        out = pathlib.Path(__file__).resolve().parent.parent / "golden" / "encoders" / "minilm.json"
        out.write_text(json.dumps(kept[:len(SEEDS) + 8], ensure_ascii=False, indent=0) + "\n")
        print(out)
    return 0 if worst < 1e-4 and wrong == 0 else 1


sys.exit(main())
