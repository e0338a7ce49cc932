#!/usr/bin/env python3
"""A real model with a random PEFT adapter on all its linears: `freehold logits --adapter` against PEFT in F32.

Rerun: python3 tests/oracle/adapters_live.py --freehold build/release/apps/freehold/freehold --model FILE.gguf \
           [--tokens 200] [--rank 8] [--keep DIR]
Needs torch, transformers, peft, gguf, numpy. Weights are expanded by transformers' reader of GGUF; prints the largest
difference of a logit, also as part of the largest logit, and how far the adapter moves the logits. --keep leaves the
PEFT folder there, and the same adapter as adapter.gguf for llama.cpp (architecture llama).
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np

LINEARS = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
           "up_proj": "ffn_up", "down_proj": "ffn_down"}


def write_gguf(path, folder, config, alpha):
    import gguf
    from safetensors.torch import load_file
    w = gguf.GGUFWriter(path, config.model_type)
    w.add_string("general.type", "adapter")
    w.add_string("adapter.type", "lora")
    w.add_float32("adapter.lora.alpha", alpha)
    for name, t in load_file(os.path.join(folder, "adapter_model.safetensors")).items():
        parts = name.split(".")
        layer, module, kind = parts[parts.index("layers") + 1], parts[-3], parts[-2]
        t = t.numpy()
        if kind == "lora_B" and module in ("q_proj", "k_proj"):
            n = config.num_attention_heads if module == "q_proj" else config.num_key_value_heads
            t = t.reshape(n, 2, t.shape[0] // n // 2, t.shape[1]).swapaxes(1, 2).reshape(t.shape)
        w.add_tensor(f"blk.{layer}.{LINEARS[module]}.weight.{kind.lower()}", np.ascontiguousarray(t))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--freehold", required=True)
    args.add_argument("--model", required=True)
    args.add_argument("--tokens", type=int, default=200)
    args.add_argument("--rank", type=int, default=8)
    args.add_argument("--keep")
    args = args.parse_args()

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    folder, name = os.path.split(os.path.abspath(args.model))
    base = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    ids = np.random.default_rng(1).integers(0, base.config.vocab_size, args.tokens).tolist()
    with torch.no_grad():
        plain = base(torch.tensor([ids])).logits[0].numpy()
    alpha = 2 * args.rank
    model = get_peft_model(base, LoraConfig(r=args.rank, lora_alpha=alpha, target_modules=list(LINEARS), task_type="CAUSAL_LM")).eval()
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if "lora_" in n:
                p.copy_(torch.randn(p.shape, generator=g) * (1 / p.shape[1] ** 0.5 if "lora_A" in n else 0.02))
        want = model(torch.tensor([ids])).logits[0].numpy()
    with tempfile.TemporaryDirectory() as tmp:
        keep = args.keep or os.path.join(tmp, "adapter")
        model.save_pretrained(keep)
        if args.keep and base.config.model_type == "llama":
            write_gguf(os.path.join(keep, "adapter.gguf"), keep, base.config, alpha)
            with open(os.path.join(keep, "tokens.json"), "w", encoding="utf-8") as f:
                json.dump(ids, f)
        for form in [keep] + ([os.path.join(keep, "adapter.gguf")] if args.keep and base.config.model_type == "llama" else []):
            out = os.path.join(tmp, "logits.npy")
            subprocess.run([args.freehold, "logits", args.model, "--adapter", form, "--tokens", ",".join(map(str, ids)), "-o", out,
                            "--profile", "f32", "--kv", "f32"], check=True, stderr=subprocess.DEVNULL)
            ours = np.load(out)
            diff, top = np.abs(ours - want).max(), np.abs(want).max()
            print(f"{name} + {'PEFT' if form == keep else 'GGUF'} rank {args.rank}, {len(ids)} tokens: largest difference {diff:.2e} "
                  f"({diff / top:.2e} of the largest logit), equal argmax {(ours.argmax(-1) == want.argmax(-1)).sum()}/{len(ids)}; "
                  f"the adapter moves logits by up to {np.abs(want - plain).max():.2f}")


main()
