"""Push and pull against a real registry. Run by tests/registry/run."""

import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support import Freehold, Proxy, Registry, TokenServer, call, gguf, put_blob, put_manifest, sha256  # noqa: E402

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MODEL = "application/vnd.cncf.model.manifest.v1+json"
ROUNDS = int(os.environ.get("FREEHOLD_CRASH_ROUNDS", "3"))


class Skip(Exception):
    pass


class World:
    """One registry, one store with a model of 40 MB, for all tests; names in the registry are each test's own."""

    def __init__(self, program, registry_program):
        self.program, self.registry_program = program, registry_program
        self.kept = tempfile.TemporaryDirectory(prefix="freehold-registry-")
        self.folder = pathlib.Path(self.kept.name)
        self.registry = Registry(registry_program, self.folder / "registry")
        self.model = gguf(self.folder / "big.gguf", 40, 1)
        self.mine = Freehold(program, self.folder / "mine")
        self.mine.run("pull", self.model, "--as", "team/big:v1", "--quiet")
        self.small = self.folder / "small"
        self.homes = 0

    def other(self, **environment):
        self.homes += 1
        return Freehold(self.program, self.folder / f"home{self.homes}", **environment)

    def stop(self):
        self.registry.stop()
        self.kept.cleanup()


def manifest_of(host, name, version):
    status, headers, data = call(host, "GET", f"/v2/{name}/manifests/{version}", headers={"Accept": MANIFEST})
    assert status == 200, (status, data)
    assert headers["docker-content-digest"] == sha256(data)
    return json.loads(data)


def test_push_is_read_by_plain_http(w):
    host = w.registry.host
    result = w.mine.json("push", "team/big:v1", f"oci:{host}/plain/big:v1")
    assert result["bytes_sent"] > 40 << 20 and not result["was_present"]
    manifest = manifest_of(host, "plain/big", "v1")
    assert manifest["artifactType"] == MODEL and manifest["mediaType"] == MANIFEST
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert manifest["annotations"]["org.opencontainers.image.licenses"] == "mit"
    # As an ORAS client does: every layer by its title.
    for layer in manifest["layers"]:
        title = layer["annotations"]["org.opencontainers.image.title"]
        assert layer["annotations"]["org.cncf.model.filepath"] == title
        status, _, data = call(host, "GET", f"/v2/plain/big/blobs/{layer['digest']}")
        assert status == 200 and sha256(data) == layer["digest"] and len(data) == layer["size"]
        assert data == w.model.read_bytes()
    # curl itself, and nothing that is private to this machine.
    text = subprocess.run(
        ["curl", "-sS", "-H", f"Accept: {MANIFEST}", f"http://{host}/v2/plain/big/manifests/v1"],
        capture_output=True,
        check=True,
    ).stdout
    assert json.loads(text) == manifest
    assert str(w.folder).encode() not in text


def test_linked_paths_stay_here(w):
    home = w.other()
    home.run("pull", w.model, "--as", "linked", "--link", "--quiet")
    home.run("push", "linked", f"oci:{w.registry.host}/plain/linked:v1", "--quiet")
    assert str(w.folder) not in json.dumps(manifest_of(w.registry.host, "plain/linked", "v1"))


def test_second_push_sends_nothing(w):
    to = f"oci:{w.registry.host}/again/big"
    w.mine.run("push", "team/big:v1", to + ":v1", "--quiet")
    again = w.mine.json("push", "team/big:v1", to + ":v1")
    assert again["was_present"] and again["bytes_sent"] == 0
    other = w.mine.json("push", "team/big:v1", to + ":v2")
    assert other["bytes_sent"] == 0 and other["bytes_present"] > 40 << 20


def test_neighbours_are_mounted(w):
    host = w.registry.host
    w.mine.run("push", "team/big:v1", f"oci:{host}/first/big:v1", "--quiet")
    proxy = Proxy(w.registry)
    result = w.mine.json("push", "team/big:v1", f"oci:{proxy.host}/second/big:v1", "--mount-from", "first/big")
    proxy.stop()
    assert result["bytes_mounted"] > 40 << 20 and result["bytes_sent"] == 0, result
    assert proxy.up < 1 << 20


