# What clients send to be made into a model is looked at like what is pulled: a hostile file becomes no model.
import hashlib
import json
import pathlib
import struct

import requests


def gguf(template):
    """A GGUF file of one small tensor, with a chat template."""
    def text(s):
        data = s.encode()
        return struct.pack("<Q", len(data)) + data
    meta = b"".join(text(key) + struct.pack("<I", 8) + text(value) for key, value in
                    (("general.architecture", "llama"), ("tokenizer.chat_template", template)))
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + meta
    head += text("token_embd.weight") + struct.pack("<IQQIQ", 2, 8, 4, 0, 0)
    head += b"\0" * (-len(head) % 32)
    return head + b"\0" * 128


def send(server, data, name):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    reply = requests.post(f"{server.url}/api/blobs/{digest}", data=data, headers=server.headers(), timeout=60)
    assert reply.status_code in (200, 201), reply.text
    return requests.post(server.url + "/api/create", headers=server.headers(), timeout=60,
                         json={"model": name, "stream": False, "files": {"model.gguf": digest}})


def names(server):
    return requests.get(server.url + "/api/tags", headers=server.headers(), timeout=60).text


def test_hostile_uploads_become_no_models(server):
    reply = send(server, gguf("{{ ''.__class__.__mro__[1].__subclasses__() }}"), "hostile")
    assert reply.status_code == 403, reply.text
    assert "template.escape" in reply.text and "quarantine" in reply.text, reply.text
    assert "hostile" not in names(server)
    home = pathlib.Path(server.log).parent
    reports = list((home / "quarantine").glob("hostile-*/report.json"))
    assert len(reports) == 1, list(home.rglob("*"))
    assert json.loads(reports[0].read_text())["outcome"] == "finding"
    assert (reports[0].parent / "files" / "model.gguf").exists()
    reply = send(server, gguf("{% for m in messages %}{{ m['content'] }}{% endfor %}"), "harmless")
    assert reply.status_code == 200, reply.text
    assert "harmless" in names(server)
    requests.delete(server.url + "/api/delete", json={"model": "harmless"}, headers=server.headers(), timeout=60)
