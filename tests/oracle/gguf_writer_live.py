#!/usr/bin/env python3
"""Reads a file of our GGUF writer with the reference reader (PyPI gguf). Live check, nothing is committed.
Run: python tests/oracle/gguf_writer_live.py build/release/src/core/formats/test_formats"""
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np

KEYS = {
    "general.alignment": 64, "general.architecture": "llama", "sample.u32": 4000000000, "sample.i32": -5, "sample.i64": -(2**40),
    "sample.u64": 2**64 - 1, "sample.u16": 9, "sample.f32": 0.5, "sample.f64": 0.1, "sample.flag": True, "sample.text": "Grüße",
    "sample.texts": ["a", "", "ü"], "sample.ints": [1, -2], "sample.reals": [0.25, -3.0], "sample.flags": [True, False],
}
TYPES = {"sample.u32": "UINT32", "sample.i32": "INT32", "sample.i64": "INT64", "sample.u64": "UINT64", "sample.u16": "UINT16",
         "sample.f32": "FLOAT32", "sample.f64": "FLOAT64", "sample.flag": "BOOL", "sample.text": "STRING", "sample.texts": "ARRAY"}

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "sample.gguf")
    subprocess.run([sys.argv[1], "--gtest_filter=GgufWriterTest.WritesASampleForOtherReaders"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "FREEHOLD_SAMPLE_OUT": path})
    reader = gguf.GGUFReader(path)
    keys = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    assert keys == KEYS, keys
    for name, kind in TYPES.items():
        assert reader.fields[name].types[0].name == kind, (name, reader.fields[name].types)
    tensors = {t.name: t for t in reader.tensors}
    assert list(tensors) == ["m", "v", "q"]
    assert np.array_equal(tensors["m"].data, np.arange(6, dtype=np.float32).reshape(2, 3))
    assert np.array_equal(tensors["v"].data, np.arange(5, 10, dtype=np.float32))
    assert tensors["q"].tensor_type.name == "Q4_K" and list(tensors["q"].shape) == [512, 2]
    assert all(t.data_offset % 64 == 0 for t in reader.tensors)
print(f"{len(KEYS)} keys and {len(tensors)} tensors read back by gguf's own reader")
