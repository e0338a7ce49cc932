"""Writes three small models for reports on openness: one whose card claims what its files contradict, bare weights, and one
with a name and files that are no plain ASCII."""
import json
import pathlib
import struct
import sys

root = pathlib.Path(sys.argv[1])


def weights(path):
    header = json.dumps({"embed.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<4f", 1, 2, 3, 4))


for name in ("claims", "bare", "a b"):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    weights(folder / "model.safetensors")
claims = root / "claims"
(claims / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
(claims / "README.md").write_text(
    "---\nlicense: llama3.1\ndatasets: [someone/named-only]\n---\n# Fully open source\n\nThis fully open, fully reproducible "
    "model comes with \"all\" training data,\nlogs & checkpoints: 100 % open source AI.\n")
(claims / "LICENSE").write_text("You may not use this for anything that I do not like.\n")
(claims / "train.py").write_text("# soon\n")
odd = root / "a b"
(odd / "modèl é%20 #?.md").write_text("---\nlicense: mit\n---\n# Ünï: open weights\n")
(odd / "README.md").write_text("---\nlicense: mit\n---\n# 模型\n\nopen source 模型, \u0007 and a \u2028 line.\n")
(odd / "eval results").mkdir(exist_ok=True)
(odd / "eval results" / "scores é.json").write_text('{"arc": 0.5}')
