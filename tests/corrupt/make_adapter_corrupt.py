#!/usr/bin/env python3
"""Writes tests/corrupt/adapter: one folder (or GGUF file) per fault of an adapter, and EXPECTED.tsv with the error that
each must get. Rerun: python3 tests/corrupt/make_adapter_corrupt.py   (standard library only; the result is committed)."""
import json
import pathlib
import shutil
import struct

OUT = pathlib.Path(__file__).resolve().parent / "adapter"
STEM = "base_model.model.model.layers.0.self_attn.q_proj"
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "target_modules": ["q_proj"], "base_model_name_or_path": "tiny"}
PAIR = {STEM + ".lora_A.weight": [2, 3], STEM + ".lora_B.weight": [4, 2]}
expected = []


def safetensors(shapes):
    header, at = {}, 0
    for name, shape in shapes.items():
        n = 4
        for d in shape:
            n *= d
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"\0" * at


def fault(name, kind, phrase, config=None, shapes=None, raw_config=None, weights=None, without=()):
    folder = OUT / name
    folder.mkdir(parents=True)
    text = raw_config if raw_config is not None else json.dumps(CONFIG | (config or {})).encode()
    if "config" not in without:
        (folder / "adapter_config.json").write_bytes(text)
    if "weights" not in without:
        (folder / "adapter_model.safetensors").write_bytes(weights if weights is not None else safetensors(shapes or PAIR))
    expected.append((name, kind, phrase))


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def gguf(name, kind, phrase, keys, tensors):
    keys = [("general.architecture", "llama")] + keys
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, value in keys:
        out += text(key) + (struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<If", 6, value))
    at = 0
    for tensor, dims in tensors.items():
        size = 4
        for d in dims:
            size *= d
        out += text(tensor) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", 0, at)
        at += size + -size % 32
    out += b"\0" * (-len(out) % 32) + b"\0" * at
    (OUT / name).write_bytes(out)
    expected.append((name, kind, phrase))


def main():
    """All faults, in the order of the table."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    bad, no = "bad_file", "unsupported"
    fault("no_config", bad, "holds no adapter", without=("config",))
    fault("no_weights", "not_found", "has no adapter_model.safetensors", without=("weights",))
    fault("config_cut", bad, "adapter_config.json", raw_config=b'{"peft_type": "LORA", "r":')
    fault("config_list", bad, "holds no JSON object", raw_config=b"[1]")
    fault("config_empty", bad, "\"peft_type\" is missing", raw_config=b"{}")
    fault("type_number", bad, "\"peft_type\" is missing or no text", {"peft_type": 3})
    fault("type_ia3", no, "type IA3", {"peft_type": "IA3"})
    fault("rank_missing", bad, "\"r\" is missing", raw_config=b'{"peft_type": "LORA", "lora_alpha": 1}')
    fault("rank_zero", bad, "\"r\" is 0", {"r": 0})
    fault("rank_huge", bad, "\"r\" is 1000000", {"r": 1000000})
    fault("rank_text", bad, "\"r\" is", {"r": "8"})
    fault("rank_other", bad, "gives \"model.layers.0.self_attn.q_proj\" the rank 8", {"r": 8})
    fault("alpha_text", bad, "\"lora_alpha\"", {"lora_alpha": "much"})
    fault("rslora_text", bad, "\"use_rslora\" is no truth value", {"use_rslora": "yes"})
    fault("pattern_list", bad, "\"rank_pattern\" is no object", {"rank_pattern": [1]})
    fault("pattern_negative", bad, "\"alpha_pattern\" gives \"q_proj\"", {"alpha_pattern": {"q_proj": -1}})
    fault("pattern_expression", no, "expression \"(q|v)_proj\"", {"rank_pattern": {"(q|v)_proj": 2}})
    fault("dora", no, "\"use_dora\" is true", {"use_dora": True})
    fault("dora_tensor", no, "belongs to DoRA", shapes=PAIR | {STEM + ".lora_magnitude_vector": [4]})
    fault("bias_all", no, "\"bias\" is \"all\"", {"bias": "all"})
    fault("lora_bias", no, "\"lora_bias\" is true", {"lora_bias": True})
    fault("modules_to_save", no, "\"modules_to_save\"", {"modules_to_save": ["lm_head"]})
    fault("layer_replication", no, "\"layer_replication\"", {"layer_replication": [[0, 2]]})
    fault("alora", no, "\"alora_invocation_tokens\"", {"alora_invocation_tokens": [1, 2]})
    fault("pissa", no, "\"init_lora_weights\" is \"pissa\"", {"init_lora_weights": "pissa"})
    fault("key_of_the_future", no, "\"use_something_new\"", {"use_something_new": True})
    fault("tensor_embedding", no, "changes an embedding", shapes={"base_model.model.model.embed_tokens.lora_embedding_A": [2, 3]})
    fault("tensor_whole", no, "is no half of a pair", shapes=PAIR | {"base_model.model.lm_head.weight": [4, 3]})
    fault("tensor_foreign", no, "not named as PEFT names", shapes={"model.layers.0.self_attn.q_proj.weight": [4, 3]})
    fault("half_a", bad, "has no other half", shapes={STEM + ".lora_A.weight": [2, 3]})
    fault("half_b", bad, "has no other half", shapes={STEM + ".lora_B.weight": [4, 2]})
    fault("ranks_differ", bad, "are the rank", shapes={STEM + ".lora_A.weight": [2, 3], STEM + ".lora_B.weight": [4, 3]})
    fault("three_dimensions", bad, "two dimensions", shapes={STEM + ".lora_A.weight": [2, 3, 1], STEM + ".lora_B.weight": [4, 2]})
    fault("twice", bad, "comes twice", shapes=PAIR | {STEM + ".lora_A.default.weight": [2, 3]})
    fault("no_tensors", bad, "holds no tensors", shapes={"__metadata__": []}, weights=struct.pack("<Q", 8) + b"{}      ")
    fault("weights_cut", bad, "safetensors", weights=safetensors(PAIR)[:-5])
    lora = [("general.type", "adapter"), ("adapter.type", "lora"), ("adapter.lora.alpha", 4.0)]
    pair = {"blk.0.attn_q.weight.lora_a": [3, 2], "blk.0.attn_q.weight.lora_b": [2, 4]}
    gguf("type_model.gguf", bad, "holds no adapter", [("general.type", "model")], pair)
    gguf("type_other.gguf", no, "\"adapter.type\" is \"dora\"", [("general.type", "adapter"), ("adapter.type", "dora")], pair)
    gguf("alpha_text.gguf", bad, "\"adapter.lora.alpha\"", lora[:2] + [("adapter.lora.alpha", "4")], pair)
    gguf("alpha_nan.gguf", bad, "\"adapter.lora.alpha\"", lora[:2] + [("adapter.lora.alpha", float("nan"))], pair)
    gguf("token_embd.gguf", no, "token_embd.weight.lora_a", lora, {"token_embd.weight.lora_a": [2, 3], "token_embd.weight.lora_b": [2, 4]})
    gguf("half.gguf", bad, "has no other half", lora, {"blk.0.attn_q.weight.lora_a": [3, 2]})
    gguf("norm.gguf", no, "blk.0.attn_norm.weight", lora, pair | {"blk.0.attn_norm.weight": [3]})
    lines = ["# path under adapter/\tkind of error\tphrase in its message"] + ["\t".join(e) for e in expected]
    (OUT / "EXPECTED.tsv").write_text("\n".join(lines) + "\n")


main()
