#!/usr/bin/env python3
"""Writes tests/golden/hdf5: small HDF5 files for the scanner, made by h5py (its own C library, not by anything here).

Run again:  python3 tests/oracle/hdf5_files.py      (h5py 3.16, numpy; the files hold no dates)
Nothing in them is ever run; the pickle in one of them names os.system and is only text to us.
"""
import json
import os
import pathlib

import h5py
import numpy as np

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "hdf5"
OUT.mkdir(parents=True, exist_ok=True)
os.chdir(OUT)
PICKLE = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."


def layers(kind):
    return json.dumps(
        {
            "class_name": "Sequential",
            "config": {
                "name": "net",
                "layers": [
                    {"class_name": "Dense", "module": "keras.layers", "config": {"units": 4}},
                    {"class_name": kind, "module": "keras.layers", "config": {"function": ["4wEAAAAA", None, None]}},
                ],
            },
        }
    )


# In the newer layout more than eight members of a group lie in a heap, which is only searched.
def keras(name, config, **how):
    with h5py.File(name, "w", **how) as f:
        f.attrs["model_config"] = config
        f.attrs["keras_version"] = "2.15.0"
        f.attrs["backend"] = "tensorflow"
        weights = f.create_group("model_weights")
        for i in range(5 if "libver" in how else 12):
            layer = weights.create_group(f"dense_{i}/dense_{i}")
            layer.create_dataset("kernel:0", data=np.arange(16, dtype="f4").reshape(4, 4))
            layer.create_dataset("bias:0", data=np.zeros(4, "f4"))
            weights[f"dense_{i}"].attrs["weight_names"] = [b"kernel:0", b"bias:0"]


keras("keras.h5", layers("Dense"))
keras("keras_latest.h5", layers("Dense"), libver="latest")
keras("keras_block.h5", layers("Dense"), userblock_size=512)
# The class is spelt with an escape, so that a search for it finds nothing.
keras("lambda.h5", layers("Lambda").replace("Lambda", "L\\u0061mbda"))
keras("lambda_fixed.h5", np.bytes_(layers("Lambda").replace("Lambda", "L\\u0061mbda")))
keras("lambda_latest.h5", layers("Lambda").replace("Lambda", "L\\u0061mbda"), libver="latest")
keras("lambda_block.h5", layers("Lambda").replace("Lambda", "L\\u0061mbda"), userblock_size=1024)
with h5py.File("lambda_deep.h5", "w") as f:
    f.create_group("a/b/c").attrs["config"] = layers("Lambda").replace("Lambda", "L\\u0061mbda")
with h5py.File("pickle.h5", "w") as f:
    f.create_dataset("x", data=np.zeros(3)).attrs["state"] = np.void(PICKLE)
with h5py.File("link.h5", "w") as f:
    f["weights"] = h5py.ExternalLink("/etc/passwd", "/")
with h5py.File("link_latest.h5", "w", libver="latest") as f:
    f["weights"] = h5py.ExternalLink("../secret.h5", "/x")
with h5py.File("external.h5", "w") as f:
    f.create_dataset("w", (16,), "u1", external=[("/etc/passwd", 0, 16)])
with h5py.File("virtual.h5", "w", libver="latest") as f:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "d", (4,))
    f.create_virtual_dataset("v", layout)
with h5py.File("soft.h5", "w") as f:
    f.create_dataset("a", data=np.zeros(2))
    f["b"] = h5py.SoftLink("/a")
with h5py.File("packed_numbers.h5", "w") as f:
    f.create_dataset("a", data=np.zeros((64, 64), "f4"), chunks=(16, 16), compression="gzip", shuffle=True)
with h5py.File("packed_texts.h5", "w") as f:
    f.create_dataset("a", data=np.array([b"hello"] * 400), chunks=(100,), compression="gzip")
# Types that are objects of their own, and texts in packed pieces.
LAMBDA = layers("Lambda").replace("Lambda", "L\\u0061mbda").encode()
for name, text in (("shared_type.h5", layers("Dense").encode()), ("lambda_shared.h5", LAMBDA)):
    with h5py.File(name, "w") as f:
        f["type"] = np.dtype(f"S{len(text)}")
        f.attrs.create("config", np.bytes_(text), dtype=f["type"])
        f.create_dataset("x", data=np.zeros(2))


def packed(name, texts, libver=None, **how):
    with h5py.File(name, "w", **({"libver": libver} if libver else {})) as f:
        f.create_dataset("texts", data=texts, compression="gzip", **how)


packed("packed_one.h5", np.array([b"a text that says nothing"] * 30), "latest", chunks=(30,))
packed("lambda_packed.h5", np.array([b"x", LAMBDA, b"y"] * 3), chunks=(2,), shuffle=True, fletcher32=True)
packed("lambda_packed_one.h5", np.array([b"x", LAMBDA]), "latest", chunks=(2,), shuffle=True)
packed("lambda_packed_any.h5", np.array([LAMBDA.decode(), "x"], dtype=object), chunks=(1,), dtype=h5py.string_dtype())
packed("pickle_packed.h5", np.array([b"\0" * 80, PICKLE + b"." * 60]).astype("V80"), chunks=(1,))
packed("packed_latest.h5", np.array([b"hello"] * 400), "latest", chunks=(100,), maxshape=(None,))
with h5py.File("packed_otherwise.h5", "w") as f:
    f.create_dataset("texts", data=np.array([b"hello"] * 400), chunks=(100,), compression="lzf")
with h5py.File("many_attributes.h5", "w", libver="latest") as f:
    for i in range(40):
        f.attrs[f"a{i}"] = "some text"
for path in sorted(OUT.glob("*.h5")):
    print(path.name, path.stat().st_size)

# Small seeds for the fuzz target; one turned letter makes the first hostile.
SEEDS = OUT.parent.parent.parent / "fuzz" / "corpus" / "hdf5"
SEEDS.mkdir(parents=True, exist_ok=True)
for name, how in (("earliest.h5", {}), ("latest.h5", {"libver": "latest"})):
    with h5py.File(SEEDS / name, "w", **how) as f:
        f.attrs["model_config"] = '{"class_name": "Lambdo"}'
        f.create_dataset("g/x", data=np.zeros(2)).attrs["n"] = np.bytes_(b'{"class_name": "Dense"}')
with h5py.File(SEEDS / "tiny.h5", "w", libver="latest") as f:
    f.attrs["c"] = np.bytes_(b'{"class_name": "Lambdo"}')
for name in ("link_latest.h5", "soft.h5", "virtual.h5", "packed_one.h5", "packed_texts.h5", "shared_type.h5"):
    (SEEDS / name).write_bytes((OUT / name).read_bytes())
