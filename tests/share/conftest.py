# Bundles that all tests of this folder share: made once by the program, of the story model and of a made-up Hugging Face
# folder with everything that people can state.
import dataclasses
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STORIES = ROOT / "tests" / "data" / "stories260K"


@dataclasses.dataclass
class Freehold:
    home: pathlib.Path

    def __call__(self, *arguments, code=0, environment=None):
        """Runs the program; fails unless it ends with that code (None: any). The answer has .out, .err and .code."""
        done = subprocess.run([os.environ["FREEHOLD_PROGRAM"], *map(str, arguments)], capture_output=True, text=True,
                              env={**os.environ, "FREEHOLD_HOME": str(self.home), **(environment or {})})
        if code is not None:
            assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        done.out, done.err, done.code = done.stdout, done.stderr, done.returncode
        return done

    def verify(self, bundle, key, code=0):
        return json.loads(self("verify", bundle, "--key", key, "--json", code=code).out)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("share")


@pytest.fixture(scope="session")
def freehold(folder):
    return Freehold(folder / "home")


@pytest.fixture(scope="session")
def key(freehold, folder):
    freehold("signing-key", folder / "team.key")
    return folder / "team.key"


@pytest.fixture(scope="session")
def public(key):
    return pathlib.Path(str(key) + ".pub")


@pytest.fixture(scope="session")
def facts(folder):
    """Every key of the form, filled."""
    (folder / "train.csv").write_text("text,label\nOnce upon a time,1\nThere was a fox,2\n")
    (folder / "test.jsonl").write_text('{"text": "x"}\n')
    form = {
        "version": "1.0", "release_date": "2026-01-02", "supplier": "Example House", "supplier_url": "https://example.org",
        "supplier_contact": "mail@example.org", "download_url": "https://example.org/model", "description": "A tiny model.",
        "uses": "Tests of documents.", "out_of_scope": "Everything else.", "limitations": "It knows nothing.",
        "bias": "Towards foxes: \"quoted\", a | bar and a\nsecond line.", "recommendations": "Do not rely on it.",
        "training_data": "Stories.", "training_procedure": "Gradient descent.", "preprocessing": "None.",
        "hyperparameters": "lr 1e-3", "evaluation": "By eye.", "environment": "One laptop.", "energy_kwh": "0.5",
        "citation": "None.", "authors": "A. Person", "approach": "self-supervised", "languages": ["en", "no"],
        "datasets": [
            {"name": "stories", "url": "https://example.org/stories", "description": "Stories.", "licence": "cc0-1.0",
             "version": "1.0.0", "published": "2025-12-31", "creator": "Example House", "relation": "trained on",
             "types": ["text"], "files": [{"name": "train.csv", "path": "train.csv", "columns": ["text", "label"]}]},
            {"name": "held out: ü/æ", "url": "https://example.org/test", "description": "For tests.", "licence": "My own",
             "version": "1.0.0", "published": "2025-12-31", "creator": "Example House", "relation": "tested on",
             "types": ["text"], "files": [{"name": "test.jsonl", "path": "test.jsonl", "columns": ["text"]}]},
        ],
        "results": [{"task": "text-generation", "dataset": "held out", "dataset_type": "held-out", "split": "test",
                     "metric": "perplexity", "value": 5.25}],
        "training_content": {"1.1.provider": "Example House", "2.3.used": "No.", "3.1.code": "No."},
    }
    path = folder / "facts.json"
    path.write_text(json.dumps(form))
    return path


def write_safetensors(path):
    header = {"embed.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<4f", 1, 2, 3, 4))


@pytest.fixture(scope="session")
def model(folder):
    """A folder as the Hub holds them, with a licence text, a card and awkward names."""
    at = folder / "model"
    at.mkdir()
    write_safetensors(at / "model.safetensors")
    (at / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (at / "tokenizer.json").write_text("{}")
    shutil.copy(ROOT / "LICENSE", at / "LICENSE")
    (at / "README.md").write_text(
        "---\nlicense: apache-2.0\nlanguage: [en]\nlibrary_name: transformers\npipeline_tag: text-generation\n"
        "base_model:\n- someone/base\nbase_model_relation: finetune\ndatasets:\n- someone/named-only\ntags: [a, b]\n---\n# Card\n")
    (at / "notes.txt").write_text("notes")
    (at / "notes").mkdir()
    (at / "notes" / "ünï cödé.txt").write_text("sorted by bytes, not by parts")
    (at / "empty.txt").write_text("")
    return at


@pytest.fixture(scope="session")
def full(freehold, folder, model, key, facts):
    """Everything is stated."""
    freehold("pack", model, "-o", folder / "full", "--key", key, "--facts", facts)
    return folder / "full"


@pytest.fixture(scope="session")
def bare(freehold, folder, key):
    """Nothing is stated, and the weights came alone into the store."""
    freehold("pull", STORIES / "stories260K.bin", "--as", "stories:1", "--no-panels")
    freehold("pack", "stories:1", "-o", folder / "bare", "--key", key)
    return folder / "bare"


@pytest.fixture(scope="session")
def bundles(full, bare, freehold, folder, key):
    found = {"full": full, "bare": bare}
    real = pathlib.Path(os.environ.get("FREEHOLD_TEST_MODELS", "")) / "smollm2.gguf"
    if os.environ.get("FREEHOLD_TEST_MODELS") and real.exists():
        freehold("pull", real.resolve(), "--as", "smollm2:real", "--link", "--no-panels")
        freehold("pack", "smollm2:real", "-o", folder / "real", "--key", key)
        found["real"] = folder / "real"
    return found


def signs(*arguments):
    """The reference implementation."""
    return subprocess.run([sys.executable, "-m", "model_signing", *map(str, arguments)], capture_output=True, text=True)
