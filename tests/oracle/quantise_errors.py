#!/usr/bin/env python3
"""Compares the files that `freehold quantize` and another program write from the same original, tensor by tensor.

  quantise_errors.py ORIGINAL.gguf OURS.gguf THEIRS.gguf     root mean square errors by type, and the worst tensor
  quantise_errors.py --dither QUANTISED.gguf EXPANDED.gguf   makes an original: EXPANDED (the same model as F32, written by
                                                             `freehold quantize QUANTISED EXPANDED --type f32`) gets
                                                             random numbers inside the steps of QUANTISED, so that its
                                                             numbers lie on no grid
Needs numpy and gguf from PyPI. "weighted" errors count a number by its size plus the root mean square of its 32.
"""
import sys
from collections import defaultdict
import numpy as np
import gguf
from gguf import GGMLQuantizationType as T


def values(tensor):
    return np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32).reshape(-1)


def dither(quantised, expanded):
    rng = np.random.default_rng(5)
    steps = {t.name: t for t in gguf.GGUFReader(quantised).tensors}
    for t in gguf.GGUFReader(expanded, "r+").tensors:
        source = steps[t.name]
        if source.tensor_type not in (T.Q4_0, T.Q4_1, T.Q5_0, T.Q8_0):
            continue
        size = gguf.GGML_QUANT_SIZES[source.tensor_type][1]
        scale = source.data.reshape(-1, size)[:, :2].copy().view(np.float16).astype(np.float32)
        x = t.data.reshape(-1, 32)
        x += (rng.random(x.shape, dtype=np.float32) - np.float32(0.5)) * np.abs(scale)
        t.data.flush()


def errors(x, y):
    off = (y.astype(np.float64) - x) ** 2
    n = x.size // 32 * 32
    blocks = x[:n].astype(np.float64).reshape(-1, 32)
    weight = np.abs(blocks) + np.sqrt((blocks**2).mean(1, keepdims=True))
    return off.sum(), (off[:n].reshape(-1, 32) * weight).sum()


def compare(original, ours, theirs):
    a = {t.name: t for t in gguf.GGUFReader(ours).tensors}
    b = {t.name: t for t in gguf.GGUFReader(theirs).tensors}
    sums, worst, count, mixed = defaultdict(lambda: np.zeros(4)), {}, defaultdict(int), []
    for t in gguf.GGUFReader(original).tensors:
        p, q = a[t.name], b[t.name]
        if p.tensor_type != q.tensor_type:
            mixed.append(f"{t.name}: {p.tensor_type.name} here, {q.tensor_type.name} there")
            continue
        if p.tensor_type in (T.F32, T.F16, T.BF16):
            continue
        x = values(t)
        mine, other = errors(x, values(p)), errors(x, values(q))
        name = p.tensor_type.name
        count[name] += 1
        sums[name] += [mine[0], other[0], mine[1], other[1]]
        worst[name] = max(worst.get(name, (0, "")), (np.sqrt(mine[0] / other[0]) if other[0] else 1, t.name))
    print("| type | tensors | plain RMSE / theirs | weighted / theirs | worst tensor, plain |\n|-|-|-|-|-|")
    for name, s in sorted(sums.items()):
        ratio = np.sqrt(s[0::2] / np.maximum(s[1::2], 1e-300))
        print(f"| {name} | {count[name]} | {ratio[0]:.4f} | {ratio[1]:.4f} | {worst[name][0]:.4f} {worst[name][1]} |")
    print("types differ:", "; ".join(mixed) if mixed else "nowhere")


if __name__ == "__main__":
    dither(*sys.argv[2:]) if sys.argv[1] == "--dither" else compare(*sys.argv[1:])
