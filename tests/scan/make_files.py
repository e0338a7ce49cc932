"""Writes harmless model files as their own libraries write them, for the scanner to find nothing in; and a folder of
hostile ones, made of bytes, whose report is then held against the schema of SARIF."""
import collections
import datetime
import json
import pathlib
import pickle
import sys
import tarfile
import zipfile

import cloudpickle
import gguf
import h5py
import joblib
import numpy as np
import onnx
import sentencepiece
import skops.io
import sklearn.preprocessing
import tokenizers
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

# Formats of further tools: GGUF, tokenizers, arrays and archives as their own libraries write them.
writer = gguf.GGUFWriter(str(clean / "small.gguf"), "llama")
writer.add_name("A test: {{ no template }}")
writer.add_context_length(128)
writer.add_tokenizer_model("gpt2")
writer.add_token_list(["<s>", "</s>", "import os", "os.system", "eval(", "__class__", "\u202e"] + [chr(i) for i in range(33, 127)])
writer.add_chat_template("{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% endfor %}")
for name, value in weights.items():
    writer.add_tensor(name, value)
    writer.add_tensor(name + ".q8", gguf.quants.quantize(value, gguf.GGMLQuantizationType.Q8_0),
                      raw_dtype=gguf.GGMLQuantizationType.Q8_0)
for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
    step()

words = ["the model reads a file and says what is in it", "import os and call system: that is only text here",
         "subprocess, eval, exec, __import__ and pickle.loads are words of a vocabulary"] * 20
for kind, model, trainer in (
        ("bpe", tokenizers.models.BPE(), tokenizers.trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>"])),
        ("wordpiece", tokenizers.models.WordPiece(unk_token="[UNK]"),
         tokenizers.trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]", "[CLS]"])),
        ("unigram", tokenizers.models.Unigram(), tokenizers.trainers.UnigramTrainer(vocab_size=120, special_tokens=["<s>"]))):
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(words, trainer)
    tokenizer.save(str(clean / f"{kind}_tokenizer.json"))
sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(words), model_prefix=str(clean / "pieces"), vocab_size=70,
                                         model_type="bpe", minloglevel=2)

(clean / "bfloat.pkl").write_bytes(pickle.dumps(weights["layer.0.weight"].astype("f8"), 4))
record = np.zeros(8, dtype=[("name", "S16"), ("at", "i8"), ("values", "f4", (3,))])
np.save(clean / "record.npy", record)
np.save(clean / "turned.npy", np.asfortranarray(weights["layer.1.weight"]))
np.savez(clean / "kinds.npz", a=np.arange(3), b=np.array("text"), c=np.array([1 + 2j]), d=np.array(["2024-01-01"], "M8[D]"))
(clean / "containers.pkl").write_bytes(pickle.dumps(
    [collections.OrderedDict(a=1), collections.defaultdict(list, a=[1]), {1, 2}, frozenset("ab"), (1, 2.5, None, True),
     b"bytes" * 40, bytearray(b"more"), "cos\nsystem\n is text", 2**200, complex(1, 2), datetime.date(2024, 1, 1),
     np.float32(1.5), np.random.PCG64(3).state], 5))
shared = {"w": weights["layer.0.weight"]}
(clean / "shared.pkl").write_bytes(pickle.dumps([shared] * 50 + [weights["layer.0.weight"].T], 5))
(clean / "cloud.pkl").write_bytes(cloudpickle.dumps(weights))

for how, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED), ("bzip2", zipfile.ZIP_BZIP2),
                    ("lzma", zipfile.ZIP_LZMA)):
    with zipfile.ZipFile(clean / f"{how}.zip", "w", method) as z:
        z.comment = b"made by a test; " * 8
        for file in ("one.npy", "arrays4.pkl", "bpe_tokenizer.json", "small.gguf"):
            z.write(clean / file, "model/" + file)
for how in ("", ":gz", ":bz2", ":xz"):
    with tarfile.open(clean / f"folder.tar{how.replace(':', '.')}", "w" + how) as t:
        for file in ("model.safetensors", "arrays2.pkl", "pieces.model"):
            t.add(clean / file, "a folder/" + file)

with h5py.File(clean / "many_ways.h5", "w") as f:
    f["type"] = np.dtype("S40")
    f.attrs.create("note", np.bytes_("nothing of note"), dtype=f["type"])
    f.create_dataset("names", data=np.array([b"a name", b"another"] * 50), chunks=(25,), compression="gzip", shuffle=True)
    f.create_dataset("texts", data=np.array(["eine", "zwei"], dtype=object), dtype=h5py.string_dtype(), chunks=(2,),
                     compression="gzip")
    f.create_dataset("grows", data=weights["layer.2.weight"], maxshape=(None, 64), chunks=True, compression="lzf")
    f["soft"] = h5py.SoftLink("/grows")
    f.create_dataset("rows", data=record)
    f.attrs["reference"] = f["rows"].ref

scaler = sklearn.preprocessing.StandardScaler().fit(weights["layer.0.weight"])
skops.io.dump(scaler, clean / "scaler.skops")
(clean / "onnx_branches.onnx").write_bytes(helper.make_model(helper.make_graph(
    [helper.make_node("If", ["c"], ["y"], then_branch=helper.make_graph([helper.make_node("Identity", ["x"], ["t"])], "then", [], [
        helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, 64])]), else_branch=helper.make_graph(
            [helper.make_node("Neg", ["x"], ["e"])], "else", [], [helper.make_tensor_value_info("e", TensorProto.FLOAT, [1, 64])]))],
    "g", [x, helper.make_tensor_value_info("c", TensorProto.BOOL, [])], [y])).SerializeToString())

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
