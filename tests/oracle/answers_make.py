#!/usr/bin/env python3
"""Golden answers of real models: what transformers says in F32 on the expanded weights of a GGUF file, always the most
likely token.

Rerun: python3 tests/oracle/answers_make.py --model FILE.gguf --as NAME.gguf --prompt TEXT [--tokens 48] > tests/golden/answers/NAME.json
NAME.gguf is how the test finds the file in FREEHOLD_TEST_MODELS. Special tokens may be written out in the prompt.
Needs: torch, transformers, gguf. An answer in which two tokens were ever closer than 1e-3 is refused: it would test luck.
"""
import argparse
import hashlib
import json
import os
import sys


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--model", required=True)
    args.add_argument("--as", dest="name", required=True)
    args.add_argument("--prompt", required=True)
    args.add_argument("--tokens", type=int, default=48)
    args = args.parse_args()

    import torch
    import transformers
    folder, name = os.path.split(os.path.abspath(args.model))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    text = args.prompt.encode().decode("unicode_escape")
    prompt = tokenizer(text)["input_ids"]
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    ids, past, feed, closest = [], None, prompt, float("inf")
    with torch.no_grad():
        while len(ids) < args.tokens:
            step = model(torch.tensor([feed]), past_key_values=past, use_cache=True)
            past = step.past_key_values
            best = step.logits[0, -1].topk(2)
            closest = min(closest, float(best.values[0] - best.values[1]))
            token = int(best.indices[0])
            if token in ends:
                break
            ids.append(token)
            feed = [token]
    if closest < 1e-3:
        sys.exit(f"two tokens were {closest:.1e} apart; take another prompt")
    with open(args.model, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    made = {"model": args.name, "sha256": digest, "transformers": transformers.__version__, "closest": round(closest, 4),
            "prompt": text, "prompt_ids": prompt, "ids": ids, "text": tokenizer.decode(ids)}
    rows = [f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in made.items()]
    print("{\n" + ",\n".join(rows) + "\n}")


if __name__ == "__main__":
    main()
