#!/usr/bin/env python3
"""Real files against transformers: mean KL per token of `freehold logits` to transformers in F32 on the expanded weights.

Rerun: python3 tests/oracle/real_kl.py --freehold build/release/apps/freehold/freehold --model FILE.gguf --text FILE \
           [--tokens 2000] [--profile f32|q8|bf16] [--reference-cache DIR]
Needs: torch, transformers, gguf, numpy. Prints mean and largest KL, and the share of equal argmax.
"""
import argparse
import hashlib
import os
import subprocess
import sys
import tempfile

import numpy as np


def reference_logits(model_path, ids):
    """Logits [n, vocab] of transformers, F32, every weight expanded by the gguf package's own dequantize."""
    import torch
    from transformers import AutoModelForCausalLM

    folder, name = os.path.split(os.path.abspath(model_path))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    check_weights(model, model_path)
    model.eval()
    out = []
    with torch.no_grad():
        past = None
        for start in range(0, len(ids), 500):
            step = model(torch.tensor([ids[start:start + 500]]), past_key_values=past, use_cache=True)
            past = step.past_key_values
            out.append(step.logits[0].numpy().copy())
    return np.concatenate(out)


def check_weights(model, model_path):
    """The loader that expanded the file is not ours; make sure that it expanded what the file says."""
    import gguf
    reader = gguf.GGUFReader(model_path)
    by_name = {t.name: t for t in reader.tensors}
    tensor = by_name["token_embd.weight"]
    expanded = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])
    ours = model.get_input_embeddings().weight.detach().numpy()
    if not np.array_equal(expanded, ours):
        sys.exit("the reference loader changed the embedding table; this comparison would be blind")


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--freehold", required=True)
    args.add_argument("--model", required=True)
    args.add_argument("--text", required=True)
    args.add_argument("--tokens", type=int, default=2000)
    args.add_argument("--profile", default="f32")
    args.add_argument("--kv", default="f32")
    args.add_argument("--reference-cache", default=None)
    args = args.parse_args()

    from transformers import AutoTokenizer
    folder, name = os.path.split(os.path.abspath(args.model))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    with open(args.text, encoding="utf-8") as f:
        ids = tokenizer(f.read(60 * args.tokens))["input_ids"][:args.tokens]

    key = hashlib.sha256(f"{os.path.getsize(args.model)} {name} {ids}".encode()).hexdigest()[:16]
    cache = args.reference_cache and os.path.join(args.reference_cache, f"reference-{key}.npy")
    if cache and os.path.exists(cache):
        reference = np.load(cache, mmap_mode="r")
    else:
        reference = reference_logits(args.model, ids)
        if cache:
            np.save(cache, reference)

    if args.freehold == "none":
        return
    with tempfile.TemporaryDirectory() as tmp:
        out = os.path.join(tmp, "logits.npy")
        subprocess.run([args.freehold, "logits", args.model, "--tokens", ",".join(map(str, ids)), "-o", out,
                        "--profile", args.profile, "--kv", args.kv], check=True)
        ours = np.load(out)
    if ours.shape != reference.shape:
        sys.exit(f"shapes differ: ours {ours.shape}, reference {reference.shape}")

    kl, worst, same, diff, scale = [], 0.0, 0, 0.0, 0.0
    for start in range(0, len(ids), 100):
        ref, mine = np.asarray(reference[start:start + 100]), ours[start:start + 100]
        p, q = log_softmax(ref), log_softmax(mine)
        kl.extend((np.exp(p) * (p - q)).sum(axis=-1))
        same += int((ref.argmax(-1) == mine.argmax(-1)).sum())
        diff = max(diff, float(np.abs(ref - mine).max()))
        scale = max(scale, float(np.abs(ref).max()))
    print(f"model {name} profile {args.profile} tokens {len(ids)}: mean KL {np.mean(kl):.3e}, largest {np.max(kl):.3e}, "
          f"equal argmax {same}/{len(ids)}, largest logit difference {diff:.3e} (largest logit {scale:.1f})")


if __name__ == "__main__":
    main()