def test_pull_on_an_empty_store(w):
    host = w.registry.host
    pushed = w.mine.json("push", "team/big:v1", f"oci:{host}/round/big:v1")
    home = w.other()
    output, errors = home.run("pull", f"oci:{host}/round/big:v1")
    assert "round/big:v1 is ready" in output, output
    assert home.files("round/big:v1") == w.mine.files("team/big:v1")
    shown = home.model("round/big:v1")
    assert shown["source"] == f"oci:{host}/round/big:v1" and shown["source_revision"] == pushed["digest"], shown
    assert shown["licence"]["id"] == "mit"
    again, _ = home.run("pull", f"oci:{host}/round/big:v1")
    assert "was here already" in again
    by_digest = home.json("pull", f"oci:{host}/round/big@{pushed['digest']}", "--as", "pinned")
    assert by_digest["name"] == "pinned:latest"
    # What was pulled can be pushed again, and stays what it was.
    back = home.json("push", "round/big:v1", f"oci:{host}/round/copy:v1")
    assert back["bytes_sent"] < 1 << 20, back
    home.run("pull", f"oci:{host}/round/none:v1", code=3)


def test_pull_goes_on_after_kill(w):
    w.mine.run("push", "team/big:v1", f"oci:{w.registry.host}/killed/pull:v1", "--quiet")
    proxy = Proxy(w.registry)
    proxy.hook = lambda method, path, sent: time.sleep(0.02) if "/blobs/" in path and method == "GET" else None
    home = w.other()
    address = f"oci:{proxy.host}/killed/pull:v1"
    process = home.start("pull", address, "--quiet")
    while proxy.down < 20 << 20:
        time.sleep(0.01)
        assert process.poll() is None, "the pull ended early"
    home.kill(process)
    assert json.loads(home.run("list", "--json")[0]) == []
    first = proxy.down
    proxy.hook = lambda method, path, sent: None
    home.run("pull", address, "--quiet")
    assert proxy.down - first < 25 << 20, f"{proxy.down - first} bytes came again"
    assert home.files("killed/pull:v1") == w.mine.files("team/big:v1")
    proxy.stop()


def test_push_goes_on_after_kill(w):
    # The third part does not reach the registry while the push lives: it stands at a border between parts.
    proxy = Proxy(w.registry)
    wait = threading.Event()
    parts = []

    def hook(method, path, sent):
        if method == "PATCH" and sent == 0:
            parts.append(path)
            if len(parts) == 3:
                wait.wait(60)
                return "cut"
        return None

    proxy.hook = hook
    process = w.mine.start("push", "team/big:v1", f"oci:{proxy.host}/killed/push:v1", "--chunk", "8", "--quiet")
    while len(parts) < 3:
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()
    time.sleep(0.3)
    w.mine.kill(process)
    wait.set()
    status, _, _ = call(w.registry.host, "GET", "/v2/killed/push/manifests/v1")
    assert status == 404, "a name leads to a model that is not whole"
    before = proxy.up
    proxy.hook = lambda method, path, sent: None
    result = w.mine.json("push", "team/big:v1", f"oci:{proxy.host}/killed/push:v1", "--chunk", "8")
    assert result["bytes_resumed"] == 16 << 20, result
    assert proxy.up - before < 25 << 20
    home = w.other()
    home.run("pull", f"oci:{w.registry.host}/killed/push:v1", "--quiet")
    assert home.files("killed/push:v1") == w.mine.files("team/big:v1")
    assert not list((w.mine.home / "partial").glob("push-*")), "the note of the push was left behind"
    proxy.stop()


def test_random_kills_of_pushes(w):
    dice = random.Random(6)
    finished = 0
    proxy = Proxy(w.registry)
    proxy.hook = lambda method, path, sent: time.sleep(0.001)
    for i in range(ROUNDS):
        to = f"oci:{proxy.host}/kills/push{i}:v1"
        for _ in range(3):
            process = w.mine.start("push", "team/big:v1", to, "--chunk", "2", "--quiet")
            time.sleep(dice.uniform(0.02, 0.5))
            if process.poll() is None:
                w.mine.kill(process)
            else:
                process.communicate()
                finished += 1
        w.mine.run("push", "team/big:v1", to, "--chunk", "2", "--quiet")
        home = w.other()
        home.run("pull", f"oci:{w.registry.host}/kills/push{i}:v1", "--quiet")
        assert home.files(f"kills/push{i}:v1") == w.mine.files("team/big:v1")
        home.empty()
    assert finished < 3 * ROUNDS, "no push was killed in its middle"
    proxy.stop()


