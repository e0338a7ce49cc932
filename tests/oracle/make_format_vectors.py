#!/usr/bin/env python3
"""Writes tests/golden/formats: small model files made by the reference writers (PyPI gguf, safetensors) and what they hold.
Rerun: python tests/oracle/make_format_vectors.py   (needs gguf, safetensors, torch, numpy; the result is committed)."""
import hashlib
import json
import pathlib
import shutil
import struct

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "formats"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_gguf() -> None:
    rng = np.random.default_rng(1)
    path = OUT / "all.gguf"
    w = gguf.GGUFWriter(path, "llama")
    w.add_name("every type")
    w.add_uint8("t.u8", 255)
    w.add_int8("t.i8", -128)
    w.add_uint16("t.u16", 65535)
    w.add_int16("t.i16", -32768)
    w.add_uint32("t.u32", 2**32 - 1)
    w.add_int32("t.i32", -(2**31))
    w.add_float32("t.f32", 1e-5)
    w.add_bool("t.true", True)
    w.add_bool("t.false", False)
    w.add_string("t.text", "Grüße, 世界 🌍\n")
    w.add_uint64("t.u64", 2**64 - 1)
    w.add_int64("t.i64", -(2**63))
    w.add_float64("t.f64", 0.1)
    w.add_array("a.texts", ["<unk>", "", "▁a", "ä"])
    w.add_array("a.ints", [1, -2, 2**31 - 1])
    w.add_array("a.reals", [0.5, -1.25, 1e10])
    w.add_array("a.flags", [True, False, True])
    w.add_key_value("a.large", [2**40, 1], gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.INT64)
    w.add_key_value("a.bytes", [0, 255, 7], gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.UINT8)
    w.add_tensor("f32.1d", rng.standard_normal(5, dtype=np.float32))
    w.add_tensor("f32.2d", rng.standard_normal((3, 5), dtype=np.float32))
    w.add_tensor("f16.3d", rng.standard_normal((2, 3, 4)).astype(np.float16))
    w.add_tensor("f32.4d", rng.standard_normal((2, 1, 3, 4), dtype=np.float32))
    w.add_tensor("i32", np.arange(6, dtype=np.int32).reshape(2, 3))
    q = gguf.GGMLQuantizationType
    for name, qtype in [("q8_0", q.Q8_0), ("q4_k", q.Q4_K), ("iq4_xs", q.IQ4_XS), ("bf16", q.BF16)]:
        block, size = gguf.GGML_QUANT_SIZES[qtype]
        row = max(block, 64)
        data = rng.integers(0, 60, (2, row // block * size), dtype=np.uint8)  # small bytes: no NaN scales
        w.add_tensor(name, data, raw_dtype=qtype)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()

    v2 = bytearray(path.read_bytes())
    v2[4:8] = struct.pack("<I", 2)
    (OUT / "all_v2.gguf").write_bytes(v2)

    r = gguf.GGUFReader(path)
    keys = {k: f.contents() for k, f in r.fields.items() if not k.startswith("GGUF.")}
    tensors = [
        {"name": t.name, "type": t.tensor_type.name, "shape": [int(d) for d in reversed(t.shape)], "offset": int(t.data_offset),
         "sha256": digest(t.data.tobytes())}
        for t in r.tensors
    ]
    (OUT / "all.json").write_text(json.dumps({"keys": keys, "tensors": tensors}, indent=1, ensure_ascii=False) + "\n")


def write_split() -> None:
    folder = OUT / "split"
    folder.mkdir()
    w = gguf.GGUFWriter(folder / "tiny.gguf", "llama", split_max_tensors=2)
    w.add_name("in three parts")
    for i in range(5):
        w.add_tensor(f"t{i}", np.full((2, 3), i, dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_vocabulary_only() -> None:
    w = gguf.GGUFWriter(OUT / "vocabulary.gguf", "llama")
    w.add_tokenizer_model("llama")
    w.add_token_list(["<unk>", "<s>", "</s>", "a"])
    w.add_token_scores([0.0, 0.0, 0.0, -1.0])
    w.add_token_types([2, 3, 3, 1])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def tensors_of(seed: int) -> dict:
    g = torch.Generator().manual_seed(seed)
    r = lambda *shape: torch.randn(*shape, generator=g)
    return {
        f"w{seed}.f32": r(3, 4), f"w{seed}.f16": r(5).half(), f"w{seed}.bf16": r(2, 2, 3).bfloat16(), f"w{seed}.i64": torch.arange(4),
        f"w{seed}.bool": torch.tensor([True, False, True]), f"w{seed}.u8": torch.arange(3, dtype=torch.uint8),
        f"w{seed}.f8": r(8).to(torch.float8_e4m3fn), f"w{seed}.scalar": torch.tensor(2.5), f"w{seed}.empty": torch.zeros(0, 4),
        f"w{seed}.five": r(1, 1, 1, 2, 2),
    }


def raw(t: torch.Tensor) -> bytes:
    return t.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""


def describe(tensors: dict) -> list:
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.bool: "BOOL",
             torch.uint8: "U8", torch.float8_e4m3fn: "F8_E4M3"}
    return [{"name": n, "type": names[t.dtype], "shape": list(t.shape), "sha256": digest(raw(t))} for n, t in sorted(tensors.items())]


def write_hf(folder: pathlib.Path, shards: list) -> None:
    folder.mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "rms_norm_eps": 1e-05,
              "rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "tie_word_embeddings": True, "eos_token_id": [1, 2]}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "generation_config.json").write_text('{"temperature": 0.6, "do_sample": true}')
    (folder / "tokenizer_config.json").write_text('{"bos_token": {"content": "<s>"}, "chat_template": "{{ messages }}"}')
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "chat_template.jinja").write_text("{{ bos_token }}")
    weight_map, everything = {}, {}
    for i, tensors in enumerate(shards):
        name = "model.safetensors" if len(shards) == 1 else f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map.update({t: name for t in tensors})
        everything.update(tensors)
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(len(raw(t)) for t in everything.values())}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    (OUT / (folder.name + ".json")).write_text(json.dumps({"tensors": describe(everything)}, indent=1) + "\n")


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    write_gguf()
    write_split()
    write_vocabulary_only()
    write_hf(OUT / "hf_single", [tensors_of(1)])
    write_hf(OUT / "hf_sharded", [tensors_of(1), tensors_of(2)])
    for file in OUT.rglob("*.safetensors"):
        file.chmod(0o644)
    (OUT / "README.md").write_text(
        "# Model files written by others\nMade by tests/oracle/make_format_vectors.py with PyPI gguf and safetensors: every value type of GGUF (all.gguf, the "
        "same as version 2, what it holds in all.json), a split file, a vocabulary alone, Hugging Face folders with one file and with shards.\n")
