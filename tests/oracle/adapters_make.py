#!/usr/bin/env python3
"""Random PEFT adapters on the tiny models of tests/golden/models, and the logits that PEFT computes with them.

Writes tests/golden/adapters/NAME/: adapter_config.json and adapter_model.safetensors as PEFT saves them,
expected.json (base, tokens), expected.bin (float32: logits) and, where one alpha does for all modules, adapter.gguf as
llama.cpp reads it: NAME.lora_a and NAME.lora_b, rows of q and k of architecture llama in pairs, scale alpha / rank.

Rerun from the root of the repository:  python3 tests/oracle/adapters_make.py
Needs torch, transformers, peft, safetensors, gguf (made with torch 2.13, transformers 5.23, peft 0.21.2).
"""
import json
import pathlib
import shutil

import gguf
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS, OUT = ROOT / "golden" / "models", ROOT / "golden" / "adapters"
torch.set_num_threads(1)

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    # Ranks and alphas that differ by module: by the end of a name, and by a whole one.
    "llama": ("llama", dict(r=3, lora_alpha=5, target_modules=LINEARS, rank_pattern={"down_proj": 2, "layers.1.self_attn.q_proj": 4},
                            alpha_pattern={"layers.2.mlp.up_proj": 9, "k_proj": 1})),
    "llama-some": ("llama", dict(r=2, lora_alpha=4, target_modules=["q_proj", "k_proj", "o_proj"], layers_to_transform=[0, 2])),
    "gemma3": ("gemma3", dict(r=4, lora_alpha=3, use_rslora=True, target_modules=LINEARS)),
    "gpt2": ("gpt2", dict(r=3, lora_alpha=3, fan_in_fan_out=True, target_modules=["c_attn", "c_proj", "c_fc"])),
}
GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
              "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "attn.c_attn": "attn_qkv",
              "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}


def write_gguf(folder, config, options):
    """The same adapter for llama.cpp; its scale is alpha / rank, so rank-stabilised ones get an alpha that gives theirs."""
    arch = config.model_type.removesuffix("_text")
    alpha = options["lora_alpha"] * (options["r"] ** 0.5 if options.get("use_rslora") else 1.0)
    w = gguf.GGUFWriter(str(folder / "adapter.gguf"), arch)
    w.add_string("general.type", "adapter")
    w.add_string("adapter.type", "lora")
    w.add_float32("adapter.lora.alpha", alpha)
    for name, t in load_file(folder / "adapter_model.safetensors").items():
        layer, module = name.split(".layers." if ".layers." in name else ".h.")[1].split(".", 1)
        module, kind = module.removesuffix(".weight").rsplit(".", 1)
        t = t.numpy()
        heads = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}.get(module)
        if arch == "llama" and heads and kind == "lora_B":
            n = getattr(config, heads)
            t = t.reshape(n, 2, t.shape[0] // n // 2, t.shape[1]).swapaxes(1, 2).reshape(t.shape)
        w.add_tensor(f"blk.{layer}.{GGUF_NAMES[module]}.weight.{kind.lower()}", np.ascontiguousarray(t))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make(name, base, options):
    """One adapter: every number of it random, so that a wrong order of anything shows."""
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = AutoModelForCausalLM.from_pretrained(MODELS / base, dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options)).eval()
    g = torch.Generator().manual_seed(len(name) + 77)
    for pname, p in model.named_parameters():
        if "lora_" in pname:
            with torch.no_grad():
                p.copy_(torch.randn(p.shape, generator=g) * (1.5 / p.shape[1] ** 0.5 if "lora_A" in pname else 0.5))
    model.peft_config["default"].base_model_name_or_path = "freehold/tiny-" + base
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    expected = json.loads((MODELS / base / "expected.json").read_text())
    with torch.no_grad():
        with_it = model(torch.tensor([expected["tokens"]])).logits[0]
        with model.disable_adapter():
            without = model(torch.tensor([expected["tokens"]])).logits[0]
    with_it.float().numpy().astype("<f4").tofile(folder / "expected.bin")
    (folder / "expected.json").write_text(json.dumps({"base": base, "tokens": expected["tokens"]}) + "\n")
    if "rank_pattern" not in options:
        write_gguf(folder, model.config, options)
    for f in folder.iterdir():
        f.chmod(0o644)
    print(f"{name}: changes logits by {(with_it - without).abs().max():.3f}, {sum(f.stat().st_size for f in folder.iterdir())} bytes")


def main():
    """All cases; seeds are fixed, so that a rerun changes nothing but what was changed here."""
    for name, (base, options) in CASES.items():
        make(name, base, options)


main()
