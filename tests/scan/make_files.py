"""Writes harmless model files as their own libraries write them, for the scanner to find nothing in; and a folder of
hostile ones, made of bytes, whose report is then held against the schema of SARIF."""
import json
import pathlib
import pickle
import sys
import zipfile

import h5py
import joblib
import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import save_file

clean, hostile = (pathlib.Path(p) for p in sys.argv[1:3])
clean.mkdir(parents=True, exist_ok=True)
hostile.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(7)
weights = {f"layer.{i}.weight": rng.standard_normal((64, 64)).astype("f4") for i in range(8)}

save_file(weights, clean / "model.safetensors")
save_file({k: v.astype("f2") for k, v in weights.items()}, clean / "half.safetensors", metadata={"format": "pt"})
np.save(clean / "one.npy", weights["layer.0.weight"])
np.save(clean / "texts.npy", np.array(["a", "b", "c"]))
np.save(clean / "objects.npy", np.array([{"a": 1}, [1, 2], None], dtype=object))
np.savez(clean / "many.npz", **weights)
np.savez_compressed(clean / "packed.npz", **weights)
for protocol in range(6):
    (clean / f"arrays{protocol}.pkl").write_bytes(pickle.dumps({"w": weights, "step": 3, "names": list(weights)}, protocol))
    joblib.dump(weights, clean / f"arrays{protocol}.joblib", protocol=protocol)
for how in ("zlib", "gzip", "bz2", "lzma", "xz"):
    joblib.dump(weights, clean / f"arrays.{how}.joblib", compress=(how, 3))
(clean / "generator.pkl").write_bytes(pickle.dumps(rng))

with h5py.File(clean / "model.weights.h5", "w") as f:
    for name, value in weights.items():
        f.create_dataset("layers/" + name.replace(".", "/"), data=value)
with h5py.File(clean / "legacy.h5", "w") as f:
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 8}}] * 200}}
    f.attrs["model_config"] = json.dumps(config)
    f.attrs["keras_version"] = "2.15.0"
    for name, value in weights.items():
        f.create_dataset(name, data=value, compression="gzip")
with zipfile.ZipFile(clean / "model.keras", "w") as z:
    z.writestr("metadata.json", json.dumps({"keras_version": "3.6.0"}))
    z.writestr("config.json", json.dumps({"module": "keras", "class_name": "Sequential", "registered_name": None,
                                          "config": {"layers": [{"module": "keras.layers", "class_name": "Dense",
                                                                 "config": {"units": 8}, "registered_name": None}]}}))
    z.write(clean / "model.weights.h5", "model.weights.h5")

x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])
w = helper.make_tensor("w", TensorProto.FLOAT, [64, 64], weights["layer.0.weight"].tobytes(), raw=True)
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])], "g",
                          [x], [y], [w])
model = helper.make_model(graph, producer_name="a test")
onnx.save(model, clean / "model.onnx")
onnx.save(model, clean / "outside.onnx", save_as_external_data=True, location="outside.bin", size_threshold=0)
own = helper.make_function("its.own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
                           [helper.make_opsetid("", 17)])
graph = helper.make_graph([helper.make_node("Twice", ["x"], ["y"], domain="its.own")], "g", [x], [y])
onnx.save(helper.make_model(graph, functions=[own], opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("its.own", 1)]),
          clean / "functions.onnx")

# What is told of them: findings with lines, offsets, members; gaps; names that are no plain ASCII.
call = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."
(hostile / "a b").mkdir(exist_ok=True)
(hostile / "a b" / "modèl é%20 #?.pkl").write_bytes(call)
with zipfile.ZipFile(hostile / "model.pt", "w") as z:
    z.writestr("archive/data.pkl", call)
    z.writestr("../outside", "x")
(hostile / "code.py").write_text("import os\n\n\nos.system('id')\nexec(x)\n")
(hostile / "config.json").write_text('{\n "auto_map": {"AutoModel": "m.M"}\n}\n')
(hostile / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ ''.__class__ }}"}))
(hostile / "cut.pkl").write_bytes(b"\x80\x04\x95" + bytes(8) + b"(")
(hostile / "unknown.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
if not (hostile / "link").is_symlink():
    (hostile / "link").symlink_to("/etc/hostname")
