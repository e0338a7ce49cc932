# An adapter that is recalled while a server has it in memory: the signed advisory is imported beside the running server,
# and from then on MODEL+ADAPTER is refused in every dialect, the model below and its other adapters not.
import json
import os
import re
import signal
import struct
import subprocess
import time

import pytest
import requests
from conftest import STORIES

TALK = {"messages": [{"role": "user", "content": "Once"}], "max_tokens": 2}
ASKED = {"/v1/completions": {"prompt": "Once", "max_tokens": 2}, "/v1/chat/completions": TALK, "/v1/messages": TALK,
         "/v1/responses": {"input": "Once", "max_output_tokens": 16}, "/api/generate": {"prompt": "Once"}, "/api/chat": TALK}


def write_adapter(folder, strength):
    """A PEFT folder for the story model: rank 2 on one projection of the first layer."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "base_model_name_or_path": "tiny/stories"}))
    at = "base_model.model.model.layers.0.self_attn.q_proj."
    shapes = {at + "lora_A.weight": [2, 64], at + "lora_B.weight": [64, 2]}
    header, data = {}, b""
    for name, shape in shapes.items():
        numbers = [strength * ((i * 37 % 101) / 50 - 1) for i in range(shape[0] * shape[1])]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(numbers)]}
        data += struct.pack(f"<{len(numbers)}f", *numbers)
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The program with a home of its own, a served model with two adapters, and its address."""
    work = tmp_path_factory.mktemp("recall")
    environment = {**os.environ, "FREEHOLD_HOME": str(work / "home")}

    def freehold(*arguments):
        done = subprocess.run([os.environ["FREEHOLD_PROGRAM"], *map(str, arguments)], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    freehold("pull", STORIES, "--as", "stories", "--no-panels")
    for name, strength in (("notes", 0.3), ("letters", 0.5)):
        write_adapter(work / name, strength)
        freehold("pull", work / name, "--as", name, "--base", "stories")
    freehold("signing-key", work / "key")
    freehold("advisory", "trust", str(work / "key") + ".pub", "--name", "acme")
    log = work / "log"
    process = subprocess.Popen([os.environ["FREEHOLD_PROGRAM"], "serve", "--models", "stories", "--listen", "127.0.0.1:0"],
                               stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment)
    try:
        for _ in range(600):
            found = re.search(r"serves at (http://\S+)", log.read_text())
            if found and "loaded in" in log.read_text():
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield work, freehold, found.group(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()[-4000:]
    finally:
        if process.poll() is None:
            process.kill()


def ask(url, path, model):
    return requests.post(url + path, timeout=60, json={"model": model, "stream": False, **ASKED[path]})


def test_a_recalled_adapter_is_refused_while_it_is_served(made):
    work, freehold, url = made
    assert ask(url, "/v1/completions", "stories+notes").status_code == 200
    freehold("advisory", "create", "notes", "--id", "x_ACME-2026-1", "--summary", "Gives names away", "-o", work / "a.json")
    freehold("advisory", "sign", work / "a.json", "--key", work / "key", "-o", work / "signed.json")
    # Written is not told.
    assert ask(url, "/v1/completions", "stories+notes").status_code == 200
    freehold("advisory", "import", work / "signed.json")
    until = time.monotonic() + 30  # what a server knows of ancestors it may keep for some seconds
    while ask(url, "/v1/completions", "stories+notes").status_code == 200 and time.monotonic() < until:
        time.sleep(0.2)
    for path in ASKED:
        for model in ("stories+notes", "stories:latest+notes:latest"):
            reply = ask(url, path, model)
            assert reply.status_code == 403 and "x_ACME-2026-1" in reply.text, f"{path} {model}: {reply.status_code} {reply.text}"
    for model in ("stories", "stories+letters"):
        assert ask(url, "/v1/completions", model).status_code == 200, model
