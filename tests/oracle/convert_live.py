#!/usr/bin/env python3
"""Conversion against the field's own programs, on a real model: GGUF -> folder -> GGUF.

The folder is opened by transformers (model and tokenizer), converted by llama.cpp's script as well, and both GGUF files are
compared tensor by tensor, by llama-perplexity and by freehold.

Run: python3 tests/oracle/convert_live.py FREEHOLD MODEL.gguf TEXT --script convert_hf_to_gguf.py --perplexity llama-perplexity
     [--work FOLDER]
Needs torch, transformers, gguf, numpy. Prints what it saw; exits 1 where something differs.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} {command[1]}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout, done.stderr


def tensors(path):
    import gguf
    reader = gguf.GGUFReader(path)
    return {t.name: t for t in reader.tensors}, {k: f for k, f in reader.fields.items()}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("freehold")
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("--script")
    p.add_argument("--perplexity")
    p.add_argument("--work")
    a = p.parse_args()
    work = pathlib.Path(a.work or tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    folder, ours, theirs = work / "folder", work / "ours.gguf", work / "theirs.gguf"
    text = pathlib.Path(a.text).read_text()[:20000]
    short = work / "text.txt"
    short.write_text(text)
    wrong = []
    print(run(a.freehold, "convert", a.model, folder)[0].strip())
    print(run(a.freehold, "convert", folder, ours)[0].strip())

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lines = [line for line in text.splitlines() if line.strip()][:150] + ["don't YOU'LL 12345  x\n\n y", "\u4f60\u597d \U0001f600 na\u00efve"]
    differ = 0
    for line in lines:
        got = json.loads(run(a.freehold, "tokenize", ours, line, "--json")[0])
        if got["tokens"] != tokenizer.encode(line):
            differ += 1
    print(f"tokens of {len(lines)} lines by transformers and by the GGUF file written here: {differ} differ")
    if differ:
        wrong.append("tokens")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer.encode(text)[:256]
    with torch.no_grad():
        want = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
    nll = -want[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].mean().item()
    print(f"transformers on the folder: mean loss {nll:.6f} over {len(ids)} tokens")

    shown = {}
    for name, path in (("source", a.model), ("folder", folder), ("ours", ours)):
        out = run(a.freehold, "perplexity", path, short, "--context", "512", "--chunks", "4", "--profile", "f32", "--json")[0]
        shown[name] = json.loads(out)["perplexity"]
    if a.script:
        run(sys.executable, a.script, folder, "--outfile", theirs, "--outtype", "f32")
        out = run(a.freehold, "perplexity", theirs, short, "--context", "512", "--chunks", "4", "--profile", "f32", "--json")[0]
        shown["theirs"] = json.loads(out)["perplexity"]
        mine, my_keys = tensors(ours)
        his, his_keys = tensors(theirs)
        other = sorted(set(mine) ^ set(his))
        unequal = [n for n in mine if n in his and (mine[n].tensor_type != his[n].tensor_type or not np.array_equal(mine[n].data, his[n].data))]
        print(f"tensors: {len(mine)} here, {len(his)} by the script; only in one: {other}; unequal: {unequal}")
        for key in sorted(set(my_keys) | set(his_keys)):
            x = my_keys[key].contents() if key in my_keys else None
            y = his_keys[key].contents() if key in his_keys else None
            if x != y:
                print(f"  key {key}: {str(x)[:80]} | {str(y)[:80]}")
        if other or unequal:
            wrong.append("tensors")
    print("freehold perplexity:", shown)
    if max(shown.values()) / min(shown.values()) - 1 > 1e-5:
        wrong.append("perplexity here")
    if a.perplexity:
        seen = {}
        for name, path in (("ours", ours), ("theirs", theirs)):
            if path.exists():
                out = "".join(run(a.perplexity, "-m", path, "-f", short, "-c", "512", "--chunks", "4", "-t", "2"))
                seen[name] = float(re.search(r"PPL = ([0-9.]+)", out).group(1))
        print("llama.cpp perplexity:", seen)
        if len(set(seen.values())) > 1:
            wrong.append("perplexity there")
    if not a.work:
        shutil.rmtree(work)
    print("differences: " + ", ".join(wrong) if wrong else "no difference")
    sys.exit(1 if wrong else 0)


main()