def test_random_kills_of_pulls(w):
    dice = random.Random(7)
    w.mine.run("push", "team/big:v1", f"oci:{w.registry.host}/kills/pull:v1", "--quiet")
    proxy = Proxy(w.registry)
    proxy.hook = lambda method, path, sent: time.sleep(0.002)
    finished = 0
    for _ in range(ROUNDS):
        home = w.other()
        for _ in range(3):
            process = home.start("pull", f"oci:{proxy.host}/kills/pull:v1", "--quiet")
            time.sleep(dice.uniform(0.02, 0.6))
            if process.poll() is None:
                home.kill(process)
            else:
                process.communicate()
                finished += 1
            for model in json.loads(home.run("list", "--json")[0]):
                home.files(model["name"])
        home.run("pull", f"oci:{proxy.host}/kills/pull:v1", "--quiet")
        assert home.files("kills/pull:v1") == w.mine.files("team/big:v1")
        home.empty()
    assert finished < 3 * ROUNDS, "no pull was killed in its middle"
    proxy.stop()


def test_broken_lines_in_both_directions(w):
    proxy = Proxy(w.registry)
    dice = random.Random(8)
    cuts = [3, 40]  # this registry forgets an upload that breaks in the middle of a part, so it is cut twice only

    def hook(method, path, sent):
        if method == "PATCH" and sent > 0 and cuts and proxy.up > cuts[0] << 20:
            cuts.pop(0)
            return "cut"
        return "cut" if method == "GET" and sent > 0 and dice.random() < 0.03 else None

    proxy.hook = hook
    result = w.mine.json("push", "team/big:v1", f"oci:{proxy.host}/broken/big:v1", "--chunk", "1", "--attempts", "20")
    assert result["digest"]
    assert not cuts, "the line never broke"
    home = w.other()
    home.run("pull", f"oci:{proxy.host}/broken/big:v1", "--quiet", "--attempts", "20")
    assert home.files("broken/big:v1") == w.mine.files("team/big:v1")
    proxy.stop()


def nothing_kept(home, name):
    assert json.loads(home.run("list", "--json")[0]) == []
    left = [p for p in home.home.rglob("*") if p.is_file() and p.stat().st_size > 1 << 16]
    assert not left, left


def test_spoiled_blob_is_refused(w):
    host = w.registry.host
    model = gguf(w.folder / "spoil.gguf", 3, 5)
    w.mine.run("pull", model, "--as", "spoil", "--quiet")
    w.mine.run("push", "spoil", f"oci:{host}/spoiled/big:v1", "--quiet")
    digest = w.mine.files("spoil")["spoil.gguf"]
    data = bytearray(w.registry.blob(digest).read_bytes())
    data[2_000_000] ^= 1
    w.registry.blob(digest).write_bytes(data)
    home = w.other()
    _, errors = home.run("pull", f"oci:{host}/spoiled/big:v1", "--quiet", code=4)
    assert "is not what was expected" in errors, errors
    nothing_kept(home, "spoiled/big")
    # Cut short and too long.
    for other in (data[:1000], bytes(data) + b"more"):
        w.registry.blob(digest).write_bytes(other)
        process = home.start("pull", f"oci:{host}/spoiled/big:v1", "--quiet", "--attempts", "1")
        _, errors = process.communicate()
        assert process.returncode in (4, 5, 7), (len(other), process.returncode, errors)
        nothing_kept(home, "spoiled/big")


def test_spoiled_manifest_is_refused(w):
    w.mine.run("push", "team/big:v1", f"oci:{w.registry.host}/spoiled/manifest:v1", "--quiet")
    proxy = Proxy(w.registry)
    proxy.spoil = lambda path, body: body.replace(b"team/big", b"team/bad") if "/manifests/" in path else body
    home = w.other()
    _, errors = home.run("pull", f"oci:{proxy.host}/spoiled/manifest:v1", "--quiet", code=4)
    assert "has the digest" in errors, errors
    proxy.stop()


