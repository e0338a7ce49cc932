# Signatures both ways with the reference implementation (model_signing), and what it lets through and we do not.
import base64
import hashlib
import json
import os
import shutil
import subprocess

import pytest

from conftest import signs


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(params=["prime256v1", "secp384r1", "secp521r1"])
def their_key(request, tmp_path):
    private, public = tmp_path / "k.pem", tmp_path / "k.pub.pem"
    openssl("ecparam", "-name", request.param, "-genkey", "-noout", "-out", private)
    openssl("ec", "-in", private, "-pubout", "-out", public)
    return private, public


def copy_of(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("name", ["full", "bare", "real"])
def test_theirs_verifies_ours(name, bundles, public):
    if name not in bundles:
        pytest.skip("there is no smollm2.gguf in FREEHOLD_TEST_MODELS")
    done = signs("verify", "key", "--signature", bundles[name] / "model.sig", "--public_key", public, bundles[name])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
def test_theirs_verifies_every_kind_of_our_keys(kind, freehold, model, tmp_path):
    freehold("signing-key", tmp_path / "k", "--type", kind)
    freehold("pack", model, "-o", tmp_path / "b", "--key", tmp_path / "k")
    assert signs("verify", "key", "--signature", tmp_path / "b" / "model.sig", "--public_key", tmp_path / "k.pub",
                 tmp_path / "b").returncode == 0
    freehold.verify(tmp_path / "b", tmp_path / "k.pub")


def test_ed25519_is_ours_alone(freehold, model, tmp_path):
    freehold("signing-key", tmp_path / "k", "--type", "ed25519")
    freehold("pack", model, "-o", tmp_path / "b", "--key", tmp_path / "k")
    freehold.verify(tmp_path / "b", tmp_path / "k.pub")
    assert signs("verify", "key", "--signature", tmp_path / "b" / "model.sig", "--public_key", tmp_path / "k.pub",
                 tmp_path / "b").returncode != 0


def test_ours_verifies_theirs(freehold, model, their_key, tmp_path):
    private, public = their_key
    copy = copy_of(model, tmp_path)
    done = signs("sign", "key", "--signature", copy / "model.sig", "--private_key", private, copy)
    assert done.returncode == 0, done.stdout + done.stderr
    report = freehold.verify(copy, public)
    assert report["outcome"] == "good", report
    # And with their key we sign, and they verify that.
    freehold("pack", model, "-o", tmp_path / "packed", "--key", private)
    assert signs("verify", "key", "--signature", tmp_path / "packed" / "model.sig", "--public_key", public,
                 tmp_path / "packed").returncode == 0


@pytest.mark.parametrize("fault", ["changed", "added", "removed", "renamed", "link", "signature", "hidden"])
def test_both_refuse(fault, freehold, full, public, tmp_path):
    copy = copy_of(full, tmp_path)
    weights = copy / "model.safetensors"
    if fault == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    elif fault == "added":
        (copy / "more.txt").write_text("")
    elif fault == "removed":
        (copy / "notes.txt").unlink()
    elif fault == "renamed":
        weights.rename(copy / "model2.safetensors")
    elif fault == "link":
        weights.rename(tmp_path / "elsewhere")
        weights.symlink_to(tmp_path / "elsewhere")
    elif fault == "hidden":
        (copy / ".hidden.safetensors").write_text("x")
    else:
        text = json.loads((copy / "model.sig").read_text())
        payload = base64.b64decode(text["dsseEnvelope"]["payload"]).replace(b"notes.txt", b"nodes.txt")
        text["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        (copy / "model.sig").write_text(json.dumps(text))
    assert signs("verify", "key", "--signature", copy / "model.sig", "--public_key", public, copy).returncode != 0
    assert freehold.verify(copy, public, code=1)["outcome"] == "bad"


# ---- what the reference verifier accepts, and ours refuses


def sign_by_hand(folder, private, change):
    """A signature by the openssl program alone, over a statement that `change` may bend."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "model.sig")
    resources = [{"name": str(p.relative_to(folder)), "algorithm": "sha256",
                  "digest": hashlib.sha256(p.read_bytes()).hexdigest()} for p in files]
    how = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ["model.sig"]}
    resources = change(resources, how)
    root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
    payload = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "x", "digest": {"sha256": root}}],
                          "predicateType": "https://model_signing/signature/v1.0",
                          "predicate": {"resources": resources, "serialization": how}}).encode()
    kind = b"application/vnd.in-toto+json"
    message = folder.parent / "message"
    message.write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    signature = folder.parent / "signature"
    openssl("dgst", "-sha256", "-sign", private, "-out", signature, message)
    (folder / "model.sig").write_text(json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
        "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "payloadType": kind.decode(),
                         "signatures": [{"sig": base64.b64encode(signature.read_bytes()).decode(), "keyid": ""}]}}))


@pytest.fixture
def plain(tmp_path):
    private, public = tmp_path / "k.pem", tmp_path / "k.pub.pem"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
    openssl("ec", "-in", private, "-pubout", "-out", public)
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    return folder, private, public


def both(freehold, plain, change):
    folder, private, public = plain
    sign_by_hand(folder, private, change)
    theirs = signs("verify", "key", "--signature", folder / "model.sig", "--public_key", public, folder)
    ours = freehold("verify", folder, "--key", public, "--json", code=None)
    return theirs.returncode, ours.code


def test_an_honest_one_by_openssl_alone_is_taken_by_both(freehold, plain):
    assert both(freehold, plain, lambda r, how: r) == (0, 0)


def test_weights_that_the_signer_left_out(freehold, plain):
    def leave_out(resources, how):
        how["ignore_paths"].append("model.safetensors")
        return [r for r in resources if r["name"] != "model.safetensors"]

    theirs, ours = both(freehold, plain, leave_out)
    (plain[0] / "model.safetensors").write_bytes(b"other weights")
    assert ours == 1
    assert theirs == 0, "the reference lets it through; this test says so, should that change"


def test_an_empty_list(freehold, plain):
    def nothing(resources, how):
        how["ignore_paths"] = ["."]
        return []

    theirs, ours = both(freehold, plain, nothing)
    assert ours == 1
    assert theirs == 0, "the reference lets it through; this test says so, should that change"


def test_a_name_twice(freehold, plain):
    theirs, ours = both(freehold, plain, lambda r, how: r + r[:1])
    assert ours == 1
    assert theirs == 0, "the reference lets it through; this test says so, should that change"


def test_names_that_climb_out(freehold, plain):
    theirs, ours = both(freehold, plain, lambda r, how: r + [{"name": "../outside", "algorithm": "sha256", "digest": "0" * 64}])
    assert ours == 1 and theirs != 0


def test_links_that_the_signer_allowed(freehold, plain):
    def links(resources, how):
        how["allow_symlinks"] = True
        return resources

    assert both(freehold, plain, links)[1] == 1


# ---- archives


def test_a_tar_holds_the_same_as_the_folder(freehold, model, key, public, facts, full, tmp_path):
    freehold("pack", model, "-o", tmp_path / "b.tar", "--key", key, "--facts", facts,
             environment={"SOURCE_DATE_EPOCH": "1700000000"})
    freehold.verify(tmp_path / "b.tar", public)
    # Another tar program unpacks it, and the reference verifies what comes out.
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "b.tar", "-C", tmp_path / "out"], check=True)
    assert signs("verify", "key", "--signature", tmp_path / "out" / "model.sig", "--public_key", public,
                 tmp_path / "out").returncode == 0
    assert freehold.verify(tmp_path / "out", public)["root"] == freehold.verify(tmp_path / "b.tar", public)["root"]
    # And a tar of it made by that program is read too.
    subprocess.run(["tar", "-cf", tmp_path / "c.tar", "-C", tmp_path / "out", "."], check=True)
    freehold.verify(tmp_path / "c.tar", public)


def test_a_hostile_tar(freehold, full, public, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "evil.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(full.rglob("*")):
            if path.is_file():
                tar.add(path, arcname=str(path.relative_to(full)), recursive=False)
        link = tarfile.TarInfo("inside")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    report = freehold.verify(tmp_path / "evil.tar", public, code=1)
    assert any("link" in c["message"] for c in report["checks"] if c["outcome"] == "bad")


def test_two_runs_give_the_same_bytes(freehold, model, facts, tmp_path):
    time = {"SOURCE_DATE_EPOCH": "1700000000"}
    for name in ("a.tar", "b.tar"):
        freehold("pack", model, "-o", tmp_path / name, "--facts", facts, environment=time)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert b"2023-11-14T22:13:20Z" in (tmp_path / "a.tar").read_bytes()


def test_a_full_disk_or_a_kill_leaves_nothing_behind(freehold, model, key, tmp_path):
    """A limit on the size of files stands for a full disk."""
    done = subprocess.run(["bash", "-c", f"ulimit -f 4; trap '' XFSZ; exec {os.environ['FREEHOLD_PROGRAM']} pack {model} "
                           f"-o {tmp_path / 'b'} --key {key}"], capture_output=True, text=True,
                          env={**os.environ, "FREEHOLD_HOME": str(freehold.home)})
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []
