#!/usr/bin/env python3
"""Makes tests/golden/dtype/NAME.bin: random and extreme blocks of every number format, and what PyPI `gguf` expands them to.

Rerun:  python3 tests/oracle/make_dtype_vectors.py            (writes the vectors; needs numpy and gguf from PyPI)
Check:  python3 tests/oracle/make_dtype_vectors.py --check N  (other seeds, through the program test_tensor, see below)

File: "FHDT", u32 bytes of blocks, u32 number of values, the blocks, the values as float32 bits; little-endian.
--check writes N fresh sets into a temporary folder and runs test_tensor on them with FREEHOLD_DTYPE_VECTORS set to it.
"""
import os, struct, subprocess, sys, tempfile
import numpy as np
import gguf
from gguf import GGMLQuantizationType as T

# name: offsets of the F16 scales within a block
FORMATS = {"F32": [], "F16": [], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
           "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0],
           "MXFP4": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0]}
EXTREME = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0xBC00], dtype=np.uint16)


def finite16(rng, n, exponent_bits, mantissa_bits):
    h = rng.integers(0, 1 << 16, n, dtype=np.uint32).astype(np.uint16)
    mask = ((1 << exponent_bits) - 1) << mantissa_bits
    bad = (h & mask) == mask
    h[bad] &= np.uint16(~(1 << mantissa_bits) & 0xFFFF)
    return h


def blocks_of(name, rng):
    if name == "F32":
        v = rng.integers(0, 1 << 32, 512, dtype=np.uint64).astype(np.uint32)
        bad = (v & 0x7F800000) == 0x7F800000
        v[bad] &= np.uint32(0xFF7FFFFF)
        v[:6] = [0, 0x80000000, 1, 0x007FFFFF, 0x7F7FFFFF, 0xFF7FFFFF]
        return v.view(np.uint8)
    if name == "F16":
        v = finite16(rng, 512, 5, 10)
        v[: len(EXTREME)] = EXTREME
        return v.view(np.uint8)
    if name == "BF16":
        v = finite16(rng, 512, 8, 7)
        v[:6] = [0, 0x8000, 1, 0x007F, 0x7F7F, 0xFF7F]
        return v.view(np.uint8)
    block, size = gguf.GGML_QUANT_SIZES[T[name]]
    n = 96 if block == 32 else 24
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    raw[0, :], raw[1, :], raw[2, :] = 0, 0xFF, 0x80  # extreme codes
    if name == "MXFP4":  # scales that keep 12 * 2^(e - 128) finite, the smallest and the largest among them
        raw[:, 0] = np.minimum(raw[:, 0], 252)
        raw[3:7, 0] = [0, 1, 2, 252]
    for at in FORMATS[name]:
        scales = finite16(rng, n, 5, 10)
        k = min(n // 2, len(EXTREME))
        scales[3 : 3 + k] = rng.permutation(EXTREME)[:k]
        raw[:, at : at + 2] = scales.view(np.uint8).reshape(n, 2)
    return raw.reshape(-1)


def write(folder, seed):
    os.makedirs(folder, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in FORMATS:
        raw = np.ascontiguousarray(blocks_of(name, rng))
        typed = raw
        if name == "F32":
            typed = raw.view(np.float32)
        elif name == "F16":
            typed = raw.view(np.float16)
        values = np.asarray(gguf.dequantize(typed, T[name]), dtype=np.float32).reshape(-1)
        assert np.isfinite(values).all(), name
        with open(os.path.join(folder, name + ".bin"), "wb") as f:
            f.write(b"FHDT" + struct.pack("<II", raw.size, values.size) + raw.tobytes() + values.tobytes())


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--check":
        test = os.environ.get("TEST_TENSOR", "build/release/src/core/tensor/test_tensor")
        for seed in range(1000, 1000 + int(sys.argv[2])):
            with tempfile.TemporaryDirectory() as folder:
                write(folder, seed)
                subprocess.run([test, "--gtest_filter=Codecs.ExpandAsTheReferenceDoes", "--gtest_brief=1"], check=True,
                               env=dict(os.environ, FREEHOLD_DTYPE_VECTORS=folder))
        print(sys.argv[2], "fresh sets of every format: bit-equal")
    else:
        write(os.path.join(os.path.dirname(__file__), "..", "golden", "dtype"), 7)