def test_damaged_model_is_not_pushed(w):
    home = w.other()
    home.run("pull", gguf(w.folder / "rot.gguf", 20, 9), "--as", "rot", "--quiet")
    digest = home.files("rot")["rot.gguf"]
    blob = home.home / "blobs/sha256" / digest.split(":")[1]
    os.chmod(blob, 0o644)
    data = bytearray(blob.read_bytes())
    data[7_000_000] ^= 1
    blob.write_bytes(data)
    _, errors = home.run("push", "rot", f"oci:{w.registry.host}/rot/big:v1", "--quiet", code=4)
    assert "is damaged here" in errors, errors
    status, _, _ = call(w.registry.host, "GET", "/v2/rot/big/manifests/v1")
    assert status == 404


def test_passwords(w):
    folder = w.folder / "basic"
    folder.mkdir()
    # htpasswd -nbB ann secret
    (folder / "htpasswd").write_text("ann:$2y$05$tUitS9zpnmL.w6/jbpM4GeP2PtqrOXDaH26SU77Sjx8R8gQIduGD.\n")
    registry = Registry(w.registry_program, folder / "registry", f"auth:\n  htpasswd: {{realm: r, path: {folder}/htpasswd}}\n")
    to = f"oci:{registry.host}/team/big:v1"
    _, errors = w.mine.run("push", "team/big:v1", to, "--quiet", code=9)
    assert "registries.json" in errors, errors
    own = w.mine.home / "registries.json"
    own.write_text(json.dumps({"auths": {registry.host: {"username": "ann", "password": "secret"}}}))
    own.chmod(0o644)
    _, errors = w.mine.run("push", "team/big:v1", to, "--quiet", code=9)
    assert "chmod 600" in errors, errors
    own.chmod(0o600)
    w.mine.run("push", "team/big:v1", to, "--quiet")
    own.write_text(json.dumps({"auths": {registry.host: {"username": "ann", "password": "wrong"}}}))
    _, errors = w.mine.run("push", "team/big:v1", to, "--quiet", code=9)
    assert "secret" not in errors and "wrong" not in errors
    own.unlink()
    # What docker and oras write.
    docker = folder / "docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": "YW5uOnNlY3JldA=="}}}))
    home = w.other(DOCKER_CONFIG=str(docker))
    home.run("pull", to, "--quiet")
    assert home.files("team/big:v1") == w.mine.files("team/big:v1")
    registry.stop()


def test_tokens(w):
    tokens = TokenServer(w.folder / "tokens")
    tokens.life = 70  # the registry allows a minute more
    registry = Registry(w.registry_program, w.folder / "token-registry", tokens.auth())
    to = f"oci:{registry.host}/team/big:v1"
    _, errors = w.mine.run("push", "team/big:v1", to, "--quiet", code=9)
    assert "lets nobody in without a password" in errors, errors
    home = w.other()
    home.home.mkdir(parents=True)
    secret = home.home / "registries.json"
    secret.write_text(json.dumps({"auths": {registry.host: {"username": "ann", "password": "secret"}}}))
    secret.chmod(0o600)
    home.run("pull", w.model, "--as", "team/big:v1", "--quiet")
    home.run("push", "team/big:v1", to, "--quiet")
    assert any("repository:team/big:pull,push" in q["scope"] for q in tokens.asked), tokens.asked
    home.run("rm", "team/big:v1")
    home.run("pull", to, "--quiet")
    assert "repository:team/big:pull" in tokens.asked[-1]["scope"]
    assert home.files("team/big:v1") == {k.replace("big.gguf", "big.gguf"): v for k, v in w.mine.files("team/big:v1").items()}
    registry.stop()
    tokens.stop()


def test_attachments(w):
    host = w.registry.host
    folder = w.folder / "attach"
    folder.mkdir()
    (folder / "model.sig").write_text('{"signature": 1}')
    (folder / "bom.cdx.json").write_text('{"bomFormat": "CycloneDX"}')
    result = w.mine.json(
        "push", "team/big:v1", f"oci:{host}/attach/big:v1", "--attach", folder / "model.sig", "--attach", folder / "bom.cdx.json"
    )
    assert len(result["attached"]) == 2
    # This registry keeps no referrers, so they stand in an index under a tag.
    index_type = "application/vnd.oci.image.index.v1+json"
    tag = result["digest"].replace(":", "-")
    status, _, data = call(host, "GET", f"/v2/attach/big/manifests/{tag}", headers={"Accept": index_type})
    index = json.loads(data)
    assert status == 200 and {m["artifactType"] for m in index["manifests"]} == {
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.cyclonedx+json",
    }
    for entry in index["manifests"]:
        assert manifest_of(host, "attach/big", entry["digest"])["subject"]["digest"] == result["digest"]
    again = w.mine.json("push", "team/big:v1", f"oci:{host}/attach/big:v1", "--attach", folder / "model.sig")
    assert again["was_present"] and again["attached"][0] in result["attached"]
    home = w.other()
    home.run("pull", f"oci:{host}/attach/big:v1", "--attachments", home.home / "out", "--quiet")
    assert (home.home / "out/model.sig").read_text() == '{"signature": 1}'
    assert (home.home / "out/bom.cdx.json").read_text() == '{"bomFormat": "CycloneDX"}'


