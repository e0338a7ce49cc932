#!/usr/bin/env python3
"""The containers of weights beside plain safetensors: what torch.save writes, and folders in FP8, GPTQ and AWQ.

Writes tests/golden/containers/torch/*: files of torch.save with tensors.json (name, type, shape, SHA-256 of the row-major
bytes), and hostile ones with hostile.json (kind and phrase of the refusal);
tests/golden/containers/NAME/: tiny Llama folders with expected.json (tokens), expected.bin (float32 logits by transformers
on the weights that the format's definition gives) and weights.json (SHA-256 of some expanded weights as float32).

The definitions, in torch: FP8 as DeepSeek's weight_dequant (value times the scale of its block of 128 x 128); GPTQ as in
AutoGPTQ (w = scale[g] * (q - (zero + 1)), v2 without the 1, g_idx by input); AWQ as in its GEMM form (eight columns a word
in the order 0 2 4 6 1 3 5 7).

Rerun from the root of the repository:  python3 tests/oracle/make_containers.py
Needs torch, transformers, safetensors, numpy (made with torch 2.13, transformers 5.23).
"""
import collections
import hashlib
import io
import json
import os
import pathlib
import pickle
import shutil
import struct
import warnings
import zipfile

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

warnings.filterwarnings("ignore")
OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "containers"
MODELS = OUT.parent / "models"
torch.set_num_threads(1)
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
         torch.float8_e4m3fn: "F8_E4M3"}


def digest(t):
    return hashlib.sha256(t.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b"").hexdigest()


# ---- torch.save -----------------------------------------------------------------------------------------------------
class Runs:
    def __reduce__(self):
        return os.system, ("touch /tmp/freehold-was-run",)


def rezip(data, change, compress=False):
    """The archive again, with members changed: name -> bytes or None."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            body = change(info.filename, old.read(info.filename))
            if body is not None:
                new.writestr(info.filename, body)
    return out.getvalue()


def saved(obj, **how):
    out = io.BytesIO()
    torch.save(obj, out, **how)
    return out.getvalue()


def torch_files():
    folder = OUT / "torch"
    folder.mkdir(parents=True)
    g = torch.Generator().manual_seed(5)
    base = torch.randn(6, 10, generator=g)
    types = collections.OrderedDict((f"type.{n}", torch.randint(0, 2, (3, 5), generator=g).to(t)) for t, n in NAMES.items())
    views = {"whole": base, "rows": base[1:4], "turned": base.t(), "columns": base[:, 2:5], "every_second": base[::2, 1::3],
             "scalar": base[2, 3], "empty": base[:0], "tied": base, "halves": base.view(2, 3, 10)[1]}
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
    params = torch.nn.ParameterDict({"a": torch.nn.Parameter(base.clone()), "b": torch.nn.Parameter(base[0].clone())})
    nested = {"epoch": 3, "lr": 0.5, "state_dict": module.state_dict(), "args": {"name": "x", "sizes": [1, 2, (3, None)]}}
    plain = {"types": types, "views": views, "params": dict(params.items()), "module": module.state_dict()}
    for name, obj in plain.items():
        torch.save(obj, folder / f"{name}.pt")
        if name != "types":
            torch.save(obj, folder / f"{name}-legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({k: v for k, v in types.items() if v.dtype != torch.float8_e4m3fn}, folder / "types-legacy.pt",
               _use_new_zipfile_serialization=False)
    torch.save(views, folder / "views-protocol4.pt", pickle_protocol=4)
    torch.save(nested, folder / "nested.pt")
    expected = {}
    for path in sorted(folder.glob("*.pt")):
        obj = torch.load(path, weights_only="protocol4" not in path.name)
        obj = obj.get("state_dict", obj)
        expected[path.name] = {k: [NAMES[t.dtype], list(t.shape), digest(t)] for k, t in obj.items()}
    (folder / "tensors.json").write_text(json.dumps(expected, indent=0) + "\n")

    good = saved({"w": base})
    hostile = {
        "system": (saved({"w": base, "x": Runs()}), "unsupported", "posix.system"),
        "system_legacy": (saved({"w": base, "x": Runs()}, _use_new_zipfile_serialization=False), "unsupported", "posix.system"),
        "whole_module": (saved(module), "unsupported", "torch.nn.modules.container.Sequential"),
        "sparse": (saved({"w": base.to_sparse()}), "unsupported", "torch._utils._rebuild_sparse_tensor"),
        "quantised": (saved({"w": torch.quantize_per_tensor(base, 0.1, 0, torch.qint8)}), "unsupported", "torch."),
        "big_endian": (rezip(good, lambda n, b: b"big" if n.endswith("byteorder") else b), "unsupported", "big"),
        "compressed": (rezip(good, lambda n, b: b, True), "unsupported", "compressed"),
        "no_storage": (rezip(good, lambda n, b: None if "/data/" in n else b), "bad_file", "is not there"),
        "short_storage": (rezip(good, lambda n, b: b[:-4] if "/data/" in n else b), "bad_file", "should hold 60 elements"),
        "expanded": (saved({"w": torch.zeros(1).expand(1000, 1000)}), "bad_file", "more than once"),
        "overlap": (saved({"w": base.as_strided((5, 4), (2, 1))}), "bad_file", "more than once"),
        "cut": (good[:-30], "bad_file", "not a valid archive"),
        "no_pickle": (rezip(good, lambda n, b: None if n.endswith("data.pkl") else b), "unsupported", "without a data.pkl"),
        "legacy_cut": (saved({"w": base}, _use_new_zipfile_serialization=False)[:-9], "bad_file", "goes past the end"),
        "legacy_rest": (saved({"w": base}, _use_new_zipfile_serialization=False) + b"12345", "bad_file", "belong to nothing"),
        "number": (saved(3), "unsupported", "no dictionary of tensors"),
    }
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    hostile["torchscript"] = (script.getvalue(), "unsupported", "TorchScript")
    pkl = zipfile.ZipFile(io.BytesIO(good)).read("archive/data.pkl")
    for name, old, new, phrase in [
        ("out_of_range", struct.pack("<BB", ord("K"), 6) + struct.pack("<BB", ord("K"), 10), struct.pack("<BB", ord("K"), 7) + struct.pack("<BB", ord("K"), 10), "reaches element"),
        ("stack_empty", b"\x80\x02}", b"\x80\x02R", "asked for"),
        ("bad_opcode", b"\x80\x02}", b"\x80\x02\x8f", "opcode"),
    ]:
        assert old in pkl, name
        hostile[name] = (rezip(good, lambda n, b: b.replace(old, new, 1) if n.endswith("data.pkl") else b),
                         "unsupported" if name == "bad_opcode" else "bad_file", phrase)
    loop = b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."
    hostile["loop"] = (rezip(good, lambda n, b: loop if n.endswith("data.pkl") else b), "bad_file", "nested without end")
    facts = {}
    (folder / "hostile").mkdir()
    for name, (data, kind, phrase) in hostile.items():
        (folder / "hostile" / f"{name}.pt").write_bytes(data)
        facts[name] = [kind, phrase]
    (folder / "hostile.json").write_text(json.dumps(facts, indent=0) + "\n")


# ---- folders --------------------------------------------------------------------------------------------------------
LENGTH = 20


def tiny():
    config = LlamaConfig(vocab_size=64, hidden_size=160, intermediate_size=288, num_hidden_layers=1, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False, rms_norm_eps=1e-5)
    torch.manual_seed(11)
    model = LlamaForCausalLM(config).eval()
    g = torch.Generator().manual_seed(12)
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g)
            p.copy_(1 + 0.2 * r if "norm" in name else r * (1.2 / p.shape[-1] ** 0.5))
    return model


def linears(model):
    return [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]


def write(name, model, tensors, quant, weights):
    """tensors: what the folder holds; weights: what its linears mean (float32)."""
    folder = OUT / name
    folder.mkdir(parents=True)
    state = dict(model.state_dict())
    with torch.no_grad():
        for key, value in weights.items():
            state[key + ".weight"].copy_(value)
    tokens = torch.randint(0, model.config.vocab_size, (1, LENGTH), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        logits = model(tokens).logits[0].float()
    config = model.config.to_dict()
    config["quantization_config"] = quant
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    plain = {k: v.to(torch.float32).clone() for k, v in state.items() if k.removesuffix(".weight") not in weights}
    save_file(plain | {k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "expected.json").write_text(json.dumps({"tokens": tokens[0].tolist()}) + "\n")
    (folder / "expected.bin").write_bytes(logits.numpy().tobytes())
    (folder / "weights.json").write_text(json.dumps({k + ".weight": digest(v.float()) for k, v in weights.items()}, indent=0) + "\n")


def fp8(name, block):
    model = tiny()
    tensors, weights = {}, {}
    for key in linears(model):
        w = model.get_submodule(key).weight.detach()
        if block:
            rows, cols = -(-w.shape[0] // 128), -(-w.shape[1] // 128)
            scale = torch.empty(rows, cols)
            for r in range(rows):
                for c in range(cols):
                    scale[r, c] = w[r * 128:(r + 1) * 128, c * 128:(c + 1) * 128].abs().max() / 448
            full = scale.repeat_interleave(128, 0)[:w.shape[0]].repeat_interleave(128, 1)[:, :w.shape[1]]
            tensors[key + ".weight_scale_inv"] = scale
        else:
            scale = (w.abs().max() / 448).reshape(1)
            if name == "fp8-power":  # a power of two: the weights are brain floats then
                scale = torch.exp2(torch.ceil(torch.log2(scale)))
            full = scale
            tensors[key + ".weight_scale"] = scale.reshape(()) if "q_proj" in key else scale
            tensors[key + ".input_scale"] = torch.tensor(1.0)
        q = (w / full).to(torch.float8_e4m3fn)
        tensors[key + ".weight"] = q
        weights[key] = q.float() * full
    quant = {"quant_method": "fp8", "activation_scheme": "dynamic"} | ({"weight_block_size": [128, 128]} if block else {})
    write(name, model, tensors, quant, weights)


def pack_rows(q):  # [in, out] -> [in / 8, out]
    words = torch.zeros(q.shape[0] // 8, q.shape[1], dtype=torch.int64)
    for i in range(8):
        words |= q[i::8].to(torch.int64) << (4 * i)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def pack_columns(q, order=range(8)):  # [n, out] -> [n, out / 8]
    words = torch.zeros(q.shape[0], q.shape[1] // 8, dtype=torch.int64)
    for i, column in enumerate(order):
        words |= q[:, column::8].to(torch.int64) << (4 * i)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def quantise(w, group, sym, g_idx):
    """w [out, in] -> q [in, out], zero [groups, out], scale [groups, out] half."""
    t = w.t()
    groups = int(g_idx.max()) + 1
    scale, zero = torch.empty(groups, t.shape[1]), torch.empty(groups, t.shape[1])
    for i in range(groups):
        part = t[g_idx == i]
        low, high = part.min(0).values.clamp(max=0), part.max(0).values.clamp(min=0)
        if sym:
            s = torch.maximum(-low, high) * 2 / 15
            z = torch.full_like(s, 8)
        else:
            s = (high - low) / 15
            z = torch.round(-low / s)
        scale[i], zero[i] = s, z.clamp(1, 15)
    scale = scale.half()
    q = torch.clamp(torch.round(t / scale.float()[g_idx]) + zero[g_idx], 0, 15)
    return q, zero, scale


def gptq(name, sym, act_order, version, group=32):
    model = tiny()
    tensors, weights = {}, {}
    g = torch.Generator().manual_seed(8)
    for key in linears(model):
        w = model.get_submodule(key).weight.detach()
        n = w.shape[1]
        g_idx = torch.arange(n) // group
        if act_order:
            g_idx = g_idx[torch.randperm(n, generator=g)]
        q, zero, scale = quantise(w, group, sym, g_idx)
        stored = zero - (1 if version == 1 else 0)
        tensors |= {key + ".qweight": pack_rows(q), key + ".qzeros": pack_columns(stored), key + ".scales": scale,
                    key + ".g_idx": g_idx.to(torch.int32)}
        weights[key] = (scale.float()[g_idx] * (q - zero[g_idx])).t()
    quant = {"quant_method": "gptq", "bits": 4, "group_size": group, "desc_act": act_order, "sym": sym,
             "checkpoint_format": "gptq" if version == 1 else "gptq_v2"}
    write(name, model, tensors, quant, weights)


def awq(name, group=32):
    model = tiny()
    tensors, weights = {}, {}
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    for key in linears(model):
        w = model.get_submodule(key).weight.detach()
        g_idx = torch.arange(w.shape[1]) // group
        q, zero, scale = quantise(w, group, False, g_idx)
        tensors |= {key + ".qweight": pack_columns(q, order), key + ".qzeros": pack_columns(zero, order), key + ".scales": scale}
        weights[key] = (scale.float()[g_idx] * (q - zero[g_idx])).t()
    write(name, model, tensors, {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm"}, weights)


def torch_folders():
    """The golden Llama as pytorch_model.bin, and in two legacy shards with an index."""
    state = load_file(MODELS / "llama" / "model.safetensors")
    for name in ("torch-one", "torch-shards"):
        folder = OUT / name
        folder.mkdir(parents=True)
        shutil.copy(MODELS / "llama" / "config.json", folder / "config.json")
    torch.save(state, OUT / "torch-one" / "pytorch_model.bin")
    names = sorted(state)
    halves = [names[: len(names) // 2], names[len(names) // 2:]]
    index = {"metadata": {"total_size": sum(t.numel() * 4 for t in state.values())}, "weight_map": {}}
    for i, half in enumerate(halves):
        file = f"pytorch_model-0000{i + 1}-of-00002.bin"
        torch.save({k: state[k] for k in half}, OUT / "torch-shards" / file, _use_new_zipfile_serialization=False)
        index["weight_map"] |= {k: file for k in half}
    (OUT / "torch-shards" / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    torch_files()
    torch_folders()
    fp8("fp8-block", True)
    fp8("fp8-tensor", False)
    fp8("fp8-power", False)
    gptq("gptq-sym", True, False, 1)
    gptq("gptq-asym", False, False, 1)
    gptq("gptq-order", False, True, 1)
    gptq("gptq-v2", False, False, 2)
    awq("awq")
    print(sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()), "bytes")


main()