def ollama(host, name, layers):
    config = put_blob(host, name, b'{"model_format":"gguf","model_family":"llama","architecture":"amd64","os":"linux"}')
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **config},
        "layers": [{"mediaType": f"application/vnd.ollama.image.{k}", **put_blob(host, name, v)} for k, v in layers],
    }
    return put_manifest(host, name, "latest", manifest)


def test_ollama_layout(w):
    host = w.registry.host
    weights = gguf(w.folder / "o.gguf", 1, 3).read_bytes()
    ollama(
        host,
        "library/tiny",
        [
            ("model", weights),
            ("template", b"{{ .System }} {{ .Prompt }}"),
            ("system", b"You are brief."),
            ("params", b'{"temperature":0.5,"stop":["<end>"]}\n'),
            ("license", b"MIT License\n"),
            ("projector", b"a projector"),
        ],
    )
    home = w.other()
    _, errors = home.run("pull", f"oci:{host}/library/tiny")
    assert "left out is its projector" in errors, errors
    files = home.files("tiny:latest")
    assert files["model.gguf"] == sha256(weights) and "LICENSE" in files
    ollama(host, "library/both", [("model", weights), ("adapter", b"GGUF")])
    _, errors = home.run("pull", f"oci:{host}/library/both", "--quiet", code=4)
    assert "adapter" in errors


def artefact(host, name, files, kind="application/octet-stream"):
    empty = put_blob(host, name, b"{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.example.model",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **empty},
        "layers": [
            {"mediaType": kind, "annotations": {"org.opencontainers.image.title": title}, **put_blob(host, name, data)}
            for title, data in files
        ],
    }
    return put_manifest(host, name, "v1", manifest)


def test_artefacts_of_others(w):
    host = w.registry.host
    weights = gguf(w.folder / "a.gguf", 1, 4).read_bytes()
    artefact(host, "oras/one", [("a.gguf", weights), ("README.md", b"# hello"), ("run.py", b"import os")])
    home = w.other()
    home.run("pull", f"oci:{host}/oras/one:v1", "--quiet")
    assert home.files("oras/one:v1") == {"a.gguf": sha256(weights)}
    artefact(host, "oras/two", [("a.gguf", weights), ("b.gguf", weights)])
    _, errors = home.run("pull", f"oci:{host}/oras/two:v1", "--quiet", code=2)
    assert "#FILE" in errors, errors
    home.run("pull", f"oci:{host}/oras/two:v1#b.gguf", "--as", "chosen", "--quiet")
    artefact(host, "oras/tar", [("a.tar.gz", weights)], "application/vnd.cncf.model.weight.v1.tar+gzip")
    _, errors = home.run("pull", f"oci:{host}/oras/tar:v1", "--quiet", code=4)
    assert "packed" in errors, errors
    for bad in ("../up.gguf", "/etc/up.gguf", "a/../../up.gguf", "a\\b.gguf", ""):
        artefact(host, "oras/bad", [(bad, weights)])
        process = home.start("pull", f"oci:{host}/oras/bad:v1", "--quiet")
        process.communicate()
        assert process.returncode in (3, 4), f"{bad!r}: exit {process.returncode}"
    assert not list(w.folder.rglob("up.gguf"))


def test_advisories(w):
    host = w.registry.host
    folder = w.folder / "advisories"
    folder.mkdir()
    address = f"oci:{host}/recalled/big:v1"
    w.mine.run("signing-key", folder / "acme.key", "--type", "ed25519")
    w.mine.run("advisory", "create", "team/big:v1", "--id", "x_ACME-2026-1", "--summary", "It repeats what it learnt", "-o", folder / "a.json")
    document = json.loads((folder / "a.json").read_text())
    assert document["database_specific"] == {"severity": "high", "action": "recall"}
    signed = folder / "x_ACME-2026-1.advisory.json"
    w.mine.run("advisory", "sign", folder / "a.json", "--key", folder / "acme.key", "-o", signed)
    w.mine.run("push", "team/big:v1", address, "--attach", signed, "--quiet")
    # Who does not know the key is told and not stopped.
    home = w.other()
    _, errors = home.run("pull", address)
    assert "not trusted here" in errors, errors
    _, errors = home.run("advisory", "import", address, code=9)
    assert "advisory trust" in errors, errors
    home.run("advisory", "trust", folder / "acme.key.pub", "--name", "acme")
    home.run("advisory", "import", address)
    hits = json.loads(home.run("advisory", "check", "--json", code=1)[0])
    assert [(h["id"], h["model"], h["signer"]) for h in hits] == [("x_ACME-2026-1", "recalled/big:v1", "acme")], hits
    _, errors = home.run("list")
    assert "recalled, signed by acme" in errors, errors
    _, errors = home.run("run", "recalled/big:v1", "hello", code=9)
    assert "x_ACME-2026-1" in errors, errors
    # A bare copy of the file is the same bytes.
    home.run("run", w.model, "hello", code=9)
    # Who knows the key beforehand never gets it.
    other = w.other()
    other.run("advisory", "trust", folder / "acme.key.pub", "--name", "acme")
    _, errors = other.run("pull", address, "--quiet", code=9)
    assert "was not kept" in errors and json.loads(other.run("list", "--json")[0]) == []
    warned = w.other(FREEHOLD_ADVISORIES="warn")
    warned.run("advisory", "trust", folder / "acme.key.pub", "--name", "acme")
    _, errors = warned.run("pull", address)
    assert "x_ACME-2026-1" in errors
    # Taken back by who said it.
    time.sleep(1.1)
    w.mine.run("advisory", "create", "team/big:v1", "--id", "x_ACME-2026-1", "--summary", "An error", "--withdraw", "-o", folder / "b.json")
    w.mine.run("advisory", "sign", folder / "b.json", "--key", folder / "acme.key", "-o", folder / "b.advisory.json")
    home.run("advisory", "import", folder / "b.advisory.json")
    home.run("advisory", "check")
    output, _ = home.run("advisory", "import", signed)
    assert "older" in output, output


def test_diff_between_versions(w):
    other = gguf(w.folder / "two.gguf", 40, 1)
    data = bytearray(other.read_bytes())
    data[-1] ^= 1
    other.write_bytes(data)
    w.mine.run("diff", "team/big:v1", w.model)
    report = json.loads(w.mine.run("diff", "team/big:v1", other, "--json", code=1)[0])
    assert report["tensors"]["changes"][0]["values"]["changed"] == 1, report
    assert not report["same"]


def test_plain_http_goes_to_this_machine_only(w):
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError as error:
        raise Skip("this machine has no address by its name") from error
    if address.startswith("127."):
        raise Skip("this machine's name is a loopback address")
    listener = socket.create_server((address, 0))
    first = []

    def listen():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            first.append(connection.recv(64))
            connection.close()

    threading.Thread(target=listen, daemon=True).start()
    host = f"{address}:{listener.getsockname()[1]}"
    w.mine.run("push", "team/big:v1", f"oci:{host}/a/b:v1", "--quiet", "--attempts", "1", code=7)
    assert first and all(data[:1] == b"\x16" for data in first), "something went out without TLS"
    first.clear()
    w.mine.run("push", "team/big:v1", f"oci:{host}/a/b:v1", "--quiet", "--attempts", "1", "--plain-http", code=7)
    assert first and first[0].startswith(b"GET /v2/"), first
    listener.close()


def main():
    program, registry_program, *wanted = sys.argv[1:]
    world = World(program, registry_program)
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    passed = failed = skipped = 0
    try:
        for name, test in tests:
            if wanted and name not in wanted and name.removeprefix("test_") not in wanted:
                continue
            begin = time.monotonic()
            try:
                test(world)
                passed += 1
                print(f"   ok    {name} ({time.monotonic() - begin:.1f} s)", flush=True)
            except Skip as reason:
                skipped += 1
                print(f"   skip  {name}: {reason}", flush=True)
            except Exception:
                failed += 1
                print(f"   FAIL  {name}\n{traceback.format_exc(limit=3)[-2500:]}", flush=True)
    finally:
        world.stop()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
